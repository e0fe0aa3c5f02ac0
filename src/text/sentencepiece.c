/*
 * SentencePiece model files: a protocol-buffer message, read field by field with every length checked.
 *
 * A message is a run of fields: a key (number * 8 + wire type, a varint), then a varint, 4 or 8 bytes, or a length and that
 * many bytes.  Of the fields only those named here matter; the others are skipped by their wire type.
 *
 * Known to go wrong: fields may come in any order and twice (the last one counts); an absent bool may mean true; float
 * scores are float32 and stay so until they are widened; negative numbers are varints of ten bytes.
 * Source: sentencepiece_model.proto; Protocol Buffers, encoding.
 */
#include "text/sentencepiece.h"

#include <math.h>

#include "base/memory.h"
#include "base/size.h"
#include "base/utf8.h"

enum { WIRE_VARINT = 0, WIRE_EIGHT = 1, WIRE_BYTES = 2, WIRE_FOUR = 5 };
enum { VARINT_BYTES_MOST = 10 };

/* ---- the wire ---------------------------------------------------------------------------------------------------- */

/* A message on its way; `file` is the whole, so that messages can name a byte of it. */
typedef struct wire {
    loader *l;
    view file;
    size_t at, end;
} wire;

typedef struct wire_field {
    uint64_t number;
    unsigned type;
    uint64_t value; /* varint; four or eight bytes as a little-endian number */
    size_t begin, end; /* of the bytes */
    size_t at;      /* of the key, for messages */
} wire_field;

static bool fail_wire(const wire *w, size_t at, const char *what)
{
    fail(w->l->error, TKR_E_TOK_SENTENCEPIECE, "%s: byte %zu: %s", w->l->file, at, what);
    fail_help(w->l->error, "the file is damaged or no SentencePiece model; get it again from where the model comes from");
    return false;
}

static bool read_varint(wire *w, uint64_t *out)
{
    size_t begin = w->at;
    *out = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MOST; i++) {
        if (w->at == w->end)
            return fail_wire(w, begin, "a number passes the end");
        unsigned char byte = (unsigned char)w->file.data[w->at++];
        *out |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80)
            return true;
    }
    return fail_wire(w, begin, "a number of more than 10 bytes");
}

static bool read_fixed(wire *w, size_t size, uint64_t *out)
{
    if (w->end - w->at < size)
        return fail_wire(w, w->at, "a number passes the end");
    *out = 0;
    for (size_t i = 0; i < size; i++)
        *out |= (uint64_t)(unsigned char)w->file.data[w->at + i] << (8 * i);
    w->at += size;
    return true;
}

static bool read_bytes(wire *w, wire_field *f)
{
    uint64_t size;
    if (!read_varint(w, &size))
        return false;
    if (size > w->end - w->at) {
        fail(w->l->error, TKR_E_TOK_SENTENCEPIECE, "%s: byte %zu: a field of %llu bytes passes the end (%zu left)",
             w->l->file, f->at, (unsigned long long)size, w->end - w->at);
        return false;
    }
    f->begin = w->at;
    f->end = w->at += (size_t)size;
    return true;
}

/* The next field.  False at the end and on errors; *good tells which. */
static bool next_field(wire *w, wire_field *f, bool *good)
{
    uint64_t key = 0;
    *good = true;
    if (w->at == w->end)
        return false;
    *f = (wire_field){.at = w->at};
    *good = read_varint(w, &key);
    f->number = key >> 3;
    f->type = key & 7;
    if (*good && f->number == 0)
        *good = fail_wire(w, f->at, "field number 0");
    else if (*good && f->type == WIRE_VARINT)
        *good = read_varint(w, &f->value);
    else if (*good && f->type == WIRE_EIGHT)
        *good = read_fixed(w, 8, &f->value);
    else if (*good && f->type == WIRE_FOUR)
        *good = read_fixed(w, 4, &f->value);
    else if (*good && f->type == WIRE_BYTES)
        *good = read_bytes(w, f);
    else if (*good)
        *good = fail_wire(w, f->at, "a wire type that is not supported (groups are refused)");
    return *good;
}

