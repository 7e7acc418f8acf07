/* What rows cost: the fraud set (transactions_*.csv.zst under OUZEL_DATA, default
 * ../shared/data/fraud), and one hot key with 10^4, 10^5 and 10^6 events in its longest window.
 * Prints tables; asserts nothing. bench_rows [fraud | hot] "fraud, one source" has the shape in
 * which the label comes with the transaction; "labels apart" has a second source that brings every
 * label seven days later, as it does in life. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>
#include "base/clock.h"
#include "features/row_state.h"
#include "tests/unit/features/part_map.h"

#define SECOND INT64_C(1000000)
#define DAY    (86400 * SECOND)

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(enum oz_status status, const struct oz_error *err)
{
    if (status == OZ_OK) return;
    fprintf(stderr, "bench_rows: %s: %s\n", oz_status_text(status), err->message);
    exit(1);
}

static uint64_t bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, 8);
    return u;
}

/* ---------- the fraud set */

struct transaction {
    int64_t time_us;
    uint32_t id, customer, terminal;
    double amount, fraud;
};

static char *read_zstd(const char *path, size_t *ret_len)
{
    FILE *in = fopen(path, "rb");
    if (!in) return NULL;
    fseek(in, 0, SEEK_END);
    size_t n = (size_t)ftell(in);
    rewind(in);
    void *packed = malloc(n);
    if (fread(packed, 1, n, in) != n) exit(1);
    fclose(in);
    ZSTD_DStream *d = ZSTD_createDStream();
    size_t cap = 16 * n, len = 0, left = 1;
    char *text = malloc(cap + 1);
    ZSTD_inBuffer from = {packed, n, 0};
    while (left && from.pos < from.size) {
        if (cap - len < cap / 4) text = realloc(text, (cap *= 2) + 1);
        ZSTD_outBuffer to = {text + len, cap - len, 0};
        left = ZSTD_decompressStream(d, &to, &from);
        if (ZSTD_isError(left)) exit(1);
        len += to.pos;
    }
    ZSTD_freeDStream(d);
    free(packed);
    text[len] = 0;
    *ret_len = len;
    return text;
}

static struct transaction *read_fraud(size_t *ret_n)
{
    const char *data = getenv("OUZEL_DATA");
    char folder[3000], path[4000] = "";
    snprintf(folder, sizeof folder, "%s/fraud", data ? data : "../shared/data");
    DIR *dir = opendir(folder);
    for (struct dirent *f; dir && (f = readdir(dir));)
        if (!strncmp(f->d_name, "transactions_", 13))
            snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
    if (dir) closedir(dir);
    size_t len, n = 0, cap = 1 << 21;
    char *text = *path ? read_zstd(path, &len) : NULL;
    if (!text) return NULL;
    struct transaction *tx = malloc(cap * sizeof *tx);
    for (char *line = strchr(text, '\n'); line && line[1] && n < cap; line = strchr(line, '\n')) {
        struct tm d = {0};
        char *at = ++line;
        tx[n].id = (uint32_t)strtoul(at, &at, 10);
        d.tm_year = (int)strtol(at + 1, &at, 10) - 1900;
        d.tm_mon = (int)strtol(at + 1, &at, 10) - 1;
        d.tm_mday = (int)strtol(at + 1, &at, 10);
        d.tm_hour = (int)strtol(at + 1, &at, 10);
        d.tm_min = (int)strtol(at + 1, &at, 10);
        d.tm_sec = (int)strtol(at + 1, &at, 10);
        tx[n].time_us = (int64_t)timegm(&d) * SECOND;
        tx[n].customer = (uint32_t)strtoul(at + 2, &at, 10);
        tx[n].terminal = (uint32_t)strtoul(at + 1, &at, 10);
        tx[n].amount = strtod(at + 1, &at);
        tx[n].fraud = (double)strtol(at + 1, &at, 10);
        n++;
    }
    free(text);
    *ret_n = n;
    return tx;
}

struct shape {
    const char *name;
    int id_bytes;
    bool labels_apart;
};

static const int64_t days[] = {1, 7, 30};

static void customer_plan(const struct shape *shape, struct oz_entity_plan *plan,
                          struct oz_aggregate *a)
{
    *plan = (struct oz_entity_plan){
        .name = "customer", .n_rings = 1, .n_aggregates = 6, .aggregate = a};
    plan->ring[0] = (struct oz_ring_plan){.scored = true,
                                          .id_bytes = shape->id_bytes,
                                          .lateness_us = 600 * SECOND,
                                          .n_values = 1,
                                          .value = {{.kind = OZ_VALUE_DOUBLE}}};
    for (int i = 0; i < 3; i++) {
        a[2 * i] =
            (struct oz_aggregate){.agg = OZ_AGG_COUNT, .value = -1, .over_us = days[i] * DAY};
        a[2 * i + 1] = (struct oz_aggregate){.agg = OZ_AGG_MEAN, .over_us = days[i] * DAY};
    }
}

