#include "base/hash.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <zlib.h>

/* Inlined, because most keys are short and a call would cost as much as the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

uint64_t oz_hash64(const void *bytes, size_t n) { return XXH3_64bits(bytes, n); }

struct oz_u128 oz_hash128(const void *bytes, size_t n)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, n);
    return (struct oz_u128){.lo = hash.low64, .hi = hash.high64};
}

/* Eight tables: table[k][b] is the effect of byte b with k bytes of zeros behind it. */
static uint32_t crc_table[8][256];
static pthread_once_t crc_table_once = PTHREAD_ONCE_INIT;

static void fill_crc_table(void)
{
    const uint32_t castagnoli_reflected = 0x82f63b78u;
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? castagnoli_reflected : 0);
        crc_table[0][b] = crc;
    }
    for (uint32_t b = 0; b < 256; b++)
        for (int k = 1; k < 8; k++) {
            uint32_t crc = crc_table[k - 1][b];
            crc_table[k][b] = crc >> 8 ^ crc_table[0][crc & 0xff];
        }
}

uint32_t oz_crc32c_portable(const void *bytes, size_t n)
{
    pthread_once(&crc_table_once, fill_crc_table);
    const uint8_t *at = bytes;
    uint32_t crc = UINT32_MAX;
    for (; n >= 8; at += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        word ^= crc;
        crc = 0;
        for (int k = 0; k < 8; k++) crc ^= crc_table[7 - k][word >> 8 * k & 0xff];
    }
    for (; n; at++, n--) crc = crc >> 8 ^ crc_table[0][(crc ^ *at) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    uint64_t crc = UINT32_MAX;
    for (; n >= 8; at += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        crc = _mm_crc32_u64(crc, word);
    }
    for (; n; at++, n--) crc = _mm_crc32_u8((uint32_t)crc, *at);
    return ~(uint32_t)crc;
}
#endif

uint32_t oz_crc32c(const void *bytes, size_t n)
{
#if defined(__x86_64__)
    if (OZ_LIKELY(__builtin_cpu_supports("sse4.2"))) return crc32c_sse42(bytes, n);
#endif
    return oz_crc32c_portable(bytes, n);
}

uint32_t oz_murmur2(const void *bytes, size_t n)
{
    const uint32_t mix = 0x5bd1e995u, seed = 0x9747b28cu;
    const uint8_t *at = bytes;
    uint32_t h = seed ^ (uint32_t)n;
    for (; n >= 4; at += 4, n -= 4) {
        uint32_t k;
        memcpy(&k, at, 4);
        k *= mix;
        k ^= k >> 24;
        h = h * mix ^ k * mix;
    }
    if (n >= 3) h ^= (uint32_t)at[2] << 16;
    if (n >= 2) h ^= (uint32_t)at[1] << 8;
    if (n >= 1) h = (h ^ at[0]) * mix;
    h = (h ^ h >> 13) * mix;
    return h ^ h >> 15;
}

uint32_t oz_murmur2_partition(const void *key, size_t n, uint32_t n_partitions)
{
    OZ_ASSERT(n_partitions > 0);
    return (oz_murmur2(key, n) & 0x7fffffffu) % n_partitions;
}

uint32_t oz_crc32_partition(const void *key, size_t n, uint32_t n_partitions)
{
    OZ_ASSERT(n_partitions > 0);
    return (uint32_t)crc32_z(0, n ? key : (const void *)"", n) % n_partitions;
}

void oz_sha256(const void *bytes, size_t n, uint8_t ret_digest[32])
{
    unsigned len = 0;
    int done = EVP_Digest(n ? bytes : "", n, ret_digest, &len, EVP_sha256(), NULL);
    OZ_ASSERT(done == 1 && len == 32);
}

void oz_sha256_hex(const void *bytes, size_t n, char ret_hex[65])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[32];
    oz_sha256(bytes, n, digest);
    for (int i = 0; i < 32; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[64] = '\0';
}
