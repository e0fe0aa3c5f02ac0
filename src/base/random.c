/*
 * Philox4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
 *
 * Key = the seed; counter = (index, purpose, item).  The two highest bits of the index tell the kind of draw, so that a
 * uniform and a normal of the same stream and index share no random words (streams are good for 2^62 draws of each kind).
 * The normal is Box-Muller with a logarithm and cosine of our own: those of C libraries differ in the last bit between
 * processors, and a seed has to mean the same draws everywhere.  Basic arithmetic and sqrt are exact by IEEE 754.
 */
#include "base/random.h"

#include <math.h>

typedef enum draw_kind { DRAW_WORD = 0, DRAW_UNIT = 1, DRAW_NORMAL = 2, DRAW_BELOW = 3 } draw_kind;

uint32_t random_purpose(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

void philox4x32_10(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void draw(uint32_t out[4], random_key key, uint64_t index, draw_kind kind)
{
    uint64_t place = (index & UINT64_MAX >> 2) | (uint64_t)kind << 62;
    uint32_t counter[4] = {(uint32_t)place, (uint32_t)(place >> 32), key.purpose, key.item};
    uint32_t seed[2] = {(uint32_t)key.seed, (uint32_t)(key.seed >> 32)};
    philox4x32_10(out, counter, seed);
}

/* [0, 1) in steps of 2^-53. */
static double unit_of(uint32_t high, uint32_t low)
{
    return ((double)(high >> 5) * 67108864.0 + (double)(low >> 6)) * 0x1p-53;
}

uint32_t random_u32(random_key key, uint64_t index)
{
    uint32_t words[4];
    draw(words, key, index, DRAW_WORD);
    return words[0];
}

double random_unit(random_key key, uint64_t index)
{
    uint32_t words[4];
    draw(words, key, index, DRAW_UNIT);
    return unit_of(words[0], words[1]);
}

/* ln x for 0 < x <= 1: x = m 2^e with m in [sqrt(1/2), sqrt 2); ln m = 2 atanh z, z = (m-1)/(m+1), |z| <= 0.1716. */
static double fixed_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    double z = (m - 1) / (m + 1), square = z * z, sum = 0;
    for (int k = 21; k >= 1; k -= 2) /* the next term is below 2^-60 of the sum */
        sum = sum * square + 1.0 / k;
    return exponent * 0.69314718055994531 + 2 * z * sum;
}

/* cos(2 pi u), u in [0, 1): folded to an angle of at most a quarter of pi, then the series of sine or cosine. */
static double fixed_cos_turn(double u)
{
    double turn = u > 0.5 ? 1 - u : u; /* cos is even: [0, 1/2] */
    double sign = turn > 0.25 ? -1 : 1;
    turn = turn > 0.25 ? 0.5 - turn : turn; /* [0, 1/4] */
    int as_sine = turn > 0.125;
    double x = 6.2831853071795865 * (as_sine ? 0.25 - turn : turn), square = x * x, sum = 1;
    for (int k = 18; k >= 2; k -= 2)
        sum = 1 - sum * square / (as_sine ? k * (k + 1) : k * (k - 1));
    return sign * (as_sine ? x * sum : sum);
}

double random_normal(random_key key, uint64_t index)
{
    uint32_t words[4];
    draw(words, key, index, DRAW_NORMAL);
    double radius = sqrt(-2 * fixed_log(1 - unit_of(words[0], words[1]))); /* 1 - u is never 0 */
    return radius * fixed_cos_turn(unit_of(words[2], words[3]));
}

uint32_t random_below(random_key key, uint64_t index, uint32_t bound)
{
    uint32_t words[4];
    draw(words, key, index, DRAW_BELOW);
    return (uint32_t)((uint64_t)words[0] * bound >> 32);
}
