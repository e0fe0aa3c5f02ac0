/* Pieces: a growing array. */
#include "text/pieces.h"

#include "base/memory.h"

void pieces_add(piece_list *list, size_t begin, size_t end, int32_t added)
{
    if (begin >= end || list->failed)
        return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 32;
        text_piece *grown = memory_resize(list->items, capacity, sizeof(*grown));
        if (!grown) {
            list->failed = true;
            return;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = (text_piece){(uint32_t)begin, (uint32_t)end, added};
}

void pieces_fini(piece_list *list)
{
    memory_free(list->items);
    *list = (piece_list){0};
}
