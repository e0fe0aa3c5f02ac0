/*
 * Many patterns at once.  The patterns are put into a trie back to front, with failure links, and the text is read from
 * its end: then the state at byte i knows the longest pattern that begins there.  Leftmost-longest search is a walk over
 * these answers.  Reading forwards instead would have to go back after each match, which is quadratic for patterns such
 * as "a" and "aaa...b".
 *
 * Children are kept in one hash table keyed by (node, byte); those of the root, where most texts stay, in an array.
 * Source: Aho, Corasick 1975, "Efficient string matching".
 */
#include "text/matcher.h"

#include "base/memory.h"

typedef struct match_node {
    uint32_t failure;    /* node of the longest proper suffix that is in the trie        */
    int32_t pattern;     /* longest pattern that is a suffix of this node's text, or -1  */
    uint32_t parent;
    unsigned char byte;  /* on the way from the parent                                   */
} match_node;

struct matcher {
    match_node *nodes; /* 0 is the root */
    size_t count, capacity;
    uint32_t *slots; /* number of a node, 0: free */
    size_t slot_count;
    uint32_t root[256];
    size_t *sizes; /* bytes of each pattern */
    size_t pattern_count, pattern_capacity;
};

matcher *matcher_new(void)
{
    matcher *m = NEW(matcher, 1);
    if (!m)
        return NULL;
    m->capacity = 64;
    m->slot_count = 256;
    m->nodes = NEW(match_node, m->capacity);
    m->slots = NEW(uint32_t, m->slot_count);
    if (!m->nodes || !m->slots) {
        matcher_free(m);
        return NULL;
    }
    m->nodes[0].pattern = -1;
    m->count = 1;
    return m;
}

void matcher_free(matcher *m)
{
    if (!m)
        return;
    memory_free(m->nodes);
    memory_free(m->slots);
    memory_free(m->sizes);
    memory_free(m);
}

bool matcher_is_empty(const matcher *m)
{
    return !m || m->count <= 1;
}

size_t matcher_size(const matcher *m, int32_t pattern)
{
    return m->sizes[pattern];
}

/* Slot of the child, or the free slot where it would go. */
static size_t child_slot(const matcher *m, uint32_t node, unsigned char byte)
{
    uint64_t key = ((uint64_t)node << 8 | byte) * 0x9E3779B97F4A7C15u;
    size_t slot = (size_t)(key >> 24) & (m->slot_count - 1);
    while (m->slots[slot]) {
        const match_node *child = &m->nodes[m->slots[slot]];
        if (child->parent == node && child->byte == byte)
            break;
        slot = (slot + 1) & (m->slot_count - 1);
    }
    return slot;
}

static uint32_t child_of(const matcher *m, uint32_t node, unsigned char byte)
{
    return node == 0 ? m->root[byte] : m->slots[child_slot(m, node, byte)];
}

/* Room for one more node. */
static bool matcher_grow(matcher *m)
{
    if (m->count == m->capacity) {
        match_node *grown = memory_resize(m->nodes, m->capacity * 2, sizeof(*grown));
        if (!grown)
            return false;
        m->nodes = grown;
        m->capacity *= 2;
    }
    if (2 * m->count < m->slot_count)
        return true;
    uint32_t *slots = NEW(uint32_t, m->slot_count * 2);
    if (!slots)
        return false;
    memory_free(m->slots);
    m->slots = slots;
    m->slot_count *= 2;
    for (uint32_t i = 1; i < m->count; i++)
        if (m->nodes[i].parent != 0)
            m->slots[child_slot(m, m->nodes[i].parent, m->nodes[i].byte)] = i;
    return true;
}

static uint32_t child_or_new(matcher *m, uint32_t node, unsigned char byte)
{
    uint32_t child = child_of(m, node, byte);
    if (child)
        return child;
    if (!matcher_grow(m))
        return 0;
    child = (uint32_t)m->count++;
    m->nodes[child] = (match_node){.pattern = -1, .parent = node, .byte = byte};
    if (node == 0)
        m->root[byte] = child;
    else
        m->slots[child_slot(m, node, byte)] = child;
    return child;
}

bool matcher_add(matcher *m, view pattern)
{
    if (m->pattern_count == m->pattern_capacity) {
        size_t capacity = m->pattern_capacity ? m->pattern_capacity * 2 : 16;
        size_t *grown = memory_resize(m->sizes, capacity, sizeof(*grown));
        if (!grown)
            return false;
        m->sizes = grown;
        m->pattern_capacity = capacity;
    }
    uint32_t node = 0;
    for (size_t i = pattern.size; i-- > 0;) {
        node = child_or_new(m, node, (unsigned char)pattern.data[i]);
        if (!node)
            return false;
    }
    if (node && m->nodes[node].pattern < 0)
        m->nodes[node].pattern = (int32_t)m->pattern_count;
    m->sizes[m->pattern_count++] = pattern.size;
    return true;
}

/* The state after one more byte. */
static uint32_t matcher_step(const matcher *m, uint32_t node, unsigned char byte)
{
    for (;;) {
        uint32_t child = child_of(m, node, byte);
        if (child || node == 0)
            return child;
        node = m->nodes[node].failure;
    }
}

/* Failure links need all shorter texts done before; nodes are made depth first, so they are ordered by depth here. */
bool matcher_finish(matcher *m)
{
    uint32_t *depth = NEW(uint32_t, m->count), *order = NEW(uint32_t, m->count);
    size_t *starts = NEW(size_t, m->count + 1);
    bool good = depth && order && starts;
    if (good) {
        for (size_t i = 1; i < m->count; i++) {
            depth[i] = depth[m->nodes[i].parent] + 1; /* parents are made before children */
            starts[depth[i]]++;
        }
        for (size_t d = 1; d <= m->count; d++)
            starts[d] += starts[d - 1];
        for (size_t i = m->count; i-- > 1;)
            order[--starts[depth[i]]] = (uint32_t)i;
        for (size_t i = 0; i + 1 < m->count; i++) {
            match_node *node = &m->nodes[order[i]];
            if (node->parent != 0)
                node->failure = matcher_step(m, m->nodes[node->parent].failure, node->byte);
            if (node->pattern < 0)
                node->pattern = m->nodes[node->failure].pattern;
        }
    }
    memory_free(depth);
    memory_free(order);
    memory_free(starts);
    return good;
}

void matcher_run(const matcher *m, view text, int32_t *longest)
{
    uint32_t node = 0;
    for (size_t i = text.size; i-- > 0;) {
        node = matcher_step(m, node, (unsigned char)text.data[i]);
        longest[i] = m->nodes[node].pattern;
    }
}
