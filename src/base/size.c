/* Numbers in files are little-endian and at any address: read byte by byte, never cast. */
#include "base/size.h"

uint64_t bytes_u64le(const unsigned char *at)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}
