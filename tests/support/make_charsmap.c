/*
 * Precompiled character maps for tests.
 *
 * Unit 0 is the root, and the children of node k stand in units 256 (k + 1) to 256 (k + 2) - 1, at the place of their byte;
 * place 0 of a block is the value of a key that ends there.
 */
#include "support/make_charsmap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The unit of a node: its label, and its block's distance from where the unit stands. */
static uint32_t unit_of_node(unsigned char label, size_t at, size_t node)
{
    return label | (uint32_t)(at ^ 256 * (node + 1)) << 10;
}

void made_map_key(made_map *m, const char *key, const char *replacement)
{
    size_t node = 0, at = 0, size = strlen(replacement) + 1;
    if (m->nodes == 0)
        m->units[0] = unit_of_node(0, 0, m->nodes++);
    for (; *key; key++) {
        unsigned char byte = (unsigned char)*key;
        at = 256 * (node + 1) + byte;
        if (m->units[at] == 0) {
            assert(m->nodes < MADE_MAP_NODES);
            m->units[at] = unit_of_node(byte, at, m->nodes++);
        }
        node = ((size_t)(m->units[at] >> 10) ^ at) / 256 - 1;
    }
    assert(m->text_size + size <= MADE_MAP_TEXTS);
    m->units[at] |= 1U << 8;
    m->units[256 * (node + 1)] = 1U << 31 | (uint32_t)m->text_size;
    memcpy(m->texts + m->text_size, replacement, size);
    m->text_size += size;
}

char *made_map_bytes(const made_map *m, size_t *size)
{
    return made_map_of_units(m->units, 256 * (m->nodes + 1), m->texts, m->text_size, size);
}

static unsigned char *put_number(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        *at++ = (unsigned char)(value >> 8 * i);
    return at;
}

char *made_map_of_units(const uint32_t *units, size_t count, const char *texts, size_t text_size, size_t *size)
{
    *size = 4 + 4 * count + text_size;
    unsigned char *bytes = malloc(*size), *at = bytes;
    if (!bytes)
        return NULL;
    at = put_number(at, (uint32_t)(4 * count));
    for (size_t i = 0; i < count; i++)
        at = put_number(at, units[i]);
    memcpy(at, texts, text_size);
    return (char *)bytes;
}
