/*
 * Dinic's algorithm over dense blocks.  A phase numbers the nodes by their distance from the source through edges with room left,
 * then fills all shortest ways at once: a walk goes down with as much as fits, and each node remembers the edge it tried last, so
 * that a phase looks at each edge once.
 *
 * A block keeps two arrays, so that both directions are read side by side: `left` [from][to], room of the edges, and `back`
 * [to][from], what flows along them and may be taken back; their sum never changes.  So what a question has done is undone
 * by adding `back` to `left`, at the nodes that were reached.
 */
#include "explain/flow_network.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { NO_DISTANCE = -1 };

typedef struct flow_block {
    size_t from, to, rows, columns;
    int64_t *left, *back; /* [rows][columns], [columns][rows] */
    bool is_causal;
} flow_block;

typedef struct flow_group {
    size_t first, size;                 /* nodes                              */
    size_t down[FLOW_BLOCKS_DOWN], downs; /* blocks that begin here           */
    size_t *up, ups;                    /* blocks that end here               */
} flow_group;

typedef struct frame {
    uint32_t node;
    int64_t asked, sent;
} frame;

struct flow_network {
    flow_group *groups;
    flow_block *blocks;
    size_t group_count, block_count, node_count, block_room;
    uint32_t *group_of;   /* [nodes]                                         */
    int32_t *distance;    /* [nodes] from the source                         */
    uint32_t *queue;      /* [nodes]                                         */
    size_t *tried;        /* [nodes] edges that are done with in this phase  */
    bool *reached;        /* [nodes] by the source at all                    */
    bool *touched;        /* [nodes] something flowed in                     */
    frame *stack;         /* [nodes]                                         */
    int64_t *into_sink;   /* [nodes of the sink's group] room left           */
    size_t source, sink_group, first;
    int32_t sink_distance;
};

int64_t flow_capacity(double weight) { return (int64_t)floor(ldexp(weight, FLOW_BITS)); }

size_t flow_block_bytes(size_t rows, size_t columns) { return 2 * rows * columns * sizeof(int64_t); }

/* ---- building ---- */

static bool make_nodes(flow_network *f, const size_t *sizes, size_t blocks)
{
    size_t widest = 0;
    for (size_t g = 0; g < f->group_count; g++) {
        f->groups[g] = (flow_group){.first = f->node_count, .size = sizes[g], .up = NEW(size_t, blocks)};
        f->node_count += sizes[g];
        widest = sizes[g] > widest ? sizes[g] : widest;
        if (!f->groups[g].up)
            return false;
    }
    f->group_of = NEW(uint32_t, f->node_count);
    f->distance = NEW(int32_t, f->node_count);
    f->queue = NEW(uint32_t, f->node_count);
    f->tried = NEW(size_t, f->node_count);
    f->reached = NEW(bool, f->node_count);
    f->touched = NEW(bool, f->node_count);
    f->stack = NEW(frame, f->node_count);
    f->into_sink = NEW(int64_t, widest);
    if (!f->group_of || !f->distance || !f->queue || !f->tried || !f->reached || !f->touched || !f->stack || !f->into_sink)
        return false;
    for (size_t g = 0; g < f->group_count; g++)
        for (size_t i = 0; i < sizes[g]; i++)
            f->group_of[f->groups[g].first + i] = (uint32_t)g;
    return true;
}

flow_network *flow_network_new(size_t groups, const size_t *sizes, size_t blocks)
{
    flow_network *f = NEW(flow_network, 1);
    if (!f)
        return NULL;
    f->block_room = blocks;
    f->blocks = NEW(flow_block, blocks);
    f->groups = NEW(flow_group, groups);
    f->group_count = f->groups ? groups : 0;
    if (f->blocks && f->groups && make_nodes(f, sizes, blocks))
        return f;
    flow_network_free(f);
    return NULL;
}

void flow_network_free(flow_network *f)
{
    if (!f)
        return;
    for (size_t b = 0; b < f->block_count; b++) {
        memory_free(f->blocks[b].left);
        memory_free(f->blocks[b].back);
    }
    for (size_t g = 0; g < f->group_count; g++)
        memory_free(f->groups[g].up);
    void *const all[] = {f->blocks,  f->groups,  f->group_of, f->distance, f->queue,
                         f->tried,   f->reached, f->touched,  f->stack,    f->into_sink};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        memory_free(all[i]);
    memory_free(f);
}

