/*
 * Vocabulary: one block of bytes, one array of pieces, a hash table over the pieces and an array over the ids.
 *
 * The hash is FNV-1a, whose low bits are weak, so a slot is chosen by a multiplied copy of it; collisions made on purpose
 * only cost time, since the table is never more than half full and whole pieces are compared.
 * Source: Fowler, Noll, Vo, FNV-1a (32 bits).
 */
#include "text/vocabulary.h"

#include "base/memory.h"

static size_t slot_of(const vocabulary *v, uint32_t hash)
{
    return (size_t)(((uint64_t)hash * 0x9E3779B97F4A7C15u) >> 32) & (v->slot_count - 1);
}

static bool vocabulary_rehash(vocabulary *v, size_t pieces)
{
    size_t count = 64;
    while (count < 2 * pieces)
        count *= 2;
    if (count <= v->slot_count)
        return true;
    uint32_t *slots = NEW(uint32_t, count);
    if (!slots)
        return false;
    memory_free(v->slots);
    v->slots = slots;
    v->slot_count = count;
    for (size_t i = 0; i < v->count; i++) {
        size_t slot = slot_of(v, v->pieces[i].hash);
        while (slots[slot])
            slot = (slot + 1) & (count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    return true;
}

static bool reserve_pieces(vocabulary *v, size_t pieces)
{
    if (pieces <= v->capacity)
        return true;
    size_t capacity = v->capacity * 2 > pieces ? v->capacity * 2 : pieces;
    vocabulary_piece *grown = memory_resize(v->pieces, capacity, sizeof(*grown));
    if (!grown)
        return false;
    v->pieces = grown;
    v->capacity = capacity;
    return true;
}

static bool reserve_bytes(vocabulary *v, size_t bytes)
{
    if (bytes <= v->bytes_capacity)
        return true;
    size_t capacity = v->bytes_capacity * 2 > bytes ? v->bytes_capacity * 2 : bytes;
    char *grown = memory_resize(v->bytes, capacity, 1);
    if (!grown)
        return false;
    v->bytes = grown;
    v->bytes_capacity = capacity;
    return true;
}

static bool reserve_id(vocabulary *v, size_t id)
{
    if (id < v->id_capacity)
        return true;
    size_t capacity = v->id_capacity * 2 > id + 1 ? v->id_capacity * 2 : id + 1;
    uint32_t *grown = memory_resize(v->by_id, capacity, sizeof(*grown));
    if (!grown)
        return false;
    memset(grown + v->id_capacity, 0, (capacity - v->id_capacity) * sizeof(*grown));
    v->by_id = grown;
    v->id_capacity = capacity;
    return true;
}

bool vocabulary_reserve(vocabulary *v, size_t pieces, size_t bytes)
{
    return reserve_pieces(v, pieces) && reserve_bytes(v, bytes) && vocabulary_rehash(v, pieces) &&
           (pieces == 0 || reserve_id(v, pieces - 1));
}

/* Slot where the piece prefix + rest is, or the free slot where it would go. */
static size_t vocabulary_probe(const vocabulary *v, uint32_t hash, view prefix, view rest)
{
    size_t slot = slot_of(v, hash);
    for (; v->slots[slot]; slot = (slot + 1) & (v->slot_count - 1)) {
        const vocabulary_piece *p = &v->pieces[v->slots[slot] - 1];
        const char *text = v->bytes + p->offset;
        if (p->hash == hash && p->size == prefix.size + rest.size && memcmp(text, prefix.data, prefix.size) == 0 &&
            memcmp(text + prefix.size, rest.data, rest.size) == 0)
            break;
    }
    return slot;
}

vocabulary_answer vocabulary_add(vocabulary *v, view piece, int32_t id, size_t *other)
{
    if (!reserve_pieces(v, v->count + 1) || !reserve_bytes(v, v->bytes_used + piece.size + 1) ||
        !vocabulary_rehash(v, v->count + 1) || !reserve_id(v, (size_t)id))
        return VOCABULARY_NO_MEMORY;
    uint32_t hash = vocabulary_hash_more(VOCABULARY_HASH_START, piece);
    size_t slot = vocabulary_probe(v, hash, VIEW(""), piece);
    if (v->slots[slot]) {
        *other = v->slots[slot] - 1;
        return VOCABULARY_SAME_PIECE;
    }
    if (v->by_id[id]) {
        *other = v->by_id[id] - 1;
        return VOCABULARY_SAME_ID;
    }
    v->pieces[v->count] = (vocabulary_piece){v->bytes_used, (uint32_t)piece.size, hash, id};
    if (piece.size > 0)
        memcpy(v->bytes + v->bytes_used, piece.data, piece.size);
    v->bytes[v->bytes_used + piece.size] = '\0';
    v->bytes_used += piece.size + 1;
    v->count++;
    v->slots[slot] = (uint32_t)v->count;
    v->by_id[id] = (uint32_t)v->count;
    if ((size_t)id + 1 > v->id_limit)
        v->id_limit = (size_t)id + 1;
    if (piece.size > v->longest)
        v->longest = piece.size;
    return VOCABULARY_ADDED;
}

void vocabulary_fini(vocabulary *v)
{
    memory_free(v->pieces);
    memory_free(v->bytes);
    memory_free(v->slots);
    memory_free(v->by_id);
    *v = (vocabulary){0};
}

int32_t vocabulary_find(const vocabulary *v, uint32_t hash, view prefix, view rest)
{
    if (v->count == 0)
        return -1;
    uint32_t number = v->slots[vocabulary_probe(v, hash, prefix, rest)];
    return number ? v->pieces[number - 1].id : -1;
}

int32_t vocabulary_id(const vocabulary *v, view piece)
{
    return vocabulary_find(v, vocabulary_hash_more(VOCABULARY_HASH_START, piece), VIEW(""), piece);
}

view vocabulary_text(const vocabulary *v, size_t number)
{
    return (view){v->bytes + v->pieces[number].offset, v->pieces[number].size};
}

view vocabulary_piece_of(const vocabulary *v, int32_t id)
{
    if (id < 0 || (size_t)id >= v->id_limit || !v->by_id[id])
        return (view){NULL, 0};
    return vocabulary_text(v, v->by_id[id] - 1);
}
