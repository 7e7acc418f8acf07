/* Proves that what an arena gives out is aligned and never overlaps (every byte of every piece is
 * written with the piece's own mark and read again), that a warm arena allocates nothing, and that
 * running out of memory leaves it usable. */
#include "base/arena.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static uint32_t random_state;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

enum { N_PIECES = 2000 };

static void fill_and_check(struct oz_arena *arena, uint32_t seed)
{
    static uint8_t *piece[N_PIECES];
    static size_t len[N_PIECES];
    random_state = seed;
    for (int i = 0; i < N_PIECES; i++) {
        len[i] = random_below(i % 100 ? 200 : 50000);
        if (i % 3) {
            piece[i] = oz_arena_get(arena, len[i]);
            assert_int_equal((uintptr_t)piece[i] % 16, 0);
        } else {
            static char text[50000];
            piece[i] = (uint8_t *)oz_arena_strndup(arena, text, len[i]);
            assert_int_equal(piece[i][len[i]], 0);
            len[i]++;
        }
        assert_non_null(piece[i]);
        memset(piece[i], i & 255, len[i]);
    }
    for (int i = 0; i < N_PIECES; i++)
        for (size_t k = 0; k < len[i]; k++) assert_true(piece[i][k] == (i & 255));
}

static void test_pieces(void **state)
{
    (void)state;
    struct oz_arena arena;
    oz_arena_init(&arena, 1024);
    uint64_t before = oz_allocations();
    oz_arena_init(&arena, 1024);
    assert_int_equal(oz_allocations(), before);
    fill_and_check(&arena, 1);
    uint64_t warm = oz_allocations();
    assert_true(warm > before);
    for (int i = 0; i < 3; i++) {
        oz_arena_reset(&arena);
        fill_and_check(&arena, 1);
    }
    assert_int_equal(oz_allocations(), warm);
    /* Other sizes each time: it must stop growing all the same. */
    for (uint32_t i = 0; i < 30; i++) {
        oz_arena_reset(&arena);
        fill_and_check(&arena, i + 2);
    }
    assert_true(oz_allocations() - warm <= 3);
    oz_arena_clear(&arena);
    oz_arena_clear(&arena);
    fill_and_check(&arena, 1); /* cleared is as good as new */
    oz_arena_clear(&arena);
}

static void test_aligned(void **state)
{
    (void)state;
    struct oz_arena arena;
    oz_arena_init(&arena, 1000);
    for (size_t n = 0; n < 300; n++) {
        uint8_t *p = oz_arena_aligned(&arena, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % OZ_ARENA_LINE, 0);
        memset(p, 0xee, n); /* the sanitizer sees a byte too many */
        assert_non_null(oz_arena_get(&arena, 1 + n % 7));
    }
    assert_null(oz_arena_aligned(&arena, SIZE_MAX - 3));
    oz_arena_clear(&arena);
}

static void test_text(void **state)
{
    (void)state;
    struct oz_arena arena;
    oz_arena_init(&arena, 0);
    char *copy = oz_arena_strndup(&arena, "transactions", 5);
    assert_string_equal(copy, "trans");
    assert_string_equal(oz_arena_strndup(&arena, NULL, 0), "");
    char *text = oz_arena_printf(&arena, "%s/%d/%s", "a", 42, copy);
    assert_string_equal(text, "a/42/trans");
    char *wide = oz_arena_printf(&arena, "%5000d|", 7);
    assert_int_equal(strlen(wide), 5001);
    assert_string_equal(wide + 4999, "7|");
    uint64_t *zeroed = oz_arena_zeroed(&arena, 100, 8);
    for (int i = 0; i < 100; i++) assert_int_equal(zeroed[i], 0);
    memset(zeroed, 255, 800);
    oz_arena_reset(&arena);
    for (int i = 0; i < 20; i++) {
        zeroed = oz_arena_zeroed(&arena, 100, 8);
        for (int k = 0; k < 100; k++) assert_int_equal(zeroed[k], 0);
        memset(zeroed, 255, 800);
    }
    oz_arena_clear(&arena);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct oz_arena arena;
    oz_arena_init(&arena, 256);
    oz_fail_allocation(1);
    assert_null(oz_arena_get(&arena, 10));
    char *kept = oz_arena_strndup(&arena, "kept", 4);
    assert_non_null(kept);
    assert_null(oz_arena_get(&arena, SIZE_MAX));
    assert_null(oz_arena_get(&arena, SIZE_MAX - 16));
    assert_null(oz_arena_zeroed(&arena, SIZE_MAX / 2 + 1, 2));
    assert_null(oz_arena_strndup(&arena, "x", SIZE_MAX));
    oz_fail_allocation(1);
    assert_null(oz_arena_get(&arena, 100000));
    oz_fail_allocation(1);
    assert_null(oz_arena_printf(&arena, "%90000d", 1));
    assert_string_equal(kept, "kept");
    assert_non_null(oz_arena_get(&arena, 100000));
    oz_arena_clear(&arena);
}

/* A kept block that is one byte too small is passed over, one that fits exactly is taken. */
static void test_exact_fit(void **state)
{
    (void)state;
    struct oz_arena arena;
    oz_arena_init(&arena, 256);
    memset(oz_arena_get(&arena, 256), 1, 256);
    memset(oz_arena_get(&arena, 512), 2, 512);
    uint64_t before = oz_allocations();
    oz_arena_reset(&arena);
    memset(oz_arena_get(&arena, 256), 1, 256);
    memset(oz_arena_get(&arena, 512), 2, 512);
    assert_int_equal(oz_allocations(), before);
    oz_arena_reset(&arena);
    memset(oz_arena_get(&arena, 256), 1, 256);
    memset(oz_arena_get(&arena, 513), 2, 513);
    assert_int_equal(oz_allocations(), before + 1);
    oz_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),    cmocka_unit_test(test_aligned),
        cmocka_unit_test(test_text),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_exact_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
