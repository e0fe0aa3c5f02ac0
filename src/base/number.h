/*
 * Numbers as text, whatever the locale: the one place that calls printf and strtod on floating point.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/view.h"

enum { NUMBER_ROOM = 40 };

/* Shortest decimal that reads back to the same float32 / float64.  "-0" is written "0"; not for NaN or infinity. */
char *number_shortest_f32(char out[NUMBER_ROOM], float value);
char *number_shortest_f64(char out[NUMBER_ROOM], double value);
/* Fixed decimals, '.' as separator; never "-0.00". */
char *number_fixed(char out[NUMBER_ROOM], double value, int decimals);

/* The whole text must be the number: no space, no sign "+", no hex, no "nan".  Underflow to 0 and overflow return false. */
bool number_parse_real(view text, double *value);
bool number_parse_int(view text, int64_t *value);   /* false on overflow */
bool number_parse_u64(view text, uint64_t *value);

#endif
