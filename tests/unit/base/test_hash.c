/* Proves that each hash is the one that formats and partitioners mean: SHA-256 and CRC-32 against
 * Python's hashlib and zlib, CRC-32C against a bit-by-bit reckoning in Python and the vectors of
 * RFC 3720 B.4, murmur2 against the values that Kafka's own UtilsTest documents, XXH3 of no bytes
 * against the published value. The other XXH3 values are pins: they came from the library and only
 * notice a change, which would orphan stored rows. */
#include "base/hash.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

struct hashed {
    size_t n;
    uint32_t crc32, crc32c;
    const char *sha256;
};
#include "tests/unit/base/hash_vectors.inc"

static void test_python(void **state)
{
    (void)state;
    static uint8_t bytes[16384];
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)(7 * i + 3);
    for (size_t i = 0; i < OZ_COUNT_OF(hashes); i++) {
        char hex[65];
        size_t n = hashes[i].n;
        oz_sha256_hex(bytes, n, hex);
        assert_string_equal(hex, hashes[i].sha256);
        assert_int_equal(oz_crc32_partition(bytes, n, UINT32_MAX), hashes[i].crc32 % UINT32_MAX);
        assert_int_equal(oz_crc32_partition(bytes, n, 12), hashes[i].crc32 % 12);
        assert_int_equal(oz_crc32c(bytes, n), hashes[i].crc32c);
        assert_int_equal(oz_crc32c_portable(bytes, n), hashes[i].crc32c);
    }
    assert_int_equal(oz_crc32c(NULL, 0), 0);
    assert_int_equal(oz_crc32_partition(NULL, 0, 7), 0);
}

static void test_crc32c_rfc3720(void **state)
{
    (void)state;
    uint8_t bytes[32];
    memset(bytes, 0, 32);
    assert_int_equal(oz_crc32c(bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    assert_int_equal(oz_crc32c(bytes, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
    assert_int_equal(oz_crc32c(bytes, 32), 0x46dd794eu);
    assert_int_equal(oz_crc32c_portable(bytes, 32), 0x46dd794eu);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(oz_crc32c(bytes, 32), 0x113fdb5cu);
}

/* Every length and alignment, the two ways against each other. */
static void test_crc32c_twins(void **state)
{
    (void)state;
    uint8_t bytes[160];
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)(i * i + 11);
    for (size_t from = 0; from < 16; from++)
        for (size_t n = 0; n + from <= sizeof(bytes); n++)
            assert_int_equal(oz_crc32c(bytes + from, n), oz_crc32c_portable(bytes + from, n));
}

static void test_murmur2(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t hash;
    } rows[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) {
        size_t n = strlen(rows[i].text);
        assert_int_equal((int32_t)oz_murmur2(rows[i].text, n), rows[i].hash);
        uint32_t positive = (uint32_t)rows[i].hash & 0x7fffffff;
        assert_int_equal(oz_murmur2_partition(rows[i].text, n, 0x80000000u), positive);
        assert_int_equal(oz_murmur2_partition(rows[i].text, n, 12), positive % 12);
    }
}

static void test_xxh3(void **state)
{
    (void)state;
    assert_int_equal(oz_hash64("", 0), UINT64_C(0x2d06800538d394c2));
    struct oz_u128 none = oz_hash128("", 0);
    assert_int_equal(none.hi, UINT64_C(0x99aa06d3014798d8));
    assert_int_equal(none.lo, UINT64_C(0x6001c324468d497f));

    assert_int_equal(oz_hash64("ouzel", 5), UINT64_C(0xe4f1844df82d31ba));
    struct oz_u128 pinned = oz_hash128("ouzel", 5);
    assert_int_equal(pinned.hi, UINT64_C(0xed19ebd021247b4c));
    assert_int_equal(pinned.lo, UINT64_C(0xb7bc76dc94ce3d7c));
    static uint8_t bytes[1000];
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)(7 * i + 3);
    assert_int_equal(oz_hash64(bytes, 1000), UINT64_C(0x6c4f14bd97bd9e82));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_python),       cmocka_unit_test(test_crc32c_rfc3720),
        cmocka_unit_test(test_crc32c_twins), cmocka_unit_test(test_murmur2),
        cmocka_unit_test(test_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
