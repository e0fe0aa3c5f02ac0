/*
 * The layered network of attention, and most of its answers without solving it.
 *
 * Network: a node for each position after each layer; edges down with the mixed attention as capacities, floor(w 2^40).  The edges of
 * the first layer into the token in question are those into the sink, the rest of that layer leads nowhere and is left out.  An
 * encoder-decoder's decoder has two levels a layer: tokens, then the source, through edges to the encoder's last states.
 *
 * F(u, v) is at most b_v = min(1, sum_k M_1[k][v]), and in networks that look both ways it mostly is b_v.  That is proved, where it
 * is so, by a flow of this value made of three parts that are cheap to find: what the sink wants is pulled up to the middle, each
 * node asking those above in proportion to their edges; what the source has is handed down to the middle as rollout does; and one
 * layer between them is filled greedily.  Only when that fails is the network solved.
 */
#include "explain/attention_flow.h"

#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/flow_network.h"

static const double SATURATED = 1e-9; /* a flow this near its bound has reached it ... */
static const double FILLED = 1e-12;   /* ... and one proved to be this near is not looked for any more */

enum { EVEN_ROUNDS = 4 };

/* ---- a flow of the most there can be ---- */

typedef struct proof {
    const attention_layers *a;
    size_t n, middle;    /* level of the nodes that ask: layers 1 .. middle are below */
    double *columns;     /* [layers][n] sums of columns                             */
    double *wanted;      /* [n sinks][n] of the middle nodes; [0] NaN: cannot be pulled so far */
    double *had;         /* [n] of the source, one level above the middle           */
    double *flow, *room, *lowered, *asked; /* [n][n], [n], [n], [n]                */
} proof;

static const double *layer_of(const proof *p, size_t number) { return attention_layer(p->a, number - 1); } /* from 1 */

/* The edge to the same position is large; flows that use it like the others' mean spread out sooner. */
static double lowered(double self, double sum, size_t n) { return fmin(self, (sum - self) / (double)(n > 1 ? n - 1 : 1)); }

/* One layer of a pull: what nodes below want, `d`, becomes what nodes above are asked for; false: more than all edges carry. */
static bool pull_layer(const proof *p, size_t l, double *d)
{
    const double *m = layer_of(p, l), *sums = p->columns + (l - 1) * p->n;
    memset(p->room, 0, p->n * sizeof *p->room);
    for (size_t k = 0; k < p->n; k++) {
        double self = m[k * p->n + k], less = lowered(self, sums[k], p->n), others = sums[k] - self + less;
        double share = d[k] > 0 ? fmin(1, d[k] / others) : 0, rest = d[k] - share * others;
        if (rest > self - less)
            return false;
        p->room[k] += rest > 0 ? rest : 0;
        d[k] = share;
        p->lowered[k] = self - less;
    }
    for (size_t i = 0; i < p->n; i++) {
        for (size_t k = 0; k < p->n; k++)
            p->room[i] += m[i * p->n + k] * d[k];
        p->room[i] -= p->lowered[i] * d[i];
    }
    memcpy(d, p->room, p->n * sizeof *d);
    return true;
}

/* What sink v wants of the middle nodes. */
static void pull(proof *p, size_t v)
{
    double *d = p->wanted + v * p->n, scale = fmin(1, 1 / p->columns[v]);
    for (size_t k = 0; k < p->n; k++)
        d[k] = scale * layer_of(p, 1)[k * p->n + v];
    for (size_t l = 2; l <= p->middle; l++)
        if (!pull_layer(p, l, d)) {
            d[0] = (double)NAN;
            return;
        }
}

/* What source u hands down to the level above the middle; rows carry 1, so nothing is left over. */
static void push(proof *p, size_t u)
{
    memset(p->had, 0, p->n * sizeof *p->had);
    p->had[u] = 1;
    for (size_t l = p->a->layers; l > p->middle + 1; l--) {
        const double *m = layer_of(p, l);
        memset(p->room, 0, p->n * sizeof *p->room);
        for (size_t i = 0; i < p->n; i++) {
            double self = m[i * p->n + i], less = lowered(self, 1, p->n), others = 1 - self + less;
            double share = p->had[i] > 0 ? fmin(1, p->had[i] / others) : 0;
            for (size_t j = 0; j < p->n; j++)
                p->room[j] += share * m[i * p->n + j];
            p->room[i] += p->had[i] - share * others - share * (self - less);
        }
        memcpy(p->had, p->room, p->n * sizeof *p->had);
    }
}

/* Move what is left of row i to column j where it is missing. */
static void add(double *flow, double room, double *left, double *missing)
{
    double more = fmin(fmin(*left, *missing), room - *flow);
    *flow += more;
    *left -= more;
    *missing -= more;
}

static double sum_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

