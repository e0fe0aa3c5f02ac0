/*
 * The families that folders are made for, each as Hugging Face would spell it: names of tensors, keys of config.json, class
 * names, and a tokenizer: vocab.txt for those with WordPiece, a Unigram tokenizer.json for the others.
 */
#include "make_families.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "workplace.h"

enum { NAME = 224, PREFIX = 96, BLOCK = 64, HEADS = MADE_SPAN + 1 };

typedef struct made_family {
    const char *name, *prefix;
    const char *const *keys;    /* of width, layers, heads, inner, activation */
    const char *classes[HEADS]; /* by made_head; NULL: there is none          */
    void (*put)(tensor_list *list);
    bool has_pieces; /* the tokenizer is Unigram                   */
} made_family;

static const made_family *family_of(const model_recipe *r);
static bool is_family(const model_recipe *r, const char *name) { return strcmp(r->family, name) == 0; }
const char *made_prefix(const model_recipe *r) { return r->no_prefix ? "" : family_of(r)->prefix; }

static size_t or_else(size_t value, size_t otherwise) { return value ? value : otherwise; }
static size_t head_width(const model_recipe *r) { return or_else(r->head_width, r->hidden / r->heads); }
static size_t query_width(const model_recipe *r) { return r->heads * head_width(r); }
static size_t key_width(const model_recipe *r) { return or_else(r->key_heads, r->heads) * head_width(r); }
static size_t embedding(const model_recipe *r) { return or_else(r->embedding, r->hidden); }

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

static void put_matrix(tensor_list *list, const char *prefix, const char *name, size_t rows, size_t columns)
{
    char full[NAME];
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    made_put(list, full, rows, columns, 0, list->recipe->deviation);
}

static void put_linear(tensor_list *list, const char *prefix, const char *name, size_t out, size_t in)
{
    char full[NAME];
    put_matrix(list, prefix, name, out, in);
    snprintf(full, sizeof full, "%s%s.bias", prefix, name);
    made_put(list, full, 0, out, 0, list->recipe->deviation / 2);
}

static void put_vector(tensor_list *list, const char *prefix, const char *name, const char *ending,
                       size_t width, double centre)
{
    char full[NAME];
    snprintf(full, sizeof full, "%s%s.%s", prefix, name, ending);
    made_put(list, full, 0, width, centre, list->recipe->deviation / 2);
}

static void put_norm_of(tensor_list *list, const char *prefix, const char *name, size_t width)
{
    bool is_old = list->recipe->legacy_names && strstr(name, "LayerNorm");
    put_vector(list, prefix, name, is_old ? "gamma" : "weight", width, 1);
    put_vector(list, prefix, name, is_old ? "beta" : "bias", width, 0);
}

static void put_norm(tensor_list *list, const char *prefix, const char *name)
{
    put_norm_of(list, prefix, name, list->recipe->hidden);
}

static void put_rms(tensor_list *list, const char *prefix, const char *name)
{
    put_vector(list, prefix, name, "weight", list->recipe->hidden, 1);
}

/* ---- encoders --------------------------------------------------------------------------------------------------- */

static void put_embeddings(tensor_list *list, bool has_types)
{
    const model_recipe *r = list->recipe;
    const char *prefix = made_prefix(r);
    put_matrix(list, prefix, "embeddings.word_embeddings", r->vocab, embedding(r));
    put_matrix(list, prefix, "embeddings.position_embeddings", r->positions, embedding(r));
    if (has_types)
        put_matrix(list, prefix, "embeddings.token_type_embeddings", r->types, embedding(r));
    put_norm_of(list, prefix, "embeddings.LayerNorm", embedding(r));
}

/* names: query, key, value, mix, norm, up, down, norm. */
static void put_encoder_layer(tensor_list *list, const char *prefix, const char *const names[8])
{
    const model_recipe *r = list->recipe;
    for (size_t i = 0; i < 4; i++)
        put_linear(list, prefix, names[i], r->hidden, r->hidden);
    put_norm(list, prefix, names[4]);
    put_linear(list, prefix, names[5], r->inner, r->hidden);
    put_linear(list, prefix, names[6], r->hidden, r->inner);
    put_norm(list, prefix, names[7]);
}