static void terminal_plan(const struct shape *shape, struct oz_entity_plan *plan,
                          struct oz_aggregate *a)
{
    *plan = (struct oz_entity_plan){
        .name = "terminal", .n_rings = 1, .n_aggregates = 6, .aggregate = a};
    plan->ring[0] = (struct oz_ring_plan){
        .scored = true, .id_bytes = shape->id_bytes, .lateness_us = 600 * SECOND};
    uint32_t labels = shape->labels_apart;
    struct oz_ring_plan *ring = &plan->ring[labels];
    if (labels) {
        plan->n_rings = 2;
        *ring = (struct oz_ring_plan){
            .source = 1, .replaces = true, .id_bytes = shape->id_bytes, .lateness_us = 45 * DAY};
    }
    ring->n_values = 1;
    ring->value[0] =
        (struct oz_value_spec){.kind = labels ? OZ_VALUE_MARK : OZ_VALUE_FLAG, .nullable = labels};
    for (int i = 0; i < 3; i++) {
        a[2 * i] = (struct oz_aggregate){
            .agg = OZ_AGG_COUNT, .value = -1, .over_us = days[i] * DAY, .delay_us = 7 * DAY};
        a[2 * i + 1] = (struct oz_aggregate){.agg = labels ? OZ_AGG_COUNT : OZ_AGG_MEAN,
                                             .ring = labels,
                                             .over_us = days[i] * DAY,
                                             .delay_us = 7 * DAY};
    }
}

/* One table of rows, keys by a hash. */
struct table {
    struct oz_entity_plan plan;
    struct oz_aggregate aggregate[8];
    struct oz_row_layout *layout;
    struct oz_row_kind kind;
    uint64_t *key;
    uint32_t *slot, mask, n, cap;
    uint8_t *rows;
    size_t row_bytes;
};

static void table_init(struct table *t, struct oz_arena *arena, uint32_t cap)
{
    struct oz_error err;
    must(oz_row_layout_new(&t->plan, arena, &t->layout, &t->kind, &err), &err);
    uint32_t size = 16;
    while (size < cap * 2) size *= 2;
    t->key = malloc(size * sizeof *t->key);
    t->slot = malloc(size * sizeof *t->slot);
    memset(t->key, 0xff, size * sizeof *t->key);
    t->mask = size - 1;
    t->n = 0;
    t->cap = cap;
    t->row_bytes = (t->kind.row_bytes + 63) & ~(size_t)63;
    t->rows = aligned_alloc(64, cap * t->row_bytes);
}

static void table_clear(struct table *t, struct oz_pool *pool)
{
    for (uint32_t i = 0; i < t->n; i++)
        t->kind.clear(t->kind.ctx, t->rows + i * t->row_bytes, pool);
    free(t->key);
    free(t->slot);
    free(t->rows);
}

static inline uint32_t home(const struct table *t, uint64_t key)
{
    return (uint32_t)(key * 0x9E3779B97F4A7C15u >> 32) & t->mask;
}

static inline void *row_of(struct table *t, uint64_t key, struct oz_row_io *io)
{
    uint32_t i = home(t, key);
    while (t->key[i] != key) {
        if (t->key[i] == UINT64_MAX) {
            if (t->n == t->cap) abort();
            t->key[i] = key;
            t->slot[i] = t->n++;
            must(t->kind.init(t->kind.ctx, t->rows + t->slot[i] * t->row_bytes, io, NULL), NULL);
            break;
        }
        i = (i + 1) & t->mask;
    }
    return t->rows + t->slot[i] * t->row_bytes;
}

/* One event for one row. */
struct step {
    struct table *table;
    uint32_t key, tx;
    bool label;
};

/* Transactions by time, each for its customer and its terminal, and the labels seven days later. */
static struct step *make_steps(const struct transaction *tx, size_t n, bool labels, struct table *c,
                               struct table *m, size_t *ret_n)
{
    struct step *step = malloc((size_t)(labels ? 3 : 2) * n * sizeof *step);
    size_t at = 0, label = 0;
    for (size_t i = 0; i < n; i++) {
        for (; labels && label < i && tx[label].time_us + 7 * DAY <= tx[i].time_us; label++)
            step[at++] = (struct step){m, tx[label].terminal, (uint32_t)label, true};
        step[at++] = (struct step){c, tx[i].customer, (uint32_t)i, false};
        step[at++] = (struct step){m, tx[i].terminal, (uint32_t)i, false};
    }
    *ret_n = at;
    return step;
}

