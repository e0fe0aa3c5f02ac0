/* How a target is called in sentences: a class, a token for a mask, the next token, a step of the output, an answer's start. */
#ifndef PRESENT_TARGET_NAME_H
#define PRESENT_TARGET_NAME_H

#include "present/screen.h"

/* Labels and tokens in sentences: safe and cut. */
void name_label(const screen *s, buffer *b, const char *label);
void name_quoted(const screen *s, buffer *b, view label);
/* "superb"; of equal words "is" (2). */
void name_of_feature(const screen *s, buffer *b, size_t feature);

/* The target as the first words of the head: POSITIVE 0.98; the next token is " Paris" (p 0.31). */
void target_name_head(const screen *s, buffer *b, const tkr_target_facts *t);
/* What pushes go towards: POSITIVE (in quotes when asked for), " Paris", B-PER at "Anna", the output. */
void target_name(const screen *s, buffer *b, const tkr_target_facts *t, bool in_quotes);
/* The same with the other side of a contrast behind `word` ("over", a minus sign). */
void target_name_contrast(const screen *s, buffer *b, const tkr_target_facts *t, bool in_quotes, const char *word);
/* Is one entry of the model's output meant, so that its favourite can be told beside it? */
bool target_has_rival(const tkr_target_facts *t);
/* Are labels of this target words of a vocabulary (and so quoted)? */
bool target_is_token(const tkr_target_facts *t);

#endif
