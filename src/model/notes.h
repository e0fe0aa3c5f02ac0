/*
 * Notes: what a careful reader should know about an opened folder, collected while it is read.  Running out of memory for
 * a note is remembered (failed), so that it is checked once at the end.
 */
#ifndef MODEL_NOTES_H
#define MODEL_NOTES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/folder.h"

typedef struct notes {
    char **text;
    size_t count, capacity;
    bool failed;
    bool lists_all; /* one note for each of a kind, not a short list of them */
} notes;

void notes_add(notes *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
void notes_fini(notes *n);
/* Files that a careful reader wonders about: code in the folder. */
void notes_add_code(notes *n, const folder *f);

/* Up to five quoted names, an ellipsis when there are more: `"a", "b", …`. */
enum { NAME_LIST_ROOM = 560, NAME_LIST_SHOWN = 5 };
typedef struct name_list {
    char text[NAME_LIST_ROOM];
    size_t used, count;
} name_list;
void name_list_add(name_list *list, const char *name);
void name_list_add_text(name_list *list, const char *text); /* as it is, safe to show */

#endif
