/* Proves that the products of nets compute what they say, with the same bits on every instruction
 * set, in any batch and at any place in it.
 * How: over random shapes, strides and starts, every table (the AVX-512 one also through SIMDe)
 * must agree with the scalar one to the bit, and the scalar one with a sum in double within
 * (k + 2) 2^-24 times the sum of the sizes; what is not part of the result must be untouched. Rows
 * computed one part after the other must have the bits of all at once. The choice of a table is
 * asked in processes of their own, since it is made once. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/kernels/kernel_tables.h"

struct product {
    size_t m, n, k, lda, ldw, ldc, ld_start;
    float *a, *w, *start, *c; /* start NULL: zero; start == c: what is there */
    struct oz_activation act;
};

static struct product random_product(bool is_large, bool any)
{
    struct product p = {.m = random_below(40), .n = random_below(150), .k = random_below(90)};
    if (random_below(4) == 0) p.n = 1 + random_below(20);
    if (is_large) p.k = 200 + random_below(1000), p.m = random_below(150);
    p.lda = p.k + random_below(3);
    p.ldw = p.n + random_below(3);
    p.ldc = p.n + random_below(3);
    p.a = random_floats(p.m * p.lda, any);
    p.w = random_floats(p.k * p.ldw, any);
    p.c = random_floats(p.m * p.ldc, any);
    switch (random_below(4)) {
    case 0: break;
    case 1: p.start = random_floats(p.n, any); break;
    case 2: p.ld_start = p.n, p.start = random_floats(p.m * p.n, any); break;
    default: p.ld_start = p.ldc, p.start = p.c;
    }
    p.act = act_of((enum oz_act)random_below(OZ_ACT_COUNT));
    return p;
}

static void free_product(struct product *p)
{
    if (p->start != p->c) free(p->start);
    free(p->a);
    free(p->w);
    free(p->c);
}

/* Rows [from, to) of the product in a fresh copy of c. */
static void run_product(const struct oz_net_kernels *table, const struct product *p, bool is_packed,
                        size_t from, size_t to, float *c)
{
    const float *start = p->start == p->c ? c : p->start;
    if (start) start += from * p->ld_start;
    if (is_packed) {
        float *packed = aligned_bytes(table->dense_f32_packed_bytes(p->k, p->n));
        table->dense_f32_pack(p->k, p->n, p->w, p->ldw, 1, 1, packed);
        table->dense_f32_packed(to - from, p->n, p->k, p->a + from * p->lda, p->lda, packed, start,
                                p->ld_start, &p->act, c + from * p->ldc, p->ldc);
        free(packed);
    } else
        table->dense_f32_plain(to - from, p->n, p->k, p->a + from * p->lda, p->lda, p->w, p->ldw,
                               start, p->ld_start, &p->act, c + from * p->ldc, p->ldc);
}

static float *copy_of(const float *x, size_t n)
{
    float *copy = floats(n);
    if (n) memcpy(copy, x, n * sizeof *x);
    return copy;
}

static void check_equal(const float *c, const float *expected, const struct product *p,
                        const char *isa, const char *what)
{
    size_t at = first_difference(c, expected, p->m * p->ldc);
    if (at == p->m * p->ldc) return;
    fail_msg("%s, %s: [%zu x %zu x %zu] lda %zu ldc %zu ld_start %zu %s, element %zu: %a, not %a",
             isa, what, p->m, p->n, p->k, p->lda, p->ldc, p->ld_start, act_names[p->act.kind], at,
             (double)c[at], (double)expected[at]);
}

static void test_products_have_the_same_bits(void **state)
{
    (void)state;
    size_t rounds = rounds_of(2000);
    for (size_t round = 0; round < rounds; round++) {
        struct product p = random_product(round % 20 == 0, round % 2);
        float *expected = copy_of(p.c, p.m * p.ldc);
        run_product(oz_net_kernels_at(0), &p, false, 0, p.m, expected);
        const struct oz_net_kernels *table;
        for (size_t i = 0; (table = table_at(i)); i++)
            for (int is_packed = 0; is_packed < 2; is_packed++) {
                float *c = copy_of(p.c, p.m * p.ldc);
                run_product(table, &p, is_packed, 0, p.m, c);
                check_equal(c, expected, &p, table->isa, is_packed ? "packed" : "plain");
                free(c);
            }
        free(expected);
        free_product(&p);
    }
}

static void test_rows_do_not_depend_on_their_batch(void **state)
{
    (void)state;
    size_t rounds = rounds_of(1000);
    for (size_t round = 0; round < rounds; round++) {
        struct product p = random_product(round % 20 == 0, round % 2);
        const struct oz_net_kernels *table;
        for (size_t i = 0; (table = table_at(i)); i++)
            for (int is_packed = 0; is_packed < 2; is_packed++) {
                float *all = copy_of(p.c, p.m * p.ldc), *parts = copy_of(p.c, p.m * p.ldc);
                run_product(table, &p, is_packed, 0, p.m, all);
                for (size_t row = 0, end; row < p.m; row = end) {
                    end = row + 1 + random_below(p.m - row);
                    run_product(table, &p, is_packed, row, end, parts);
                }
                check_equal(parts, all, &p, table->isa, "in parts");
                free(all);
                free(parts);
            }
        free_product(&p);
    }
}