bool flow_network_join(flow_network *f, size_t from, size_t to, const double *weights, double share, bool is_causal)
{
    flow_group *above = &f->groups[from], *below = &f->groups[to];
    flow_block b = {.from = from, .to = to, .rows = above->size, .columns = below->size, .is_causal = is_causal};
    b.left = NEW(int64_t, b.rows * b.columns);
    b.back = NEW(int64_t, b.rows * b.columns);
    f->blocks[f->block_count] = b;
    above->down[above->downs++] = f->block_count;
    below->up[below->ups++] = f->block_count++;
    if (!b.left || !b.back)
        return false;
    for (size_t i = 0; i < b.rows; i++)
        for (size_t j = 0; j < b.columns; j++)
            b.left[i * b.columns + j] = flow_capacity(weights ? share * weights[i * b.columns + j] : i == j ? share : 0);
    return true;
}

/* ---- distances ---- */

/* Nodes of a block that a node of it may have edges to, downward or back up. */
typedef struct span {
    size_t begin, end;
} span;

static span span_down(const flow_network *f, const flow_block *b, size_t i)
{
    return b->is_causal ? (span){f->first < i ? f->first : i, i + 1} : (span){0, b->columns};
}

static span span_up(const flow_block *b, size_t j) { return b->is_causal ? (span){j, b->rows} : (span){0, b->rows}; }

static size_t number_row(flow_network *f, const int64_t *room, span s, size_t first_node, int32_t distance, size_t count)
{
    for (size_t j = s.begin; j < s.end; j++)
        if (room[j] > 0 && f->distance[first_node + j] == NO_DISTANCE) {
            f->distance[first_node + j] = distance;
            f->queue[count++] = (uint32_t)(first_node + j);
        }
    return count;
}

/* Distances up to the sink's; false: no way leads there any more. */
static bool number_nodes(flow_network *f)
{
    const flow_group *last = &f->groups[f->sink_group];
    size_t count = 1;
    f->sink_distance = INT32_MAX;
    for (size_t v = 0; v < f->node_count; v++)
        f->distance[v] = NO_DISTANCE;
    f->distance[f->source] = 0;
    f->queue[0] = (uint32_t)f->source;
    for (size_t at = 0; at < count; at++) {
        size_t node = f->queue[at];
        const flow_group *g = &f->groups[f->group_of[node]];
        size_t i = node - g->first;
        int32_t next = f->distance[node] + 1;
        if (next > f->sink_distance)
            break;
        if (g == last && f->into_sink[i] > 0)
            f->sink_distance = next;
        for (size_t k = 0; k < g->downs; k++) {
            const flow_block *b = &f->blocks[g->down[k]];
            count = number_row(f, b->left + i * b->columns, span_down(f, b, i), f->groups[b->to].first, next, count);
        }
        for (size_t k = 0; f->touched[node] && k < g->ups; k++) {
            const flow_block *b = &f->blocks[g->up[k]];
            count = number_row(f, b->back + i * b->rows, span_up(b, i), f->groups[b->from].first, next, count);
        }
    }
    return f->sink_distance < INT32_MAX;
}

/* ---- filling shortest ways ---- */

/* An edge of a node: its room, and that of the way back; NULL: there is no such edge in this phase. */
typedef struct edge {
    int64_t *room, *other;
    size_t node;
} edge;

/* The next edge from `tried` on that leads one further and has room.  Edges of a node are numbered: into the sink, down, up. */
static bool next_edge(flow_network *f, size_t node, edge *out)
{
    const flow_group *g = &f->groups[f->group_of[node]];
    size_t i = node - g->first, begin = 1, *tried = &f->tried[node];
    int32_t next = f->distance[node] + 1;
    if (*tried == 0 && g == &f->groups[f->sink_group] && f->into_sink[i] > 0) {
        *out = (edge){.room = &f->into_sink[i], .node = f->node_count};
        return true;
    }
    for (size_t k = 0; next < f->sink_distance && k < g->downs + g->ups; k++) {
        bool down = k < g->downs;
        const flow_block *b = &f->blocks[down ? g->down[k] : g->up[k - g->downs]];
        size_t width = down ? b->columns : b->rows, other = down ? b->rows : b->columns;
        size_t first = f->groups[down ? b->to : b->from].first;
        int64_t *room = (down ? b->left : b->back) + i * width, *reverse = (down ? b->back : b->left) + i;
        span s = down ? span_down(f, b, i) : f->touched[node] ? span_up(b, i) : (span){0, 0};
        for (size_t j = *tried > begin + s.begin ? *tried - begin : s.begin; j < s.end; j++)
            if (room[j] > 0 && f->distance[first + j] == next) {
                *tried = begin + j;
                *out = (edge){.room = &room[j], .other = &reverse[j * other], .node = first + j};
                return true;
            }
        begin += width;
        *tried = *tried > begin ? *tried : begin;
    }
    return false;
}

