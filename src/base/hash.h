/* SHA-256 (FIPS 180-4) for provenance, and FNV-1a for hash tables. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct sha256 {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
} sha256;
void sha256_init(sha256 *h);
void sha256_update(sha256 *h, const void *bytes, size_t count);
void sha256_hex(sha256 *h, char out[65]); /* finishes */

uint64_t hash_bytes(const void *bytes, size_t count);

#endif
