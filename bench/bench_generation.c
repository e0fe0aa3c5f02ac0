/*
 * Models that put out text against the physical bound: forward passes, generation matrices by gradients and greedy decoding on
 * GPT-2 and T5-small sizes.
 *
 *     bench_generation [--quick] [--threads N] [--csv FILE] [PART OF A LINE]
 *
 * The bound is that of bench/jobs.h.  A matrix is the whole tkr_explain call with a given output and target "all": the clean
 * run, one way back a step, and the check of the finding.  The least that takes: a way back from step t walks the rows up to
 * t only, through the last layer from one row, and out of the head along one row of its matrix (the measure is the logit).
 * Ways back need not wait for each other, so they read the weights once.
 *
 * Decoding is bound by reading: the layers' matrices and the head's once a token that is put out.  The aim 1 / 0.7 is 0.7
 * of the tokens a second that the memory allows.
 */
#include "bench/jobs.h"

static const char PROGRAM[] = "bench_generation";

/* What is measured of one family.  Encoder-decoders: the source has `tokens`, the output `steps`. */
typedef struct scenario {
    const char *family;
    size_t tokens, steps, decoded;
    double gxi_aim, ig_aim;
} scenario;

static const scenario scenarios[] = {
    {"gpt2", 18, 10, 64, 1.3, 1.2},
    {"t5", 22, 13, 64, 1.4, 1.2},
};

static bool has_decoder(const sized *of) { return model_shape(of->model) == FAMILY_ENCODER_DECODER; }

/* Rows of a pass that reads `steps` steps: the input, and what the decoder gets, which the last step is not. */
static size_t rows_of(const sized *of, size_t tokens, size_t steps) { return tokens + steps - !has_decoder(of); }

/* ---- forward passes ---- */

static void add_forwards(jobs *b, const sized *of, const scenario *s)
{
    static const struct {
        uint32_t tokens;
        double aim;
    } shapes[] = {{12, 1.3}, {22, 1.25}, {40, 1.25}, {128, 1.2}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t output_length = has_decoder(of) ? s->steps : 0;
        const uint32_t rows = shapes[i].tokens + (uint32_t)output_length;
        char name[32];
        snprintf(name, sizeof name, has_decoder(of) ? "%u -> %zu" : "1 x %u", shapes[i].tokens, output_length);
        jobs_add_forward(b, of, name, shapes[i].aim, &rows, 1, output_length);
    }
}

/* ---- matrices ---- */

static tkr_question question_of(const job *j)
{
    tkr_question q = tkr_question_defaults();
    q.ids = j->ids;
    q.id_count = j->tokens;
    q.features = "tokens";
    q.target = "all";
    return q;
}

static void fill_ids(job *j, const scenario *s)
{
    j->tokens = s->tokens;
    j->steps = s->steps;
    for (size_t i = 0; i < j->tokens; i++)
        j->ids[i] = sized_id(i);
    for (size_t i = 0; i < j->steps; i++)
        j->outputs[i] = sized_id(j->tokens + i);
}

static tkr_question matrix_question(const job *j)
{
    tkr_question q = question_of(j);
    q.output_ids = j->outputs;
    q.output_id_count = j->steps;
    return q;
}

static void run_matrix(const job *j)
{
    const tkr_question q = matrix_question(j);
    tkr_result_free(jobs_explain(j, &q));
}

/* One way back a step. */
static double backward_work(const sized *of, const scenario *s)
{
    const double of_head = 2 * sized_head_bytes(of) / sizeof(float);
    double flops = 0;
    for (size_t t = 1; t <= s->steps; t++)
        flops += sized_work(of, rows_of(of, s->tokens, t), has_decoder(of) ? t : 0, 1).backward - of_head;
    return flops;
}

/* points 0: Gradient x Input on the clean run; else integrated gradients, whose input and baseline are run besides. */
static void add_matrix(jobs *b, const sized *of, const scenario *s, const char *methods, double aim, double points,
                       uint64_t before_model)
{
    enum { CLEAN_AND_CHECK = 2, WAITING = 3 };
    job *j = jobs_add(b, of, aim);
    snprintf(j->name, sizeof j->name, "%s, %zu %s %zu", methods, s->tokens, has_decoder(of) ? "->" : "+", s->steps);
    j->run = run_matrix;
    j->methods = methods;
    fill_ids(j, s);
    const tkr_question q = matrix_question(j);
    tkr_result_free(jobs_explain_first(j, &q, before_model));
    const size_t rows = rows_of(of, s->tokens, s->steps);
    const double forwards = CLEAN_AND_CHECK + (points > 0 ? points + 1 : 0), ways = points > 0 ? points : 1;
    j->flops = forwards * sized_work(of, rows, has_decoder(of) ? s->steps : 0, s->steps).forward +
               ways * backward_work(of, s);
    j->reads = WAITING;
    j->read_bytes = sized_matrix_bytes(of);
}

/* ---- decoding ---- */

static size_t decode(const job *j)
{
    tkr_error error = {0};
    tkr_question q = question_of(j);
    q.max_new = j->steps;
    tkr_result *r = tkr_generate(j->of->session, &q, &error);
    if (!r)
        report_stop(PROGRAM, j->name, &error);
    const size_t tokens = tkr_array_extent(tkr_result_array(r, "output.logprob"), 0);
    tkr_result_free(r);
    return tokens;
}

static void run_decoding(const job *j) { (void)decode(j); }

static void add_decoding(jobs *b, const sized *of, const scenario *s)
{
    job *j = jobs_add(b, of, 1 / 0.7);
    fill_ids(j, s);
    j->steps = s->decoded;
    j->run = run_decoding;
    const size_t made = decode(j);
    snprintf(j->name, sizeof j->name, "decoding, %zu %s %zu", s->tokens, has_decoder(of) ? "->" : "+", made);
    if (made < s->decoded)
        printf("%s ends by itself after %zu tokens\n", of->name, made);
    j->flops = sized_work(of, rows_of(of, s->tokens, made), has_decoder(of) ? made : 0, 1).forward;
    j->read_bytes = sized_step_bytes(of) + sized_head_bytes(of);
    j->reads = (double)made + (sized_matrix_bytes(of) - sized_step_bytes(of)) / j->read_bytes; /* and the source's once */
}

int main(int argc, char **argv)
{
    enum { COUNT = sizeof scenarios / sizeof *scenarios };
    static jobs b;
    sized models[COUNT];
    b.options = report_begin(PROGRAM, argc, argv);
    b.rounds = b.options.quick ? 3 : 7;
    for (size_t i = 0; i < COUNT; i++) {
        const scenario *s = &scenarios[i];
        uint64_t before_model = tkr_memory_now();
        sized_open(&models[i], PROGRAM, s->family, b.options.threads);
        b.options.threads = tkr_session_threads(models[i].session);
        add_forwards(&b, &models[i], s);
        add_matrix(&b, &models[i], s, "gxi", s->gxi_aim, 0, before_model);
        if (!b.options.quick)
            add_matrix(&b, &models[i], s, "ig:steps=50", s->ig_aim, 50, before_model);
        add_decoding(&b, &models[i], s);
    }
    jobs_run(&b);
    for (size_t i = 0; i < COUNT; i++)
        sized_close(&models[i]);
    return report_end(&b.options);
}