/* Send up to `asked` from the source along ways of the numbered length. */
static int64_t fill_ways(flow_network *f, int64_t asked)
{
    size_t depth = 1;
    f->stack[0] = (frame){(uint32_t)f->source, asked, 0};
    for (;;) {
        frame *top = &f->stack[depth - 1];
        edge e;
        if (top->sent < top->asked && next_edge(f, top->node, &e)) {
            int64_t room = *e.room < top->asked - top->sent ? *e.room : top->asked - top->sent;
            if (e.node < f->node_count) {
                f->stack[depth++] = (frame){(uint32_t)e.node, room, 0};
                continue;
            }
            *e.room -= room;
            top->sent += room;
            continue;
        }
        int64_t sent = top->sent;
        bool is_done = top->sent < top->asked; /* nothing more goes through this node */
        if (--depth == 0)
            return sent;
        top = &f->stack[depth - 1];
        next_edge(f, top->node, &e); /* the one that led here */
        *e.room -= sent;
        *e.other += sent;
        top->sent += sent;
        f->touched[e.node] = f->touched[e.node] || sent > 0;
        if (is_done)
            f->tried[top->node]++;
    }
}

/* ---- questions ---- */

static void mark_row(flow_network *f, const flow_block *b, size_t i)
{
    for (size_t j = 0; j < b->columns; j++)
        if (b->left[i * b->columns + j] > 0)
            f->reached[f->groups[b->to].first + j] = true;
}

int64_t flow_network_start(flow_network *f, size_t group, size_t node)
{
    int64_t out = 0;
    memset(f->reached, 0, f->node_count * sizeof *f->reached);
    f->source = f->groups[group].first + node;
    f->reached[f->source] = true;
    for (size_t g = 0; g < f->group_count; g++) /* groups stand in the order of the flow */
        for (size_t i = 0; i < f->groups[g].size; i++)
            for (size_t k = 0; f->reached[f->groups[g].first + i] && k < f->groups[g].downs; k++)
                mark_row(f, &f->blocks[f->groups[g].down[k]], i);
    for (size_t k = 0; k < f->groups[group].downs; k++) {
        const flow_block *b = &f->blocks[f->groups[group].down[k]];
        for (size_t j = 0; j < b->columns; j++)
            out += b->left[node * b->columns + j];
    }
    return out;
}

bool flow_network_reaches(const flow_network *f, size_t group, size_t node) { return f->reached[f->groups[group].first + node]; }

/* Put back what flowed into a node. */
static void put_back(flow_network *f, size_t node)
{
    const flow_group *g = &f->groups[f->group_of[node]];
    size_t j = node - g->first;
    for (size_t k = 0; k < g->ups; k++) {
        const flow_block *b = &f->blocks[g->up[k]];
        for (size_t i = 0; i < b->rows; i++) {
            int64_t *back = &b->back[j * b->rows + i];
            if (*back > 0)
                b->left[i * b->columns + j] += *back;
            *back = 0;
        }
    }
    f->touched[node] = false;
}

int64_t flow_network_most(flow_network *f, size_t group, const int64_t *sink, size_t first, int64_t enough)
{
    int64_t flow = 0;
    f->sink_group = group;
    f->first = first;
    memcpy(f->into_sink, sink, f->groups[group].size * sizeof *sink);
    while (flow < enough && number_nodes(f)) {
        memset(f->tried, 0, f->node_count * sizeof *f->tried);
        flow += fill_ways(f, enough - flow);
    }
    for (size_t v = 0; v < f->node_count; v++)
        if (f->touched[v])
            put_back(f, v);
    return flow;
}
