/*
 * Prefix tree.  The strings are sorted; each node is then a run of them that share their first bytes, and splitting the
 * runs breadth first gives children that stand side by side.  Nodes with many children have a table of all 256.
 *
 * Memory is about 13 bytes a node (and at most 80 more a child of a large node), nodes are at most the bytes of the strings:
 * no set of strings can make it grow beyond that, which double arrays do not promise.
 */
#include "text/trie.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

/* A string with its first eight bytes as a number, which is what most comparisons need. */
typedef struct sort_key {
    uint64_t head;
    view text;
    int32_t value;
} sort_key;

/* The strings of a node: keys[low .. high) share their first `depth` bytes. */
typedef struct trie_run {
    uint32_t low, high, depth;
} trie_run;

static uint64_t head_of(view text)
{
    uint64_t head = 0;
    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < text.size ? (unsigned char)text.data[i] : 0);
    return head;
}

static int by_text(const void *a, const void *b)
{
    const sort_key *x = a, *y = b;
    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    size_t both = x->text.size < y->text.size ? x->text.size : y->text.size;
    int order = both ? memcmp(x->text.data, y->text.data, both) : 0;
    return order ? order : (x->text.size > y->text.size) - (x->text.size < y->text.size);
}

static size_t shared_bytes(view a, view b)
{
    size_t i = 0;
    while (i < a.size && i < b.size && a.data[i] == b.data[i])
        i++;
    return i;
}

static size_t count_nodes(const sort_key *keys, size_t count)
{
    size_t nodes = 1;
    for (size_t i = 0; i < count; i++)
        nodes += keys[i].text.size - (i ? shared_bytes(keys[i - 1].text, keys[i].text) : 0);
    return nodes;
}

/* Give node `at` its value and its children, which get the next numbers.  Returns the next free number. */
static size_t spread(trie *t, trie_run *runs, const sort_key *keys, size_t at, size_t next)
{
    trie_run run = runs[at];
    trie_node *node = &t->nodes[at];
    node->value = -1;
    node->first = (uint32_t)next;
    if (run.low < run.high && keys[run.low].text.size == run.depth)
        node->value = keys[run.low++].value;
    while (run.low < run.high) {
        char byte = keys[run.low].text.data[run.depth];
        uint32_t end = run.low + 1;
        while (end < run.high && keys[end].text.data[run.depth] == byte)
            end++;
        t->labels[next] = (unsigned char)byte;
        runs[next++] = (trie_run){run.low, end, run.depth + 1};
        node->count++;
        run.low = end;
    }
    return next;
}

static bool make_tables(trie *t)
{
    size_t tables = 0;
    for (size_t i = 0; i < t->count; i++)
        tables += t->nodes[i].count > TRIE_FEW;
    if (!(t->tables = NEW(uint32_t, tables * 256)))
        return false;
    uint32_t table = 0;
    for (size_t i = 0; i < t->count; i++) {
        trie_node *node = &t->nodes[i];
        if (node->count <= TRIE_FEW)
            continue;
        for (uint32_t child = node->first; child < node->first + node->count; child++)
            t->tables[(size_t)table * 256 + t->labels[child]] = child;
        node->first = table++;
    }
    return true;
}

static bool build(trie *t, const sort_key *keys, size_t count)
{
    t->count = count_nodes(keys, count);
    if (t->count > UINT32_MAX)
        return false;
    t->nodes = NEW(trie_node, t->count);
    t->labels = NEW(unsigned char, t->count);
    trie_run *runs = NEW(trie_run, t->count);
    bool good = t->nodes && t->labels && runs;
    if (good)
        runs[TRIE_ROOT] = (trie_run){0, (uint32_t)count, 0};
    for (size_t at = 0, next = 1; good && at < t->count; at++)
        next = spread(t, runs, keys, at, next);
    memory_free(runs);
    return good && make_tables(t);
}

trie *trie_new(const trie_string *strings, size_t count)
{
    trie *t = NEW(trie, 1);
    sort_key *keys = NEW(sort_key, count);
    bool good = t && keys && count < UINT32_MAX;
    for (size_t i = 0; good && i < count; i++)
        keys[i] = (sort_key){head_of(strings[i].text), strings[i].text, strings[i].value};
    if (good && count > 0)
        qsort(keys, count, sizeof(*keys), by_text);
    good = good && build(t, keys, count);
    memory_free(keys);
    if (good)
        return t;
    trie_free(t);
    return NULL;
}

void trie_free(trie *t)
{
    if (!t)
        return;
    memory_free(t->nodes);
    memory_free(t->labels);
    memory_free(t->tables);
    memory_free(t);
}
