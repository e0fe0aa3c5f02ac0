/* Numbers for people: three significant digits, explicit sign, true minus, thousands, never "-0.00". */
#ifndef PRESENT_FIGURES_H
#define PRESENT_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

enum { FIGURE_ROOM = 64 };

/* Decimals that show `largest` with three significant digits: 2.91 -> 2, 12.3 -> 1, 0.0291 -> 4; at most 9. */
int figure_decimals(double largest);

/* +2.91, −1.87 (ASCII: -1.87), 0 for what rounds to nothing, 1,234. */
char *figure_signed(char out[FIGURE_ROOM], double value, int decimals, bool ascii);
/* The same without "+". */
char *figure_plain(char out[FIGURE_ROOM], double value, int decimals, bool ascii);
/* ± 0.05 (ASCII: +/- 0.05) beside a number with as many decimals; ± <0.01 for what rounds to nothing and is not. */
char *figure_error(char out[FIGURE_ROOM], double error, int decimals, bool ascii);
/* figure_signed with the decimals of its own size. */
char *figure_alone(char out[FIGURE_ROOM], double value, bool ascii);
/* 0.98; more decimals (at most 6) where two would not tell it from `other`; 0.003 and 2e-7 rather than 0.00.  other may be NaN. */
char *figure_probability(char out[FIGURE_ROOM], double value, double other);
/* A share as 41%; 0.4% below ten when `fine`. */
char *figure_percent(char out[FIGURE_ROOM], double share, bool fine);
/* 12,000 */
char *figure_count(char out[FIGURE_ROOM], size_t count);

#endif
