/* The sentence itself: painted (heat), with a line of marks under it (bars), or one feature a line (plain). */
#ifndef PRESENT_STRIP_H
#define PRESENT_STRIP_H

#include "present/strip_pieces.h"
#include "present/ranking.h"
#include "present/screen.h"

typedef struct strip {
    const pieces *pieces;
    const ranking *ranking;
    bool is_signed, is_set; /* a set's members are underlined, not measured */
    size_t indent;     /* the cursor stands here when strip_print begins */
    const char *note;  /* put after the last line of text; may be NULL   */
} strip;

void strip_print(screen *s, const strip *strip);

#endif