/* What is left at both ends, sent in proportion to both as far as edges carry it. */
static void fill_evenly(proof *p, const double *m, double *left, double *missing)
{
    const size_t n = p->n;
    double most = fmax(sum_of(left, n), sum_of(missing, n));
    memcpy(p->asked, missing, n * sizeof *missing);
    for (size_t i = 0; i < n; i++) {
        double sent = 0, share = left[i] / most, *f = p->flow + i * n;
        for (size_t j = 0; j < n; j++) {
            double more = share * p->asked[j], room = m[i * n + j] - f[j];
            more = more < room ? more : room;
            f[j] += more;
            sent += more;
            missing[j] -= more;
        }
        left[i] = left[i] > sent ? left[i] - sent : 0;
    }
}

/* Column j is served by row `via` instead, whose column `other` is served by row i: as much as all three edges and both ends allow. */
static void reroute(proof *p, const double *m, size_t i, size_t j, double *left, double *missing)
{
    const size_t n = p->n;
    for (size_t other = 0; other < n; other++)
        for (size_t via = 0; via < n && *left > 0 && p->flow[i * n + other] < m[i * n + other]; via++) {
            double *from = &p->flow[i * n + other], *back = &p->flow[via * n + other], *to = &p->flow[via * n + j];
            double more = fmin(fmin(m[i * n + other] - *from, *back), fmin(m[via * n + j] - *to, fmin(*left, *missing)));
            *from += more;
            *back -= more;
            *to += more;
            *left -= more;
            *missing -= more;
            if (*missing <= FILLED / (double)n)
                return;
        }
}

/* Fill the layer between: a few times evenly, then what is missing from wherever something is left, by a way round if need be. */
static bool fills_middle(proof *p, size_t v)
{
    const size_t n = p->n;
    const double *m = layer_of(p, p->middle + 1), *d = p->wanted + v * n;
    double *left = p->had + n, *missing = p->room;
    if (isnan(d[0]))
        return false;
    memcpy(missing, d, n * sizeof *missing);
    memcpy(left, p->had, n * sizeof *left);
    memset(p->flow, 0, n * n * sizeof *p->flow);
    for (size_t k = 0; k < EVEN_ROUNDS && sum_of(missing, n) > FILLED; k++)
        fill_evenly(p, m, left, missing);
    for (size_t j = 0; j < n; j++) {
        for (size_t i = 0; i < n && missing[j] > FILLED / (double)n; i++)
            add(&p->flow[i * n + j], m[i * n + j], &left[i], &missing[j]);
        for (size_t i = 0; i < n && missing[j] > FILLED / (double)n; i++)
            reroute(p, m, i, j, &left[i], &missing[j]);
        if (missing[j] > FILLED / (double)n)
            return false;
    }
    return true;
}

static void sum_columns(proof *p)
{
    for (size_t l = 0; l < p->a->layers; l++)
        for (size_t i = 0; i < p->n; i++)
            for (size_t j = 0; j < p->n; j++)
                p->columns[l * p->n + j] += attention_layer(p->a, l)[i * p->n + j];
}

/* Do all rows sum to 1, as the proof takes for granted? */
static bool rows_carry_one(const attention_layers *a)
{
    for (size_t r = 0; r < a->layers * a->queries; r++)
        if (fabs(sum_of(a->at + r * a->keys, a->keys) - 1) > FILLED)
            return false;
    return true;
}

static void proof_fini(proof *p)
{
    memory_free(p->columns);
    memory_free(p->wanted);
    memory_free(p->had);
    memory_free(p->flow);
    memory_free(p->room);
    memory_free(p->lowered);
    memory_free(p->asked);
}

static bool proof_init(proof *p, const attention_layers *a)
{
    *p = (proof){.a = a, .n = a->keys, .middle = a->layers / 2};
    p->columns = NEW(double, a->layers * p->n);
    p->wanted = NEW(double, p->n * p->n);
    p->had = NEW(double, 2 * p->n);
    p->flow = NEW(double, p->n * p->n);
    p->room = NEW(double, p->n);
    p->lowered = NEW(double, p->n);
    p->asked = NEW(double, p->n);
    if (!p->columns || !p->wanted || !p->had || !p->flow || !p->room || !p->lowered || !p->asked)
        return false;
    sum_columns(p);
    for (size_t v = 0; v < p->n; v++)
        pull(p, v);
    return true;
}

/* ---- the network ---- */

/* One kind of sink: the tokens under a group of nodes. */
typedef struct sinks {
    const attention_layers *a; /* its first layer leads to them */
    size_t group;
} sinks;

typedef struct flow_run {
    const attention_mix *m;
    flow_network *net;
    sinks own, source;
    proof proof;
    bool proves;      /* there may be cheap answers             */
    int64_t *sink;    /* [nodes of the widest group]            */
} flow_run;

static size_t encoder_groups(const attention_mix *m) { return m->cross.layers > 0 ? m->source.layers : 0; }

/* Layers of one stack, the last first, from group `first` on; the first layer leads to the tokens. */
static bool join_stack(flow_network *net, const attention_layers *a, size_t first, bool is_causal)
{
    for (size_t l = a->layers; l > 1; l--)
        if (!flow_network_join(net, first + a->layers - l, first + a->layers - l + 1, attention_layer(a, l - 1), 1, is_causal))
            return false;
    return true;
}