static void put_encoder_layers(tensor_list *list, const char *folder, const char *const names[8])
{
    char prefix[PREFIX];
    for (size_t layer = 0; layer < list->recipe->layers; layer++) {
        snprintf(prefix, sizeof prefix, "%s%s.layer.%zu.", made_prefix(list->recipe), folder, layer);
        put_encoder_layer(list, prefix, names);
    }
}

static const char *const bert_layer[] = {
    "attention.self.query",       "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "output.dense",         "output.LayerNorm"};

/* Token classification and question answering are the same in all encoders. */
static void put_row_head(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    if (r->head == MADE_TOKENS)
        put_linear(list, "", "classifier", r->labels, r->hidden);
    else if (r->head == MADE_SPAN)
        put_linear(list, "", "qa_outputs", 2, r->hidden);
}

/* A transform, a norm and a bias of the vocabulary; the matrix where it is not tied. */
static void put_masked_head(tensor_list *list, const char *dense, const char *norm, const char *bias,
                            const char *decoder)
{
    const model_recipe *r = list->recipe;
    put_linear(list, "", dense, embedding(r), r->hidden);
    put_norm_of(list, "", norm, embedding(r));
    made_put(list, bias, 0, r->vocab, 0, r->deviation);
    if (r->untied)
        put_matrix(list, "", decoder, r->vocab, embedding(r));
}

static void put_position_ids(tensor_list *list)
{
    char name[NAME];
    snprintf(name, sizeof name, "%sembeddings.position_ids", family_of(list->recipe)->prefix);
    if (list->recipe->legacy_names)
        made_put(list, name, 1, list->recipe->positions, 0, 0);
}

static void put_bert(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    put_embeddings(list, true);
    put_encoder_layers(list, "encoder", bert_layer);
    if (r->head == MADE_CLASSIFIER) {
        put_linear(list, made_prefix(r), "pooler.dense", r->hidden, r->hidden);
        put_linear(list, "", "classifier", r->labels, r->hidden);
    } else if (r->head == MADE_MASKED_LM) {
        put_masked_head(list, "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                        "cls.predictions.bias", "cls.predictions.decoder");
    }
    put_row_head(list);
    put_position_ids(list);
}

static void put_distilbert(tensor_list *list)
{
    static const char *const layer[] = {"attention.q_lin",   "attention.k_lin",  "attention.v_lin",
                                        "attention.out_lin", "sa_layer_norm",    "ffn.lin1",
                                        "ffn.lin2",          "output_layer_norm"};
    const model_recipe *r = list->recipe;
    put_embeddings(list, false);
    put_encoder_layers(list, "transformer", layer);
    if (r->head == MADE_CLASSIFIER) {
        put_linear(list, "", "pre_classifier", r->hidden, r->hidden);
        put_linear(list, "", "classifier", r->labels, r->hidden);
    } else if (r->head == MADE_MASKED_LM) {
        put_masked_head(list, "vocab_transform", "vocab_layer_norm", "vocab_projector.bias", "vocab_projector");
    }
    put_row_head(list);
    put_position_ids(list);
}

static void put_two_step_classifier(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    if (r->head != MADE_CLASSIFIER)
        return;
    put_linear(list, "", "classifier.dense", r->hidden, r->hidden);
    put_linear(list, "", "classifier.out_proj", r->labels, r->hidden);
}

static void put_roberta(tensor_list *list)
{
    put_embeddings(list, true);
    put_encoder_layers(list, "encoder", bert_layer);
    put_two_step_classifier(list);
    if (list->recipe->head == MADE_MASKED_LM)
        put_masked_head(list, "lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder");
    put_row_head(list);
}

static void put_electra(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    put_embeddings(list, true);
    if (embedding(r) != r->hidden)
        put_linear(list, made_prefix(r), "embeddings_project", r->hidden, embedding(r));
    put_encoder_layers(list, "encoder", bert_layer);
    put_two_step_classifier(list);
    if (r->head == MADE_MASKED_LM)
        put_masked_head(list, "generator_predictions.dense", "generator_predictions.LayerNorm",
                        "generator_lm_head.bias", "generator_lm_head");
    put_row_head(list);
}

static void put_albert(tensor_list *list)
{
    static const char *const layer[] = {"attention.query", "attention.key",        "attention.value",
                                        "attention.dense", "attention.LayerNorm",  "ffn",
                                        "ffn_output",      "full_layer_layer_norm"};
    const model_recipe *r = list->recipe;
    char prefix[PREFIX];
    put_embeddings(list, true);
    put_linear(list, made_prefix(r), "encoder.embedding_hidden_mapping_in", r->hidden, embedding(r));
    snprintf(prefix, sizeof prefix, "%sencoder.albert_layer_groups.0.albert_layers.0.", made_prefix(r));
    put_encoder_layer(list, prefix, layer);
    if (r->head == MADE_CLASSIFIER) {
        put_linear(list, made_prefix(r), "pooler", r->hidden, r->hidden);
        put_linear(list, "", "classifier", r->labels, r->hidden);
    } else if (r->head == MADE_MASKED_LM) {
        put_masked_head(list, "predictions.dense", "predictions.LayerNorm", "predictions.bias",
                        "predictions.decoder");
    }
    put_row_head(list);
}

/* ---- decoders --------------------------------------------------------------------------------------------------- */

static void put_output_head(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    if (r->head == MADE_CLASSIFIER)
        put_matrix(list, "", "score", r->labels, r->hidden);
    else if (r->untied)
        put_matrix(list, "", "lm_head", r->vocab, r->hidden);
}

/* Stored [in, out]; the bias is as long as a row. */
static void put_conv1d(tensor_list *list, const char *prefix, const char *name, size_t in, size_t out)
{
    put_matrix(list, prefix, name, in, out);
    put_vector(list, prefix, name, "bias", out, 0);
}

static void put_gpt2(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    char prefix[PREFIX];
    put_matrix(list, made_prefix(r), "wte", r->vocab, r->hidden);
    put_matrix(list, made_prefix(r), "wpe", r->positions, r->hidden);
    for (size_t layer = 0; layer < r->layers; layer++) {
        snprintf(prefix, sizeof prefix, "%sh.%zu.", made_prefix(r), layer);
        put_norm(list, prefix, "ln_1");
        put_conv1d(list, prefix, "attn.c_attn", r->hidden, 3 * r->hidden);
        put_conv1d(list, prefix, "attn.c_proj", r->hidden, r->hidden);
        put_norm(list, prefix, "ln_2");
        put_conv1d(list, prefix, "mlp.c_fc", r->hidden, r->inner);
        put_conv1d(list, prefix, "mlp.c_proj", r->inner, r->hidden);
    }
    put_norm(list, made_prefix(r), "ln_f");
    put_output_head(list);
}

static void put_llama(tensor_list *list)
{
    static const char *const projections[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
    const model_recipe *r = list->recipe;
    char prefix[PREFIX];
    put_matrix(list, made_prefix(r), "embed_tokens", r->vocab, r->hidden);
    for (size_t layer = 0; layer < r->layers; layer++) {
        snprintf(prefix, sizeof prefix, "%slayers.%zu.", made_prefix(r), layer);
        put_rms(list, prefix, "input_layernorm");
        for (size_t i = 0; i < 3; i++)
            (is_family(r, "qwen2") ? put_linear : put_matrix)(list, prefix, projections[i],
                                                              i ? key_width(r) : query_width(r), r->hidden);
        put_matrix(list, prefix, "self_attn.o_proj", r->hidden, query_width(r));
        put_rms(list, prefix, "post_attention_layernorm");
        put_matrix(list, prefix, "mlp.gate_proj", r->inner, r->hidden);
        put_matrix(list, prefix, "mlp.up_proj", r->inner, r->hidden);
        put_matrix(list, prefix, "mlp.down_proj", r->hidden, r->inner);
    }
    put_rms(list, made_prefix(r), "norm");
    put_output_head(list);
}

static void put_t5_attention(tensor_list *list, const char *block, const char *place)
{
    static const char *const letters[] = {"q", "k", "v"};
    const model_recipe *r = list->recipe;
    char prefix[PREFIX];
    snprintf(prefix, sizeof prefix, "%s%s.", block, place);
    for (size_t i = 0; i < 3; i++)
        put_matrix(list, prefix, letters[i], query_width(r), r->hidden);
    put_matrix(list, prefix, "o", r->hidden, query_width(r));
}

static void put_t5_stack(tensor_list *list, const char *stack, size_t layers, bool is_decoder)
{
    const model_recipe *r = list->recipe;
    char block[BLOCK], prefix[PREFIX];
    for (size_t layer = 0; layer < layers; layer++) {
        snprintf(block, sizeof block, "%s.block.%zu.layer.", stack, layer);
        put_t5_attention(list, block, "0.SelfAttention");
        if (layer == 0)
            put_matrix(list, block, "0.SelfAttention.relative_attention_bias", 32, r->heads);
        put_rms(list, block, "0.layer_norm");
        if (is_decoder) {
            put_t5_attention(list, block, "1.EncDecAttention");
            put_rms(list, block, "1.layer_norm");
        }
        snprintf(prefix, sizeof prefix, "%s%d.", block, is_decoder ? 2 : 1);
        put_matrix(list, prefix, r->gated ? "DenseReluDense.wi_0" : "DenseReluDense.wi", r->inner, r->hidden);
        if (r->gated)
            put_matrix(list, prefix, "DenseReluDense.wi_1", r->inner, r->hidden);
        put_matrix(list, prefix, "DenseReluDense.wo", r->hidden, r->inner);
        put_rms(list, prefix, "layer_norm");
    }
    put_rms(list, stack, ".final_layer_norm");
}

static void put_t5(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    put_matrix(list, "", "shared", r->vocab, r->hidden);
    put_t5_stack(list, "encoder", r->layers, false);
    if (r->head != MADE_NO_HEAD) /* the encoder alone */
        put_t5_stack(list, "decoder", or_else(r->decoder_layers, r->layers), true);
    put_output_head(list);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static const char *const bert_keys[] = {"hidden_size", "num_hidden_layers", "num_attention_heads",
                                        "intermediate_size", "hidden_act"};
static const char *const distilbert_keys[] = {"dim", "n_layers", "n_heads", "hidden_dim", "activation"};
static const char *const gpt2_keys[] = {"n_embd", "n_layer", "n_head", "n_inner", "activation_function"};
static const char *const t5_keys[] = {"d_model", "num_layers", "num_heads", "d_ff", "dense_act_fn"};

#define CLASSES(name)                                                                                          \
    {                                                                                                          \
        name "Model", name "ForSequenceClassification", name "ForMaskedLM", NULL, NULL,                        \
            name "ForTokenClassification", name "ForQuestionAnswering"                                         \
    }
#define CAUSAL(name)                                                                                           \
    {                                                                                                          \
        name "Model", name "ForSequenceClassification", NULL, name "ForCausalLM"                               \
    }

static const made_family families[] = {
    {"bert", "bert.", bert_keys, CLASSES("Bert"), put_bert, false},
    {"distilbert", "distilbert.", distilbert_keys, CLASSES("DistilBert"), put_distilbert, false},
    {"electra", "electra.", bert_keys, CLASSES("Electra"), put_electra, false},
    {"roberta", "roberta.", bert_keys, CLASSES("Roberta"), put_roberta, true},
    {"albert", "albert.", bert_keys, CLASSES("Albert"), put_albert, true},
    {"gpt2",
     "transformer.",
     gpt2_keys,
     {"GPT2Model", "GPT2ForSequenceClassification", NULL, "GPT2LMHeadModel"},
     put_gpt2,
     true},
    {"llama", "model.", bert_keys, CAUSAL("Llama"), put_llama, true},
    {"mistral", "model.", bert_keys, CAUSAL("Mistral"), put_llama, true},
    {"qwen2", "model.", bert_keys, CAUSAL("Qwen2"), put_llama, true},
    {"t5", "", t5_keys, {"T5EncoderModel", NULL, NULL, NULL, "T5ForConditionalGeneration"}, put_t5, true},
};

static const made_family *family_of(const model_recipe *r)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (is_family(r, families[i].name))
            return &families[i];
    return &families[0];
}

void made_put_all(tensor_list *list) { family_of(list->recipe)->put(list); }

/* ---- config.json ------------------------------------------------------------------------------------------------ */

static void add_text(char *out, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_text(char *out, size_t room, const char *format, ...)
{
    size_t used = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, room - used, format, arguments);
    va_end(arguments);
}

static void add_labels(char *out, size_t room, const model_recipe *r)
{
    add_text(out, room, "  \"id2label\": {");
    for (size_t i = 0; i < r->labels; i++)
        add_text(out, room, "%s\"%zu\": \"%s%zu\"", i ? ", " : "", i, "class ", i);
    add_text(out, room, "},\n");
}

/* What only some families have. */
static void add_peculiar(char *out, size_t room, const model_recipe *r)
{
    const made_family *f = family_of(r);
    if (f->put == put_gpt2) {
        add_text(out, room, "  \"n_positions\": %zu,\n  \"layer_norm_epsilon\": 1e-05,\n", r->positions);
    } else if (f->put == put_t5) {
        add_text(out, room, "  \"d_kv\": %zu,\n  \"num_decoder_layers\": %zu,\n", head_width(r),
                 or_else(r->decoder_layers, r->layers));
        add_text(out, room, "  \"feed_forward_proj\": \"%s%s\",\n  \"is_encoder_decoder\": true,\n",
                 r->gated ? "gated-" : "", r->activation);
        add_text(out, room, "  \"decoder_start_token_id\": 0,\n");
    } else if (f->put == put_llama) {
        add_text(out, room, "  \"max_position_embeddings\": %zu,\n  \"num_key_value_heads\": %zu,\n",
                 r->positions, or_else(r->key_heads, r->heads));
        add_text(out, room, "  \"head_dim\": %zu,\n  \"rms_norm_eps\": 1e-05,\n", head_width(r));
    } else {
        add_text(out, room, "  \"max_position_embeddings\": %zu,\n", r->positions);
    }
    if (f->keys == bert_keys && f->put != put_llama)
        add_text(out, room, "  \"layer_norm_eps\": 1e-12,\n  \"type_vocab_size\": %zu,\n", r->types);
    if (f->put == put_electra || f->put == put_albert)
        add_text(out, room, "  \"embedding_size\": %zu,\n", embedding(r));
}

/* Tied unless the recipe says otherwise, whatever the family's default. */
static void add_ties(char *out, size_t room, const model_recipe *r)
{
    if (r->untied || family_of(r)->put == put_llama)
        add_text(out, room, "  \"tie_word_embeddings\": %s,\n", r->untied ? "false" : "true");
}

static int pad_id(const model_recipe *r) { return is_family(r, "roberta") ? 1 : 0; }

bool make_config(const char *folder, const model_recipe *r)
{
    char text[16384] = "{\n";
    const made_family *f = family_of(r);
    const char *const *key = f->keys, *class = f->classes[r->head];
    if (!r->no_architecture)
        add_text(text, sizeof text, "  \"architectures\": [\"%s\"],\n", class ? class : "none");
    add_text(text, sizeof text, "  \"model_type\": \"%s\",\n", r->family);
    add_text(text, sizeof text, "  \"%s\": %zu,\n  \"%s\": %zu,\n  \"%s\": %zu,\n  \"%s\": %zu,\n", key[0],
             r->hidden, key[1], r->layers, key[2], r->heads, key[3], r->inner);
    add_text(text, sizeof text, "  \"%s\": \"%s\",\n", key[4], r->activation);
    add_peculiar(text, sizeof text, r);
    if (r->head == MADE_CLASSIFIER || r->head == MADE_TOKENS)
        add_labels(text, sizeof text, r);
    if (r->problem)
        add_text(text, sizeof text, "  \"problem_type\": \"%s\",\n", r->problem);
    add_ties(text, sizeof text, r);
    if (f->has_pieces)
        add_text(text, sizeof text, "  \"eos_token_id\": %d,\n", pad_id(r) + 1);
    if (r->more_config)
        add_text(text, sizeof text, "  %s,\n", r->more_config);
    add_text(text, sizeof text, "  \"pad_token_id\": %d,\n  \"vocab_size\": %zu\n}\n", pad_id(r), r->vocab);
    return work_write_text(folder, "config.json", text);
}

/* ---- tokenizers ------------------------------------------------------------------------------------------------- */

static bool make_word_pieces(const char *folder, const model_recipe *r)
{
    static const char *const words[] = {
        "[PAD]", "[UNK]", "[CLS]",  "[SEP]", "[MASK]", ".",     ",",       "!",    "the",    "a",
        "film",  "plot",  "is",     "was",   "good",   "bad",   "fine",    "thin", "not",    "very",
        "and",   "but",   "acting", "##ly",  "##es",   "##ing", "capital", "of",   "france", "paris"};
    enum { WORDS = sizeof words / sizeof words[0] };
    char path[WORK_PATH];
    FILE *file = work_path(path, folder, "vocab.txt") ? fopen(path, "wb") : NULL;
    for (size_t i = 0; file && i < r->vocab; i++) {
        if (i < WORDS)
            fprintf(file, "%s\n", words[i]);
        else if (i < WORDS + 26)
            fprintf(file, "%s%c\n", "##", (int)('a' + (i - WORDS)));
        else
            fprintf(file, "w%zu\n", i);
    }
    bool ok = file && fclose(file) == 0;
    return ok && work_write_text(folder, "tokenizer_config.json", "{\"do_lower_case\": true}\n");
}

/* Entries 0 to 4; RoBERTa's padding is number 1. */
static const char *const special_pieces[2][5] = {{"<pad>", "</s>", "<unk>", "<s>", "<mask>"},
                                                 {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}};

static void write_unigram_entries(FILE *file, const model_recipe *r, const char *const special[5])
{
    static const char *const pieces[] = {"the",  "a",   "film", "plot", "is",  "was",
                                         "good", "bad", "fine", "thin", "not", "very"};
    enum { PIECES = sizeof pieces / sizeof pieces[0] };
    for (size_t i = 0; i < r->vocab; i++)
        if (i < 5)
            fprintf(file, "%s[\"%s\",0]", i ? "," : "", special[i]);
        else if (i < 5 + PIECES)
            fprintf(file, ",[\"\xe2\x96\x81%s\",-3.5]", pieces[i - 5]);
        else if (i < 5 + PIECES + 26)
            fprintf(file, ",[\"%c\",-6.25]", (int)('a' + (i - 5 - PIECES)));
        else
            fprintf(file, ",[\"\xe2\x96\x81w%zu\",-5.5]", i);
}

/* Where the text stands among special tokens: RoBERTa's and ALBERT's both ends, T5's end, nothing for decoders. */
static void write_template(FILE *file, const model_recipe *r)
{
    bool has_begin = family_of(r)->keys == bert_keys && family_of(r)->put != put_llama,
         has_end = has_begin || is_family(r, "t5");
    int begin = pad_id(r) ? 0 : 3, end = pad_id(r) + 1;
    static const char text[] = "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}",
                      pair[] = "{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}";
    const char *front = has_begin ? "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}}," : "";
    const char *back = has_end ? ",{\"SpecialToken\":{\"id\":\"</s>\",\"type_id\":0}}" : "";
    fprintf(file, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[%s%s%s],", front, text,
            back);
    fprintf(file, "\"pair\":[%s%s%s,%s%s],\"special_tokens\":{", front, text, back, pair, back);
    if (has_begin)
        fprintf(file, "\"<s>\":{\"id\":\"<s>\",\"ids\":[%d],\"tokens\":[\"<s>\"]},", begin);
    fprintf(file, "\"</s>\":{\"id\":\"</s>\",\"ids\":[%d],\"tokens\":[\"</s>\"]}}},", end);
}

static bool make_unigram(const char *folder, const model_recipe *r)
{
    static const char metaspace[] = "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_"
                                    "scheme\":\"always\",\"split\":true}";
    const char *const *special = special_pieces[pad_id(r)];
    char path[WORK_PATH];
    FILE *file = work_path(path, folder, "tokenizer.json") ? fopen(path, "wb") : NULL;
    if (!file)
        return false;
    fprintf(file, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (int i = 0; i < 5; i++)
        fprintf(file,
                "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                "\"normalized\":false,"
                "\"special\":true}",
                i ? "," : "", i, special[i]);
    fprintf(file, "],\"normalizer\":null,\"pre_tokenizer\":%s,", metaspace);
    write_template(file, r);
    fprintf(file,
            "\"decoder\":%s,\"model\":{\"type\":\"Unigram\",\"unk_id\":%d,\"byte_fallback\":false,\"vocab\":[",
            metaspace, pad_id(r) + 2);
    write_unigram_entries(file, r, special);
    fprintf(file, "]}}\n");
    return fclose(file) == 0 && work_write_text(folder, "tokenizer_config.json",
                                                "{\"pad_token\": \"<pad>\", \"eos_token\": \"</s>\", "
                                                "\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", "
                                                "\"mask_token\": \"<mask>\"}\n");
}

bool make_vocabulary(const char *folder, const model_recipe *r)
{
    return (family_of(r)->has_pieces ? make_unigram : make_word_pieces)(folder, r);
}