static bool expect(const wire *w, const wire_field *f, unsigned type, const char *name)
{
    if (f->type == type)
        return true;
    fail(w->l->error, TKR_E_TOK_SENTENCEPIECE, "%s: byte %zu: %s has wire type %u; it must be %u", w->l->file, f->at, name,
         f->type, type);
    return false;
}

static bool expect_bool(const wire *w, const wire_field *f, const char *name, bool *out)
{
    *out = f->value != 0;
    return expect(w, f, WIRE_VARINT, name);
}

static wire inside(const wire *w, const wire_field *f)
{
    return (wire){w->l, w->file, f->begin, f->end};
}

static view bytes_of(const wire *w, const wire_field *f)
{
    return view_slice(w->file, f->begin, f->end);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static bool read_piece(wire w, sentencepiece_piece *p)
{
    wire_field f;
    bool good;
    *p = (sentencepiece_piece){.type = SENTENCEPIECE_NORMAL};
    while (next_field(&w, &f, &good)) {
        if (f.number == 1) {
            good = expect(&w, &f, WIRE_BYTES, "piece");
            p->text = bytes_of(&w, &f);
        } else if (f.number == 2) {
            uint32_t bits = (uint32_t)f.value;
            good = expect(&w, &f, WIRE_FOUR, "score");
            memcpy(&p->score, &bits, sizeof bits);
        } else if (f.number == 3) {
            good = expect(&w, &f, WIRE_VARINT, "type");
            if (good && (f.value < SENTENCEPIECE_NORMAL || f.value > SENTENCEPIECE_BYTE))
                good = fail_wire(&w, f.at, "a piece type that does not exist");
            p->type = (sentencepiece_type)f.value;
        }
        if (!good)
            return false;
    }
    return good;
}

static bool read_trainer(wire w, sentencepiece_file *out)
{
    wire_field f;
    bool good;
    while (next_field(&w, &f, &good)) {
        if (f.number == 3) {
            good = expect(&w, &f, WIRE_VARINT, "model_type");
            if (good && f.value != SENTENCEPIECE_UNIGRAM && f.value != SENTENCEPIECE_BPE) {
                fail(w.l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: SentencePiece model type %llu is not supported", w.l->file,
                     (unsigned long long)f.value);
                fail_facts(w.l->error, "supported: 1 (Unigram), 2 (BPE)");
                good = false;
            }
            out->model = (sentencepiece_model)f.value;
        } else if (f.number == 24) {
            good = expect_bool(&w, &f, "treat_whitespace_as_suffix", &out->whitespace_suffix);
        } else if (f.number == 35) {
            good = expect_bool(&w, &f, "byte_fallback", &out->byte_fallback);
        } else if (f.number == 44) {
            good = expect(&w, &f, WIRE_BYTES, "unk_surface");
            out->unknown_surface = bytes_of(&w, &f);
        }
        if (!good)
            return false;
    }
    return good;
}

static bool read_normalizer(wire w, sentencepiece_file *out)
{
    wire_field f;
    bool good;
    while (next_field(&w, &f, &good)) {
        if (f.number == 2) {
            good = expect(&w, &f, WIRE_BYTES, "precompiled_charsmap");
            out->charsmap = bytes_of(&w, &f);
        } else if (f.number == 3) {
            good = expect_bool(&w, &f, "add_dummy_prefix", &out->dummy_prefix);
        } else if (f.number == 4) {
            good = expect_bool(&w, &f, "remove_extra_whitespaces", &out->removes_spaces);
        } else if (f.number == 5) {
            good = expect_bool(&w, &f, "escape_whitespaces", &out->escapes_spaces);
        }
        if (!good)
            return false;
    }
    return good;
}

/* How many pieces there are; checks the outermost fields. */
static bool count_pieces(wire w, size_t *count)
{
    wire_field f;
    bool good;
    for (*count = 0; next_field(&w, &f, &good);)
        if (f.number == 1)
            ++*count;
    return good;
}

static bool read_model(wire w, sentencepiece_file *out)
{
    wire_field f;
    bool good;
    while (next_field(&w, &f, &good)) {
        if (f.number == 1)
            good = expect(&w, &f, WIRE_BYTES, "pieces") && read_piece(inside(&w, &f), &out->pieces[out->count++]);
        else if (f.number == 2)
            good = expect(&w, &f, WIRE_BYTES, "trainer_spec") && read_trainer(inside(&w, &f), out);
        else if (f.number == 3)
            good = expect(&w, &f, WIRE_BYTES, "normalizer_spec") && read_normalizer(inside(&w, &f), out);
        if (!good)
            return false;
    }
    return good;
}

/* ---- validity ---------------------------------------------------------------------------------------------------- */

static bool fail_piece(const loader *l, size_t number, view piece, const char *what)
{
    fail(l->error, TKR_E_TOK_SENTENCEPIECE, "%s: piece %zu %s %s", l->file, number, QUOTE(piece), what);
    return false;
}

static bool check_piece(const loader *l, const sentencepiece_file *file, size_t i)
{
    const sentencepiece_piece *p = &file->pieces[i];
    if (p->text.size > PIECE_BYTES_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: %s in the vocabulary has %zu bytes, the limit is %d", l->file,
             QUOTE(p->text), p->text.size, PIECE_BYTES_MOST);
        return false;
    }
    if (p->text.size == 0)
        return fail_piece(l, i, p->text, "is empty");
    if (utf8_first_bad(p->text) < p->text.size)
        return fail_piece(l, i, p->text, "is not UTF-8");
    if (!isfinite(p->score))
        return fail_piece(l, i, p->text, "has a score that is not a finite number");
    if (p->type != SENTENCEPIECE_BYTE)
        return true;
    if (!file->byte_fallback)
        return fail_piece(l, i, p->text, "is a byte piece, but byte_fallback is false");
    int byte = token_byte(p->text);
    if (byte >= 0 && view_equal(p->text, token_of_byte((unsigned char)byte, (char[7]){0})))
        return true;
    fail(l->error, TKR_E_TOK_BYTES, "%s: piece %zu %s is no byte piece <0x00> to <0xFF>", l->file, i, QUOTE(p->text));
    return false;
}

