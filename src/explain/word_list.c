/* Numbered words: a list, and an open-addressing table of numbers into it. */
#include "explain/word_list.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/memory.h"

struct word_list {
    arena *memory;     /* the bytes of the words      */
    view *words;       /* [capacity / 2]              */
    size_t *numbers;   /* [capacity] number + 1; 0: free */
    size_t count, capacity;
};

word_list *word_list_new(void)
{
    word_list *l = NEW(word_list, 1);
    if (l && (l->memory = arena_new(SIZE_MAX)))
        return l;
    word_list_free(l);
    return NULL;
}

void word_list_free(word_list *l)
{
    if (!l)
        return;
    arena_free(l->memory);
    memory_free(l->words);
    memory_free(l->numbers);
    memory_free(l);
}

view word_list_at(const word_list *l, size_t number) { return l->words[number]; }
size_t word_list_count(const word_list *l) { return l->count; }

/* Where the word is, or would go. */
static size_t *slot_of(const word_list *l, view word)
{
    size_t at = (size_t)hash_bytes(word.data, word.size) & (l->capacity - 1);
    while (l->numbers[at] && !view_equal(l->words[l->numbers[at] - 1], word))
        at = (at + 1) & (l->capacity - 1);
    return &l->numbers[at];
}

static bool grow(word_list *l)
{
    size_t capacity = l->capacity ? 2 * l->capacity : 1024;
    view *words = memory_resize(l->words, capacity / 2, sizeof *words);
    if (words)
        l->words = words;
    size_t *numbers = words ? NEW(size_t, capacity) : NULL;
    if (!numbers)
        return false;
    memory_free(l->numbers);
    l->numbers = numbers;
    l->capacity = capacity;
    for (size_t i = 0; i < l->count; i++)
        *slot_of(l, l->words[i]) = i + 1;
    return true;
}

size_t word_list_find(const word_list *l, view word)
{
    size_t *slot = l->capacity ? slot_of(l, word) : NULL;
    return slot && *slot ? *slot - 1 : SIZE_MAX;
}

size_t word_list_enter(word_list *l, view word)
{
    size_t found = word_list_find(l, word);
    if (found != SIZE_MAX)
        return found;
    if (2 * l->count >= l->capacity && !grow(l))
        return SIZE_MAX;
    char *copy = arena_copy_text(l->memory, word);
    if (!copy)
        return SIZE_MAX;
    size_t *slot = slot_of(l, word);
    l->words[l->count] = (view){copy, word.size};
    *slot = ++l->count;
    return l->count - 1;
}
