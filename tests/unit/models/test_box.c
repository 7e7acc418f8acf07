/* Proves that a box copies each element from where it lies to where it belongs, and touches nothing
 * else. How: random boxes (permuted, reversed, repeated, with gaps, with empty dimensions; elements
 * of 1, 4, 8 and 16 bytes) against one loop over all indices that does no more than the header
 * says. */
#include "fixture_files.h"
#include "models/net/box.h"

enum { BYTES_MAX = 1 << 18, RANK_MAX = 6 };

static uint64_t seed_state;

static uint64_t next_random(void)
{
    seed_state = seed_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed_state >> 33;
}

static int64_t random_below(int64_t n) { return (int64_t)(next_random() % (uint64_t)n); }

static void copy_twin(const struct oz_box *box, uint8_t *to, const uint8_t *from, int64_t bytes)
{
    int64_t n = 1;
    for (size_t d = 0; d < box->rank; d++) n *= box->dim[d];
    for (int64_t i = 0; i < n; i++) {
        int64_t at_to = 0, at_from = 0, rest = i;
        for (size_t d = box->rank; d-- > 0;) {
            int64_t index = rest % box->dim[d];
            rest /= box->dim[d];
            at_to += index * box->to[d];
            at_from += index * box->from[d];
        }
        memcpy(to + at_to * bytes, from + at_from * bytes, (size_t)bytes);
    }
}

/* Steps of a dense tensor whose dimensions lie in a random order, with gaps now and then; *ret_n is
 * how many elements it spans. */
static void random_steps(const struct oz_box *box, bool may_gap, int64_t *ret_step, int64_t *ret_n)
{
    size_t order[RANK_MAX];
    int64_t step = 1;
    for (size_t d = 0; d < box->rank; d++) order[d] = box->rank - 1 - d;
    if (random_below(2))
        for (size_t d = box->rank; d > 1; d--) {
            size_t other = (size_t)random_below((int64_t)d), kept = order[d - 1];
            order[d - 1] = order[other];
            order[other] = kept;
        }
    for (size_t i = 0; i < box->rank; i++) {
        ret_step[order[i]] = step;
        step *= box->dim[order[i]];
        if (may_gap && random_below(4) == 0) step += random_below(3);
    }
    *ret_n = step;
}

static void random_box(struct oz_box *ret, int64_t *ret_from, int64_t *ret_n_to,
                       int64_t *ret_n_from)
{
    *ret = (struct oz_box){.rank = (size_t)random_below(RANK_MAX + 1)};
    int64_t left = 1 + random_below(4000);
    for (size_t d = 0; d < ret->rank; d++) {
        ret->dim[d] = random_below(20) ? 1 + random_below(OZ_MIN(left, 40)) : random_below(2);
        left = OZ_MAX(left / OZ_MAX(ret->dim[d], 1), 1);
    }
    random_steps(ret, true, ret->to, ret_n_to);
    random_steps(ret, true, ret->from, ret_n_from);
    *ret_from = 0;
    for (size_t d = 0; d < ret->rank; d++) {
        if (random_below(6) == 0) ret->from[d] = 0;
        if (random_below(6) || !ret->dim[d]) continue;
        *ret_from += (ret->dim[d] - 1) * ret->from[d];
        ret->from[d] = -ret->from[d];
    }
}

static void boxes_copy_as_their_twin(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4, 8, 16};
    static uint8_t from[BYTES_MAX], to[BYTES_MAX], expected[BYTES_MAX];
    for (size_t i = 0; i < sizeof from; i++) from[i] = (uint8_t)next_random();
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct oz_box box;
        int64_t first, n_to, n_from;
        seed_state = seed;
        next_random();
        random_box(&box, &first, &n_to, &n_from);
        size_t bytes = sizes[random_below(4)];
        if ((size_t)OZ_MAX(n_to, n_from) * bytes > BYTES_MAX) continue;
        size_t n_seen = OZ_MIN((size_t)n_to * bytes + 64, (size_t)BYTES_MAX);
        memset(to, 0xa5, n_seen);
        memset(expected, 0xa5, n_seen);
        copy_twin(&box, expected, from + (size_t)first * bytes, (int64_t)bytes);
        oz_box_copy(&box, to, from + (size_t)first * bytes, bytes);
        if (memcmp(to, expected, n_seen)) fail_msg("seed %llu", (unsigned long long)seed);
    }
}

static void fill_repeats_one_element(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4, 8, 16};
    uint8_t element[16], to[100 * 16 + 16];
    for (size_t i = 0; i < sizeof element; i++) element[i] = (uint8_t)(i + 1);
    for (size_t s = 0; s < OZ_COUNT_OF(sizes); s++)
        for (int64_t n = 0; n <= 100; n++) {
            memset(to, 0xa5, sizeof to);
            oz_box_fill(to, element, sizes[s], n);
            for (size_t i = 0; i < sizeof to; i++)
                assert_int_equal(to[i], i < (size_t)n * sizes[s] ? element[i % sizes[s]] : 0xa5);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(boxes_copy_as_their_twin),
                                       cmocka_unit_test(fill_repeats_one_element)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