static void test_products_are_right(void **state)
{
    (void)state;
    for (size_t round = 0; round < rounds_of(300); round++) {
        struct product p = random_product(round % 20 == 0, false);
        p.act = act_of(OZ_ACT_NONE);
        float *c = copy_of(p.c, p.m * p.ldc);
        run_product(oz_net_kernels_at(0), &p, true, 0, p.m, c);
        for (size_t row = 0; row < p.m; row++)
            for (size_t j = 0; j < p.n; j++) {
                double sum = p.start ? (double)p.start[row * p.ld_start + j] : 0, size = fabs(sum);
                for (size_t i = 0; i < p.k; i++) {
                    double term = (double)p.a[row * p.lda + i] * (double)p.w[i * p.ldw + j];
                    sum += term;
                    size += fabs(term);
                }
                double error = fabs((double)c[row * p.ldc + j] - sum);
                assert_true(error <= (double)(p.k + 2) * 0x1p-24 * size);
            }
        free(c);
        free_product(&p);
    }
}

static void test_packing_turns_and_scales(void **state)
{
    (void)state;
    const struct oz_net_kernels *table;
    for (size_t i = 0; (table = table_at(i)); i++)
        for (size_t round = 0; round < 50; round++) {
            size_t k = 1 + random_below(30), n = 1 + random_below(90);
            float *w = random_floats(k * n, false), *turned = floats(k * n), *a = floats(k);
            for (size_t r = 0; r < k; r++)
                for (size_t c = 0; c < n; c++) turned[c * k + r] = 0.5f * w[r * n + c];
            float *packed = aligned_bytes(table->dense_f32_packed_bytes(k, n));
            float *once = floats(n), *again = floats(n);
            random_fill(a, k, false);
            table->dense_f32_pack(k, n, w, n, 1, 0.5f, packed);
            table->dense_f32_packed(1, n, k, a, k, packed, NULL, 0, NULL, once, n);
            table->dense_f32_pack(k, n, turned, 1, k, 1, packed);
            table->dense_f32_packed(1, n, k, a, k, packed, NULL, 0, NULL, again, n);
            assert_int_equal(first_difference(once, again, n), n);
            free(w), free(turned), free(a), free(packed), free(once), free(again);
        }
    assert_true(oz_net_kernels_at(0)->dense_f32_packed_bytes(SIZE_MAX / 8, 64) == SIZE_MAX);
}

static double *random_doubles(size_t n)
{
    double *p = malloc(n * sizeof *p + 1);
    if (!p) abort();
    for (size_t i = 0; i < n; i++)
        p[i] = random_below(97) ? (double)random_number() / 3 : (double)INFINITY;
    return p;
}

static void test_f64_products(void **state)
{
    (void)state;
    for (size_t round = 0; round < rounds_of(500); round++) {
        size_t m = random_below(20), n = random_below(50), k = random_below(40);
        size_t ldc = n + random_below(3), ld_start = random_below(2) * n;
        double *a = random_doubles(m * k), *w = random_doubles(k * n);
        double *start = random_below(3) ? random_doubles(ld_start ? m * n : n) : NULL;
        double *begin = random_doubles(m * ldc), *c = random_doubles(m * ldc);
        const struct oz_net_kernels *table;
        for (size_t i = 0; (table = table_at(i)); i++) {
            memcpy(c, begin, m * ldc * sizeof *c);
            table->dense_f64_plain(m, n, k, a, k, w, n, start, ld_start, c, ldc);
            for (size_t row = 0; row < m; row++)
                for (size_t j = 0; j < ldc; j++) {
                    double sum = begin[row * ldc + j], got = c[row * ldc + j];
                    if (j < n) {
                        sum = start ? start[row * ld_start + j] : 0;
                        for (size_t x = 0; x < k; x++) sum = fma(a[row * k + x], w[x * n + j], sum);
                    }
                    assert_true((sum != sum && got != got) || sum == got);
                }
        }
        free(a), free(w), free(start), free(begin), free(c);
    }
}

static int choice_in_a_process(const char *word)
{
    pid_t child = fork();
    if (child == 0) {
        setenv("OUZEL_KERNELS", word, 1);
        const char *isa = oz_net_kernels()->isa, *reason = oz_net_kernels_reason();
        bool is_asked = !strcmp(isa, word) && !strcmp(reason, "OUZEL_KERNELS");
        _exit(is_asked ? 1 : strstr(reason, "the best of this machine") ? 2 : 3);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int choices[4];
static void test_choice(void **state)
{
    (void)state;
    bool has_avx2 = oz_net_kernels_at(1) != NULL, has_avx512 = has_avx2 && oz_net_kernels_at(2);
    assert_int_equal(choices[0], 1);
    assert_int_equal(choices[1], has_avx2 ? 1 : 2);
    assert_int_equal(choices[2], has_avx512 ? 1 : 2);
    assert_int_equal(choices[3], 2);
    assert_string_equal(oz_net_kernels_at(0)->isa, "scalar");
    assert_null(oz_net_kernels_at(1000));
}

int main(void)
{
    static const char *const words[] = {"scalar", "avx2", "avx512", "avx9"};
    for (size_t i = 0; i < OZ_COUNT_OF(words); i++) choices[i] = choice_in_a_process(words[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_products_have_the_same_bits),
        cmocka_unit_test(test_rows_do_not_depend_on_their_batch),
        cmocka_unit_test(test_products_are_right),
        cmocka_unit_test(test_packing_turns_and_scales),
        cmocka_unit_test(test_f64_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