static double sink;

static inline void take(const struct step *s, const struct transaction *tx, void *row,
                        struct oz_row_io *io, const struct table *customers, bool apart)
{
    const struct transaction *x = &tx[s->tx];
    struct oz_error err;
    double out[8];
    unsigned flags;
    uint64_t value = s->table == customers ? bits_of(x->amount) : bits_of(x->fraud);
    if (s->label && x->fraud == 0) value = bits_of(NAN);
    struct oz_row_event e = {.ring = s->label ? 1 : 0,
                             .time_us = x->time_us,
                             .id = {x->id, 0},
                             .value = apart && !s->label && s->table != customers ? NULL : &value};
    must(oz_row_push(s->table->layout, row, io, &e, out, &flags, &err), &err);
    if (!s->label) sink += out[0];
}

enum { BATCH = 2048, AHEAD = 16 };

static void run_steps(const struct step *step, size_t n, const struct transaction *tx,
                      struct oz_row_io *io, const struct table *customers, bool apart, bool ahead)
{
    static void *row[BATCH];
    for (size_t at = 0; at < n; at += BATCH) {
        size_t m = OZ_MIN(n - at, (size_t)BATCH);
        const struct step *s = step + at;
        for (size_t i = 0; i < m && ahead; i++) {
            const struct step *next = &s[OZ_MIN(i + 16, m - 1)];
            __builtin_prefetch(&next->table->key[home(next->table, next->key)]);
            __builtin_prefetch(&next->table->slot[home(next->table, next->key)]);
            row[i] = row_of(s[i].table, s[i].key, io);
        }
        for (size_t i = 0; i < OZ_MIN(m, (size_t)2 * AHEAD) && ahead; i++)
            oz_row_prefetch(s[i].table->layout, row[i]);
        for (size_t i = 0; i < m; i++) {
            if (ahead) {
                if (i + 2 * AHEAD < m)
                    oz_row_prefetch(s[i + 2 * AHEAD].table->layout, row[i + 2 * AHEAD]);
                if (i + AHEAD < m)
                    oz_row_prefetch_rings(s[i + AHEAD].table->layout, row[i + AHEAD]);
            } else {
                row[i] = row_of(s[i].table, s[i].key, io);
            }
            take(&s[i], tx, row[i], io, customers, apart);
        }
    }
}

struct bytes_cost {
    double encode_s, decode_s;
    uint64_t events, bytes;
};

/* Every row through bytes once, in batches as an epoch would. */
static struct bytes_cost through_bytes(struct table *t, struct oz_pool *pool, void *copy)
{
    struct oz_error err;
    static struct oz_sealed sealed;
    struct part_map map;
    struct bytes_cost cost = {0};
    part_map_init(&map, pool);
    for (uint32_t from = 0; from < t->n; from += 256) {
        uint32_t to = OZ_MIN(from + 256, t->n);
        oz_sealed_reset(&sealed);
        oz_sealed_row(&sealed, 0, 0, "k", 1, 7);
        double begun = now_s();
        for (uint32_t i = from; i < to; i++) {
            struct oz_row *r = (struct oz_row *)(t->rows + i * t->row_bytes);
            r->changed = true;
            must(t->kind.encode(t->kind.ctx, r, &map.io, &sealed, &err), &err);
        }
        cost.encode_s += now_s() - begun;
        begun = now_s();
        for (size_t i = 0; i < sealed.n_parts; i++) {
            const struct oz_part *p = &sealed.part[i];
            const uint8_t *payload = sealed.bytes.data + p->value_at + OZ_PART_HEADER_BYTES;
            cost.bytes += p->value_len;
            must(t->kind.decode(t->kind.ctx, copy, &map.io, payload,
                                p->value_len - OZ_PART_HEADER_BYTES, &err),
                 &err);
            for (uint32_t k = 0; k < t->layout->n_rings; k++)
                cost.events += oz_ring_of(t->layout, copy, k)->len;
            t->kind.clear(t->kind.ctx, copy, pool);
        }
        cost.decode_s += now_s() - begun;
    }
    return cost;
}

