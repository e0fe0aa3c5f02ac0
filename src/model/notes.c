/* Notes and short lists of names; see notes.h. */
#include "model/notes.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/failure.h"
#include "base/memory.h"
#include "model/wildcard.h"

enum { NOTE_ROOM = 800, FOLDER_NAMES_MAX = 4096 };

static bool make_room(notes *n)
{
    if (n->count < n->capacity)
        return true;
    size_t capacity = n->capacity ? n->capacity * 2 : 8;
    char **text = memory_resize(n->text, capacity, sizeof(char *));
    if (!text)
        return false;
    n->text = text;
    n->capacity = capacity;
    return true;
}

void notes_add(notes *n, const char *format, ...)
{
    char line[NOTE_ROOM];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t length = written < 0 ? 0 : (size_t)written < sizeof line ? (size_t)written : sizeof line - 1;
    char *copy = make_room(n) ? memory_copy_text(line, length) : NULL;
    if (copy)
        n->text[n->count++] = copy;
    else
        n->failed = true;
}

void notes_add_code(notes *n, const folder *f)
{
    static const char *const code[] = {"*.py", NULL};
    char **names = NULL;
    name_list found = {0};
    size_t count = folder_names(f, &names, FOLDER_NAMES_MAX);
    for (size_t i = 0; i < count; i++)
        if (wildcard_any(code, names[i]))
            name_list_add(&found, names[i]);
    memory_free(names);
    if (found.count)
        notes_add(n, "%s: code in the folder is never run", found.text);
}

void notes_fini(notes *n)
{
    for (size_t i = 0; i < n->count; i++)
        memory_free(n->text[i]);
    memory_free(n->text);
    *n = (notes){0};
}

void name_list_add_text(name_list *list, const char *text)
{
    size_t room = sizeof list->text - list->used;
    list->count++;
    if (list->count > NAME_LIST_SHOWN + 1)
        return;
    int written = list->count > NAME_LIST_SHOWN
                      ? snprintf(list->text + list->used, room, ", …")
                      : snprintf(list->text + list->used, room, "%s%s", list->used ? ", " : "", text);
    if (written > 0 && (size_t)written < room)
        list->used += (size_t)written;
    else
        list->text[list->used] = '\0'; /* one too long to show is left out whole */
}

void name_list_add(name_list *list, const char *name) { name_list_add_text(list, QUOTE(view_of(name))); }
