/*
 * Byte-level text: every byte stands as one printable character, so that a vocabulary of characters can spell any text.
 * The pre-tokenizer is pretokenizer_byte_level (pretokenizer.h).
 *
 * Bytes 21-7E, A1-AC and AE-FF are the code point of the same number, the other 68 are U+0100 to U+0143 in order.
 */
#ifndef TEXT_BYTE_LEVEL_H
#define TEXT_BYTE_LEVEL_H

#include "text/decoder.h"
#include "text/normalized.h"

/* The character of a byte. */
uint32_t byte_level_character(unsigned char byte);
/* The byte of a character, or -1. */
int byte_level_byte(uint32_t character);

/* Normalizer ByteLevel: every byte becomes its character and keeps the byte's range. */
void byte_level_normalize(normalized *text);
/* Decoder ByteLevel: one string, the bytes of all tokens, with U+FFFD for what is no UTF-8. */
void byte_level_decode(const void *data, token_strings *s);

#endif