static void measure_bytes(struct table *t, struct oz_pool *pool)
{
    void *copy = aligned_alloc(64, t->row_bytes);
    struct bytes_cost best = through_bytes(t, pool, copy);
    for (int i = 0; i < 6; i++) {
        struct bytes_cost c = through_bytes(t, pool, copy);
        best.encode_s = OZ_MIN(best.encode_s, c.encode_s);
        best.decode_s = OZ_MIN(best.decode_s, c.decode_s);
    }
    printf("| %s | %u | %.1f | %zu | %.0f | %.2f | %.2f |\n", t->plan.name, t->n,
           (double)best.events / t->n, t->row_bytes, (double)best.bytes / t->n,
           best.encode_s / t->n * 1e6, best.decode_s / t->n * 1e6);
    free(copy);
}

static void bench_shape(const struct shape *shape, const struct transaction *tx, size_t n)
{
    struct oz_error err;
    double best[2] = {1e9, 1e9}, memory[2] = {0, 0};
    for (int round = 0; round < 6; round++) {
        struct oz_arena arena;
        struct oz_pool *pool;
        struct table c, m;
        struct part_map map;
        bool ahead = round % 2;
        oz_arena_init(&arena, 4096);
        must(oz_pool_new(UINT64_C(1) << 30, &pool, &err), &err);
        part_map_init(&map, pool);
        customer_plan(shape, &c.plan, c.aggregate);
        terminal_plan(shape, &m.plan, m.aggregate);
        table_init(&c, &arena, 20000);
        table_init(&m, &arena, 20000);
        size_t n_steps;
        struct step *step = make_steps(tx, n, shape->labels_apart, &c, &m, &n_steps);
        double begun = now_s();
        run_steps(step, n_steps, tx, &map.io, &c, shape->labels_apart, ahead);
        double ns = (now_s() - begun) / (double)n * 1e9;
        best[ahead] = OZ_MIN(best[ahead], ns);
        memory[0] = (double)oz_pool_used_bytes(pool) / 1e6;
        if (round == 5) {
            printf("| %s | %.0f | %.0f | %.2f | %.1f |\n", shape->name, best[0], best[1],
                   1e3 / best[1], memory[0]);
            printf("\n| rows | keys | events held | row head, bytes | stored, bytes | encode, us | "
                   "decode, us |\n|---|---|---|---|---|---|---|\n");
            measure_bytes(&c, pool);
            measure_bytes(&m, pool);
            printf("\n");
        }
        free(step);
        table_clear(&c, pool);
        table_clear(&m, pool);
        oz_pool_free(pool);
        oz_arena_clear(&arena);
    }
}

static void bench_fraud(void)
{
    static const struct shape shapes[] = {{"one source, no ids", 0, false},
                                          {"one source, 8-byte ids", 8, false},
                                          {"labels apart, 8-byte ids", 8, true}};
    size_t n;
    struct transaction *tx = read_fraud(&n);
    if (!tx) {
        printf("fraud: skipped: no data\n");
        return;
    }
    printf("fraud, %zu transactions, customer and terminal, best of 3\n", n);
    for (size_t i = 0; i < OZ_COUNT_OF(shapes); i++) {
        printf("\n| shape | ns/transaction one by one | in batches, prefetched | M/s | pool, MB |\n"
               "|---|---|---|---|---|\n");
        bench_shape(&shapes[i], tx, n);
    }
    free(tx);
}

/* ---------- one hot key */

static uint64_t random_state = 1;
static double uniform(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) * 0x1p-53;
}

struct hot {
    struct oz_arena arena;
    struct oz_pool *pool;
    struct oz_row_layout *layout;
    struct oz_row_kind kind;
    struct part_map map;
    void *row;
    int64_t now, step;
    uint64_t id;
};

static void hot_push(struct hot *h)
{
    struct oz_error err;
    double out[8];
    unsigned flags;
    uint64_t value[2] = {bits_of((double)(int)(uniform() * 20000) / 100),
                         bits_of(uniform() < 0.02)};
    h->now += 1 + (int64_t)(uniform() * 2 * (double)h->step);
    struct oz_row_event e = {.time_us = h->now / 1000 * 1000, .id = {h->id++, 0}, .value = value};
    must(oz_row_push(h->layout, h->row, &h->map.io, &e, out, &flags, &err), &err);
    sink += out[0];
}