static bool check_file(loader *l, sentencepiece_file *file)
{
    size_t unknowns = 0, bytes = 0;
    if (file->count == 0) {
        fail(l->error, TKR_E_TOK_SENTENCEPIECE, "%s: the model has no pieces", l->file);
        return false;
    }
    for (size_t i = 0; i < file->count; i++) {
        if (!check_piece(l, file, i))
            return false;
        bytes += file->pieces[i].type == SENTENCEPIECE_BYTE;
        if (file->pieces[i].type == SENTENCEPIECE_UNKNOWN) {
            unknowns++;
            file->unknown = i;
        }
    }
    if (unknowns != 1) {
        fail(l->error, TKR_E_TOK_SENTENCEPIECE, "%s: the model has %zu unknown pieces; it must have 1", l->file, unknowns);
        return false;
    }
    if (file->byte_fallback && bytes != 256) {
        fail(l->error, TKR_E_TOK_BYTES, "%s: byte_fallback with %zu byte pieces; it needs 256", l->file, bytes);
        return false;
    }
    return true;
}

bool sentencepiece_read(loader *l, view bytes, sentencepiece_file *out)
{
    size_t count = 0;
    wire w = {l, bytes, 0, bytes.size};
    *out = (sentencepiece_file){.model = SENTENCEPIECE_UNIGRAM,
                                .dummy_prefix = true,
                                .removes_spaces = true,
                                .escapes_spaces = true,
                                .unknown_surface = VIEW(" \xE2\x81\x87 ")};
    if (!count_pieces(w, &count))
        return false;
    if (count > (size_t)PIECE_ID_MOST + 1) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: %zu pieces, the limit is %d", l->file, count, PIECE_ID_MOST + 1);
        return false;
    }
    out->pieces = LOADER_NEW(l, sentencepiece_piece, count);
    return out->pieces && read_model(w, out) && check_file(l, out);
}