/* A decoder with a source: after layer l come the groups 2 (layers - l), before it looks at the source 2 (layers - l) + 1. */
static bool join_decoder(flow_network *net, const attention_mix *m, size_t encoder)
{
    for (size_t l = m->own.layers; l > 0; l--) {
        size_t group = 2 * (m->own.layers - l);
        bool ok = flow_network_join(net, group, group + 1, NULL, m->beta, true) &&
                  flow_network_join(net, group, encoder, attention_layer(&m->cross, l - 1), 1 - m->beta, false);
        if (ok && l > 1)
            ok = flow_network_join(net, group + 1, group + 2, attention_layer(&m->own, l - 1), 1, true);
        if (!ok)
            return false;
    }
    return true;
}

static bool make_network(flow_run *r)
{
    const attention_mix *m = r->m;
    bool has_source = m->cross.layers > 0;
    size_t own = (has_source ? 2 : 1) * m->own.layers, groups = own + encoder_groups(m);
    size_t *sizes = NEW(size_t, groups);
    for (size_t g = 0; sizes && g < groups; g++)
        sizes[g] = g < own ? m->own.keys : m->source.keys;
    r->net = sizes ? flow_network_new(groups, sizes, 2 * groups) : NULL;
    memory_free(sizes);
    if (!r->net)
        return false;
    r->own = (sinks){&m->own, own - 1};
    r->source = (sinks){&m->source, groups - 1};
    if (!has_source)
        return join_stack(r->net, &m->own, 0, m->is_causal);
    return join_decoder(r->net, m, own) && join_stack(r->net, &m->source, own, false);
}

static void run_fini(flow_run *r)
{
    flow_network_free(r->net);
    proof_fini(&r->proof);
    memory_free(r->sink);
}

static bool run_init(flow_run *r, const attention_mix *m)
{
    *r = (flow_run){.m = m};
    r->sink = NEW(int64_t, m->own.keys > m->cross.keys ? m->own.keys : m->cross.keys);
    r->proves = !m->is_causal && m->own.layers > 2 && rows_carry_one(&m->own);
    return r->sink && make_network(r) && (!r->proves || proof_init(&r->proof, &m->own));
}

/* ---- answers ---- */

typedef struct counts {
    size_t positive, saturated;
} counts;

static void count_flow(counts *c, double flow, double bound)
{
    c->positive += flow > 0;
    c->saturated += flow > 0 && flow >= bound - SATURATED;
}

/* From the network's source, which carries `carried`, to one sink. */
static double solve(flow_run *r, const sinks *s, size_t v, int64_t carried, double *bound)
{
    int64_t enters = 0, one = flow_capacity(1);
    bool is_own = s == &r->own;
    for (size_t k = 0; k < s->a->queries; k++) {
        r->sink[k] = flow_network_reaches(r->net, s->group, k) ? flow_capacity(attention_layer(s->a, 0)[k * s->a->keys + v]) : 0;
        enters += r->sink[k];
    }
    *bound = ldexp((double)(enters < one ? enters : one), -FLOW_BITS);
    bool is_direct = s->group == 0; /* one layer: the source is above the sink */
    int64_t enough = is_direct || enters < carried ? enters : carried;
    return ldexp((double)flow_network_most(r->net, s->group, r->sink, is_own && r->m->is_causal ? v : 0, enough), -FLOW_BITS);
}

static void flow_to(flow_run *r, const sinks *s, int64_t carried, double *out, counts *c)
{
    for (size_t v = 0; v < s->a->keys; v++) {
        double bound = 0;
        if (r->proves && fills_middle(&r->proof, v))
            out[v] = bound = fmin(1, r->proof.columns[v]);
        else
            out[v] = solve(r, s, v, carried, &bound);
        count_flow(c, out[v], bound);
    }
}

static void flow_from(flow_run *r, size_t row, size_t place, const attention_flow_values *out)
{
    const attention_mix *m = r->m;
    counts c = {0};
    int64_t carried = flow_network_start(r->net, 0, row);
    if (r->proves)
        push(&r->proof, row);
    flow_to(r, &r->own, carried, out->own + place * m->own.keys, &c);
    if (m->cross.layers > 0)
        flow_to(r, &r->source, carried, out->source + place * m->source.keys, &c);
    out->positive[place] = c.positive;
    out->saturated[place] = c.saturated;
}

tkr_status attention_flow(const attention_mix *m, const size_t *rows, size_t count, tkr_session *s, const attention_flow_values *out,
                          tkr_error *error)
{
    flow_run r;
    tkr_status status = run_init(&r, m) ? TKR_OK : fail_memory(error, "the network of attention flow", flow_block_bytes(m->own.keys, m->own.keys));
    for (size_t i = 0; !status && i < count; i++) {
        flow_from(&r, rows[i], i, out);
        status = s ? session_tell(s, "flow", "row", i + 1, count, error) : TKR_OK;
    }
    run_fini(&r);
    return status;
}

size_t attention_flow_bytes(const question *q)
{
    const family_config *config = &q->model->config;
    size_t blocks = config->layers + 3 * config->decoder_layers, square = q->length * q->length;
    return blocks * flow_block_bytes(q->length, q->length) + 2 * square * sizeof(double) + (blocks + 4) * q->length * 128;
}