static void hot_init(struct hot *h, int64_t events)
{
    struct oz_error err;
    struct oz_entity_plan plan = {.name = "card", .n_rings = 1, .n_aggregates = 6};
    plan.ring[0] =
        (struct oz_ring_plan){.scored = true,
                              .id_bytes = 8,
                              .lateness_us = 600 * SECOND,
                              .n_values = 2,
                              .value = {{.kind = OZ_VALUE_DOUBLE}, {.kind = OZ_VALUE_FLAG}}};
    const struct oz_aggregate a[] = {
        {.agg = OZ_AGG_COUNT, .value = -1, .over_us = DAY},
        {.agg = OZ_AGG_MEAN, .value = 0, .over_us = 7 * DAY},
        {.agg = OZ_AGG_MEAN, .value = 0, .over_us = 30 * DAY},
        {.agg = OZ_AGG_MAX, .value = 0, .over_us = 30 * DAY},
        {.agg = OZ_AGG_MEAN, .value = 1, .over_us = 7 * DAY, .delay_us = 7 * DAY},
        {.agg = OZ_AGG_SUM, .value = 1, .over_us = DAY, .delay_us = 7 * DAY}};
    plan.aggregate = a;
    *h = (struct hot){.now = INT64_C(1500000000) * SECOND, .step = 30 * DAY / events};
    oz_arena_init(&h->arena, 4096);
    must(oz_pool_new(UINT64_C(1) << 28, &h->pool, &err), &err);
    must(oz_row_layout_new(&plan, &h->arena, &h->layout, &h->kind, &err), &err);
    part_map_init(&h->map, h->pool);
    h->row = calloc(1, h->kind.row_bytes);
    must(h->kind.init(h->kind.ctx, h->row, &h->map.io, &err), &err);
    for (int64_t i = 0; i < events + events / 10; i++) {
        hot_push(h);
        if (i % 1000 == 999) must(part_map_store(&h->map, &h->kind, h->row, &err), &err);
    }
    must(part_map_store(&h->map, &h->kind, h->row, &err), &err);
}

/* Bytes of the changelog per event when every epoch has this many events of the key. */
static double hot_written(struct hot *h, int per_epoch, int events)
{
    struct oz_error err;
    uint64_t before = h->map.written_bytes, gone = h->map.deleted;
    for (int i = 0; i < events; i++) {
        hot_push(h);
        if (i % per_epoch == per_epoch - 1)
            must(part_map_store(&h->map, &h->kind, h->row, &err), &err);
    }
    must(part_map_store(&h->map, &h->kind, h->row, &err), &err);
    return (double)(h->map.written_bytes - before + 7 * (h->map.deleted - gone)) / events;
}

static void bench_hot(void)
{
    struct oz_error err;
    printf(
        "one hot key: window of 30 d, 5 window ends, 2 values, 8-byte ids, count mean max sum, "
        "lateness 10 min\n\n"
        "| events in the window | warm, ns/event | main, bytes | index, bytes | changelog "
        "bytes/event at 1 / 10 / 100 events an epoch | cold event: parts read, bytes, us | row in "
        "memory, kB |\n|---|---|---|---|---|---|---|\n");
    for (int64_t events = 10000; events <= 1000000; events *= 10) {
        struct hot h;
        hot_init(&h, events);
        double begun = now_s(), warm = hot_written(&h, 1 << 30, 20000);
        warm = (now_s() - begun) / 20000 * 1e9;
        double e1 = hot_written(&h, 1, 5000), e10 = hot_written(&h, 10, 20000),
               e100 = hot_written(&h, 100, 50000);
        size_t memory = oz_pool_used_bytes(h.pool);
        enum { COLD = 500 };
        uint64_t reads = 0, bytes = 0;
        double cold = 0;
        for (int i = 0; i < COLD; i++) {
            h.kind.clear(h.kind.ctx, h.row, h.pool);
            uint64_t r0 = h.map.io.reads, b0 = h.map.io.read_bytes;
            begun = now_s();
            must(h.kind.decode(h.kind.ctx, h.row, &h.map.io, h.map.part[0].data, h.map.part[0].len,
                               &err),
                 &err);
            hot_push(&h);
            cold += now_s() - begun;
            reads += h.map.io.reads - r0 + 1;
            bytes += h.map.io.read_bytes - b0 + h.map.part[0].len;
            must(part_map_store(&h.map, &h.kind, h.row, &err), &err);
        }
        printf("| %lld | %.0f | %zu | %zu | %.0f / %.0f / %.1f | %.1f, %.0f, %.0f | %.0f |\n",
               (long long)events, warm, h.map.part[0].len, h.map.part[1].len, e1, e10, e100,
               (double)reads / COLD, (double)bytes / COLD, cold / COLD * 1e6, (double)memory / 1e3);
        h.kind.clear(h.kind.ctx, h.row, h.pool);
        free(h.row);
        part_map_clear(&h.map);
        oz_pool_free(h.pool);
        oz_arena_clear(&h.arena);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "all";
    if (!strcmp(what, "fraud") || !strcmp(what, "all")) bench_fraud();
    if (!strcmp(what, "hot") || !strcmp(what, "all")) bench_hot();
    return sink == -1;
}
