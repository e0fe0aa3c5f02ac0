/* Precompiled character maps for tests: built from keys, or put together from units that no tool would write. */
#ifndef SUPPORT_MAKE_CHARSMAP_H
#define SUPPORT_MAKE_CHARSMAP_H

#include <stddef.h>
#include <stdint.h>

enum { MADE_MAP_NODES = 2048, MADE_MAP_TEXTS = 4096 };

/* Each node has a block of 256 units of its own, so that children never meet.  Zero-initialised is empty; some 2 MiB. */
typedef struct made_map {
    uint32_t units[256 * (MADE_MAP_NODES + 1)];
    char texts[MADE_MAP_TEXTS];
    size_t nodes, text_size;
} made_map;

/* Add a key and what replaces it. */
void made_map_key(made_map *m, const char *key, const char *replacement);
/* The file: freed with free(). */
char *made_map_bytes(const made_map *m, size_t *size);
/* Such a file of any units and texts. */
char *made_map_of_units(const uint32_t *units, size_t count, const char *texts, size_t text_size, size_t *size);

#endif
