/*
 * Hand-written scanners of the usual pre-tokenizer expressions.
 *
 *   GPT-2     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   Llama 3   (?i:'s|...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   Qwen2     the same with \p{N}
 *
 * Every character is a letter L, a number N, a space S or something else O, and the alternatives of each expression come
 * down to a few steps over runs of one class.  Letters and numbers are those of Unicode 16.0, whatever PCRE2 knows.
 *
 * Known to go wrong: a run of spaces leaves its last one to the word after it, but only an ordinary space (U+0020) joins
 * that word; contractions are lower case in GPT-2 and any case in the others, where U+017F counts as s; CR and LF end a
 * Llama run of spaces wherever the last of them is.
 */
#include "base/utf8.h"
#include "text/pattern.h"
#include "text/unicode.h"

typedef enum scan_class { SCAN_OTHER, SCAN_LETTER, SCAN_NUMBER, SCAN_SPACE, SCAN_END } scan_class;

/* L, N, S, or O as above; one for each byte below 0x80. */
static scan_class class_of_ascii(unsigned char c)
{
    static const char classes[129] = "OOOOOOOOOSSSSSOOOOOOOOOOOOOOOOOOSOOOOOOOOOOOOOOONNNNNNNNNNOOOOOO"
                                     "OLLLLLLLLLLLLLLLLLLLLLLLLLLOOOOOOLLLLLLLLLLLLLLLLLLLLLLLLLLOOOOO";
    switch (classes[c]) {
    case 'L': return SCAN_LETTER;
    case 'N': return SCAN_NUMBER;
    case 'S': return SCAN_SPACE;
    default: return SCAN_OTHER;
    }
}

/* Class of the character at `at` and its length; SCAN_END past the end. */
static inline scan_class class_at(view text, size_t at, size_t *bytes)
{
    *bytes = 1;
    if (at >= text.size)
        return SCAN_END;
    unsigned char first = (unsigned char)text.data[at];
    if (first < 0x80)
        return class_of_ascii(first);
    uint32_t c = 0;
    size_t count = utf8_decode(text, at, &c);
    *bytes = count ? count : 1;
    return unicode_is_letter(c) ? SCAN_LETTER : unicode_is_number(c) ? SCAN_NUMBER
         : unicode_is_space(c) ? SCAN_SPACE : SCAN_OTHER;
}

/* End of the run of one class that goes on at `at`. */
static size_t run_end(view text, size_t at, scan_class class)
{
    size_t bytes;
    while (class_at(text, at, &bytes) == class)
        at += bytes;
    return at;
}

static bool is_line_end(char c)
{
    return c == '\r' || c == '\n';
}

/* Length of 's 't 're 've 'm 'll 'd at `at`, or 0. */
static size_t contraction(view text, size_t at, bool any_case)
{
    if (text.data[at] != '\'' || at + 1 >= text.size)
        return 0;
    char fold = any_case ? 0x20 : 0;
    char a = text.data[at + 1];
    char low = (char)(a | (a >= 'A' && a <= 'Z' ? fold : 0));
    if (low == 's' || low == 't' || low == 'm' || low == 'd')
        return 2;
    if (any_case && at + 2 < text.size && (unsigned char)a == 0xC5 && (unsigned char)text.data[at + 2] == 0xBF)
        return 3; /* U+017F, the long s */
    if (at + 2 >= text.size)
        return 0;
    char b = text.data[at + 2];
    b = (char)(b | (b >= 'A' && b <= 'Z' ? fold : 0));
    return (low == 'r' && b == 'e') || (low == 'v' && b == 'e') || (low == 'l' && b == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+ of a run of spaces that begins at `at`. */
static size_t spaces_end(view text, size_t at)
{
    size_t bytes, last = at, end = at;
    while (class_at(text, end, &bytes) == SCAN_SPACE) {
        last = end;
        end += bytes;
    }
    return end == text.size || last == at ? end : last;
}

size_t pattern_scan_gpt2(view text, size_t at)
{
    size_t bytes = 1, short_form = contraction(text, at, false);
    if (short_form)
        return at + short_form;
    size_t begin = at + (text.data[at] == ' ' ? 1 : 0);
    scan_class class = class_at(text, begin, &bytes);
    if (class == SCAN_SPACE || class == SCAN_END)
        return spaces_end(text, at);
    return run_end(text, begin + bytes, class);
}

size_t pattern_scan_gpt2_after_space(view text, size_t at)
{
    size_t bytes = 0, last = at, end = at;
    scan_class class = class_at(text, at, &bytes);
    if (class != SCAN_SPACE)
        return run_end(text, at + bytes, class);
    for (; class_at(text, end, &bytes) == SCAN_SPACE; end += bytes)
        last = end;
    return end == text.size ? end : last;
}

/* \s*[\r\n]+, or spaces as everywhere. */
static size_t lines_end(view text, size_t at)
{
    size_t bytes, after_line = 0, end = at;
    for (; class_at(text, end, &bytes) == SCAN_SPACE; end += bytes)
        if (is_line_end(text.data[end]))
            after_line = end + 1;
    return after_line ? after_line : spaces_end(text, at);
}

static size_t scan_modern(view text, size_t at, int most_digits)
{
    size_t bytes = 1, next_bytes = 1, short_form = contraction(text, at, true);
    if (short_form)
        return at + short_form;
    scan_class class = class_at(text, at, &bytes);
    if (class == SCAN_LETTER)
        return run_end(text, at + bytes, SCAN_LETTER);
    if (class != SCAN_NUMBER && !is_line_end(text.data[at]) && class_at(text, at + bytes, &next_bytes) == SCAN_LETTER)
        return run_end(text, at + bytes + next_bytes, SCAN_LETTER);
    if (class == SCAN_NUMBER) {
        at += bytes;
        for (int i = 1; i < most_digits && class_at(text, at, &bytes) == SCAN_NUMBER; i++)
            at += bytes;
        return at;
    }
    size_t begin = at + (text.data[at] == ' ' ? 1 : 0);
    if (class_at(text, begin, &bytes) != SCAN_OTHER)
        return lines_end(text, at);
    at = run_end(text, begin, SCAN_OTHER);
    while (at < text.size && is_line_end(text.data[at]))
        at++;
    return at;
}

static size_t scan_llama3(view text, size_t at)
{
    return scan_modern(text, at, 3);
}

static size_t scan_qwen2(view text, size_t at)
{
    return scan_modern(text, at, 1);
}

#define MODERN_SHORT "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define MODERN_REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

pattern_scanner *pattern_scanner_of(view expression)
{
    static const struct {
        const char *expression;
        pattern_scanner *scanner;
    } known[] = {
        {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", pattern_scan_gpt2},
        {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", pattern_scan_gpt2},
        {MODERN_SHORT "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" MODERN_REST, scan_llama3},
        {MODERN_SHORT "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" MODERN_REST, scan_qwen2},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (view_is(expression, known[i].expression))
            return known[i].scanner;
    return NULL;
}
