#include "pipelines/demo/fraud_generator.h"
#include "base/instant.h"
#include "base/number.h"
#include "pipelines/demo/fraud_population.h"
#include "pipelines/demo/fraud_random.h"
#include <stdlib.h>
#include <string.h>

enum {
    AMOUNT_CENTS_MAX = 22000,
    TAMPERED_DAYS = 28,
    LEAKED_DAYS = 14,
    LEAKED_FACTOR = 5,
    NOON_S = 43200,
    NOON_DEVIATION_S = 20000,
    OWL_S = 84600, /* half past eleven at night */
    OWL_DEVIATION_S = 8000,
    DAY_S = 86400,
    FUTURE_DAYS = 36525
};
static const double tampered_a_day = 2 / 10000.0, leaked_a_day = 3 / 5000.0; /* of each of them */
static const double found_within_a_day = 0.3;                                /* of the frauds */

/* The streams of a seed: the first two are the population's. */
enum { STREAM_CRIME = 3, STREAM_DISORDER = 4, STREAM_LABELS = 5, STREAM_DAYS = 1000 };

/* An event on its way. */
struct pending {
    int64_t arrival_us, at_us, tx_id, cents;
    uint64_t order; /* among equal arrivals */
    uint32_t customer, terminal;
    uint32_t cut; /* how much of a cut record is left, in 2^-32 */
    uint8_t kind, fraud_kind, broken;
    bool late, repeat;
};

struct oz_fraud_generator {
    struct oz_fraud_config config;
    struct oz_fraud_population population;
    struct oz_random crime, disorder, labels;
    uint32_t day;     /* days [0, day) are made */
    int64_t until_us; /* what comes from later days arrives at this time or behind it */
    int64_t next_tx_id;
    uint64_t next_order;
    enum oz_status status;
    struct pending *made; /* the transactions of a day, before they are sorted */
    size_t n_made, cap_made;
    struct pending *heap; /* least arrival first */
    size_t n_heap, cap_heap;
    char key[16], value[320];
};

struct oz_fraud_config oz_fraud_defaults(void)
{
    return (struct oz_fraud_config){.seed = 1,
                                    .start_us = INT64_C(1522540800) * OZ_US_PER_SECOND,
                                    .days = 120,
                                    .customers = 5000,
                                    .terminals = 10000,
                                    .late_rate = 0.002,
                                    .repeat_rate = 0.001,
                                    .broken_rate = 0.0002,
                                    .genuine_rate = 0.02};
}

static bool before(const struct pending *a, const struct pending *b)
{
    return a->arrival_us != b->arrival_us ? a->arrival_us < b->arrival_us : a->order < b->order;
}

static void push(struct oz_fraud_generator *gen, struct pending item)
{
    item.order = gen->next_order++;
    if (gen->n_heap == gen->cap_heap && gen->status == OZ_OK)
        gen->status =
            oz_grow((void **)&gen->heap, &gen->cap_heap, gen->n_heap + 1, sizeof(*gen->heap), NULL);
    if (gen->status != OZ_OK) return;
    size_t at = gen->n_heap++;
    for (; at > 0 && before(&item, &gen->heap[(at - 1) / 2]); at = (at - 1) / 2)
        gen->heap[at] = gen->heap[(at - 1) / 2];
    gen->heap[at] = item;
}

static struct pending pop(struct oz_fraud_generator *gen)
{
    struct pending *heap = gen->heap, top = heap[0], last = heap[--gen->n_heap];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < gen->n_heap; at = child) {
        if (child + 1 < gen->n_heap && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &last)) break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

/* How many of n fall on this day, so that fractions add up over the days. */
static uint32_t share_of_day(double a_day, uint32_t day)
{
    return (uint32_t)((uint64_t)(a_day * (day + 1.0)) - (uint64_t)(a_day * day));
}

static void commit_crimes(struct oz_fraud_generator *gen)
{
    struct oz_fraud_population *population = &gen->population;
    uint32_t n = share_of_day(tampered_a_day * population->n_terminals, gen->day);
    while (n-- > 0)
        population->terminal[oz_random_below(&gen->crime, population->n_terminals)].tampered_until =
            gen->day + TAMPERED_DAYS;
    n = share_of_day(leaked_a_day * population->n_customers, gen->day);
    while (n-- > 0)
        population->customer[oz_random_below(&gen->crime, population->n_customers)].leaked_until =
            gen->day + LEAKED_DAYS;
}

/* A second of the day, or -1: one that fell outside of it. */
static int64_t second_of_day(const struct oz_fraud_customer *customer, struct oz_random *random)
{
    double z = oz_random_normal(random);
    if (customer->night_owl) return ((int64_t)(z * OWL_DEVIATION_S + 4.0 * DAY_S) + OWL_S) % DAY_S;
    double s = NOON_S + z * NOON_DEVIATION_S;
    return s > 0 && s < DAY_S ? (int64_t)s : -1;
}

static int64_t amount_cents(const struct oz_fraud_customer *customer, struct oz_random *random)
{
    double cents = customer->mean_cents * (1 + oz_random_normal(random) / 2);
    if (cents < 0) cents = 2 * customer->mean_cents * oz_random_unit(random);
    return (int64_t)(cents + 0.5);
}

/* The transactions of one customer on the day being made, in no order. */
static void make_transactions(struct oz_fraud_generator *gen, uint32_t c, int64_t start_us,
                              bool weekend, struct oz_random *random)
{
    const struct oz_fraud_population *population = &gen->population;
    const struct oz_fraud_customer *customer = &population->customer[c];
    unsigned n =
        oz_random_poisson(random, customer->rate[weekend], customer->exp_minus_rate[weekend]);
    if (!customer->n_terminals) return;
    if (gen->cap_made - gen->n_made < n && gen->status == OZ_OK)
        gen->status =
            oz_grow((void **)&gen->made, &gen->cap_made, gen->n_made + n, sizeof(*gen->made), NULL);
    if (gen->status != OZ_OK) return;
    while (n-- > 0) {
        int64_t s = second_of_day(customer, random);
        if (s < 0) continue;
        struct pending *tx = &gen->made[gen->n_made];
        uint64_t choice = oz_random_below(random, customer->n_terminals);
        *tx = (struct pending){.at_us = start_us + s * OZ_US_PER_SECOND,
                               .cents = amount_cents(customer, random),
                               .order = gen->n_made++,
                               .customer = c,
                               .terminal = population->reach[customer->first_terminal + choice],
                               .kind = OZ_FRAUD_TRANSACTION};
        if (tx->cents > AMOUNT_CENTS_MAX) tx->fraud_kind = OZ_FRAUD_AMOUNT;
        if (population->terminal[tx->terminal].tampered_until > gen->day)
            tx->fraud_kind = OZ_FRAUD_TERMINAL;
        if (customer->leaked_until > gen->day && oz_random_below(random, 3) == 0) {
            tx->fraud_kind = OZ_FRAUD_CARD;
            tx->cents *= LEAKED_FACTOR;
        }
    }
}

static int by_time(const void *a, const void *b)
{
    const struct pending *x = a, *y = b;
    if (x->at_us != y->at_us) return x->at_us < y->at_us ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int64_t some_us(struct oz_random *random, int64_t from_us, int64_t to_us)
{
    return from_us + (int64_t)oz_random_below(random, (uint64_t)(to_us - from_us));
}

/* The transaction's way to its topic: as many numbers are drawn whatever happens to it. */
static void send_transaction(struct oz_fraud_generator *gen, struct pending tx)
{
    const struct oz_fraud_config *config = &gen->config;
    struct oz_random *random = &gen->disorder;
    int64_t travel_us = some_us(random, 20 * OZ_US_PER_MS, 800 * OZ_US_PER_MS);
    bool late = oz_random_chance(random, config->late_rate), within = oz_random_chance(random, 0.5);
    int64_t late_us = within ? some_us(random, OZ_US_PER_MINUTE, 9 * OZ_US_PER_MINUTE)
                             : some_us(random, 11 * OZ_US_PER_MINUTE, OZ_US_PER_HOUR);
    bool repeat = oz_random_chance(random, config->repeat_rate);
    int64_t again_us = some_us(random, 100 * OZ_US_PER_MS, OZ_US_PER_MINUTE);
    bool broken = oz_random_chance(random, config->broken_rate);
    uint64_t way = oz_random_below(random, 4);
    tx.cut = (uint32_t)oz_random_u64(random);
    if (broken) tx.broken = (uint8_t)(OZ_FRAUD_CUT + way);
    if (config->by_event_time) {
        tx.arrival_us = tx.at_us;
        again_us = 0;
    } else {
        tx.late = late;
        tx.arrival_us = tx.at_us + travel_us + (late ? late_us : 0);
    }
    push(gen, tx);
    if (!repeat || broken) return;
    tx.repeat = true;
    tx.arrival_us += again_us;
    push(gen, tx);
}

static void send_label(struct oz_fraud_generator *gen, struct pending tx)
{
    struct oz_random *random = &gen->labels;
    bool fraud = tx.fraud_kind != OZ_FRAUD_NONE;
    bool looked_into = oz_random_chance(random, gen->config.genuine_rate);
    bool soon = oz_random_chance(random, found_within_a_day);
    int64_t after_us = soon ? some_us(random, OZ_US_PER_HOUR, OZ_US_PER_DAY)
                            : some_us(random, OZ_US_PER_DAY, 7 * OZ_US_PER_DAY);
    if (!fraud && !looked_into) return;
    tx.kind = OZ_FRAUD_LABEL;
    tx.arrival_us = tx.at_us + after_us / OZ_US_PER_SECOND * OZ_US_PER_SECOND;
    push(gen, tx);
}

static void make_day(struct oz_fraud_generator *gen)
{
    int64_t start_us = gen->config.start_us + gen->day * OZ_US_PER_DAY;
    bool weekend = oz_weekday_of(start_us) >= 6;
    struct oz_random random;
    oz_random_init(&random, gen->config.seed, STREAM_DAYS + gen->day);
    commit_crimes(gen);
    gen->n_made = 0;
    for (uint32_t c = 0; c < gen->config.customers; c++)
        make_transactions(gen, c, start_us, weekend, &random);
    if (gen->n_made) qsort(gen->made, gen->n_made, sizeof(*gen->made), by_time);
    for (size_t i = 0; i < gen->n_made; i++) {
        gen->made[i].tx_id = gen->next_tx_id++;
        send_transaction(gen, gen->made[i]);
        send_label(gen, gen->made[i]);
    }
    gen->day++;
    gen->until_us = start_us + OZ_US_PER_DAY;
}

/* 2018-07-25T10:11:12Z */
static size_t put_time(char *to, int64_t us)
{
    size_t len = oz_format_instant(to, us);
    if (us % OZ_US_PER_SECOND == 0) {
        memcpy(to + len - 5, "Z", 2);
        len -= 4;
    }
    return len;
}

static char *put(char *to, const char *text)
{
    size_t len = strlen(text);
    memcpy(to, text, len);
    return to + len;
}

static char *put_i64(char *to, int64_t v) { return to + oz_format_i64(to, v); }

static char *put_common(char *to, const struct pending *item)
{
    int64_t at_us = item->at_us;
    if (item->broken == OZ_FRAUD_FUTURE && item->kind == OZ_FRAUD_TRANSACTION)
        at_us += FUTURE_DAYS * OZ_US_PER_DAY;
    to = put_i64(put(to, "{\"tx_id\":"), item->tx_id);
    to = put(to, ",\"at\":\"");
    to += put_time(to, at_us);
    return put(to, "\"");
}

static size_t put_transaction(char *start, const struct pending *item)
{
    const char *quote = item->broken == OZ_FRAUD_WRONG_TYPE ? "\"" : "";
    char *to = put_common(start, item);
    if (item->broken != OZ_FRAUD_NO_KEY)
        to = put(put_i64(put(to, ",\"customer\":\"c"), item->customer), "\"");
    to = put_i64(put(to, ",\"terminal\":\"t"), item->terminal);
    to = put(put(to, "\",\"amount\":"), quote);
    to = put(put_i64(to, item->cents / 100), ".");
    *to++ = (char)('0' + item->cents / 10 % 10);
    *to++ = (char)('0' + item->cents % 10);
    to = put(put(to, quote), "}");
    size_t len = (size_t)(to - start);
    return item->broken == OZ_FRAUD_CUT ? 1 + (size_t)((uint64_t)item->cut * (len - 1) >> 32) : len;
}

static size_t put_label(char *start, const struct pending *item)
{
    char *to = put(put_common(start, item), ",\"reported_at\":\"");
    to += put_time(to, item->arrival_us);
    to = put_i64(put(to, "\",\"customer\":\"c"), item->customer);
    to = put_i64(put(to, "\",\"terminal\":\"t"), item->terminal);
    to = put(to, item->fraud_kind ? "\",\"fraud\":true}" : "\",\"fraud\":false}");
    return (size_t)(to - start);
}

bool oz_fraud_generator_next(struct oz_fraud_generator *gen, struct oz_fraud_event *ret_event)
{
    while (gen->day < gen->config.days &&
           (!gen->n_heap || gen->heap[0].arrival_us >= gen->until_us) && gen->status == OZ_OK)
        make_day(gen);
    if (gen->status != OZ_OK || !gen->n_heap) return false;
    struct pending item = pop(gen);
    bool is_label = item.kind == OZ_FRAUD_LABEL;
    *ret_event = (struct oz_fraud_event){
        .kind = (enum oz_fraud_event_kind)item.kind,
        .arrival_us = item.arrival_us,
        .at_us = item.at_us,
        .key = gen->key,
        .key_len = (size_t)(put_i64(put(gen->key, "c"), item.customer) - gen->key),
        .value = gen->value,
        .value_len = is_label ? put_label(gen->value, &item) : put_transaction(gen->value, &item),
        .tx_id = item.tx_id,
        .customer = item.customer,
        .terminal = item.terminal,
        .cents = item.cents,
        .fraud = item.fraud_kind != OZ_FRAUD_NONE,
        .fraud_kind = (enum oz_fraud_kind)item.fraud_kind,
        .broken = (enum oz_fraud_broken)item.broken,
        .late = item.late,
        .repeat = item.repeat};
    return true;
}

enum oz_status oz_fraud_generator_status(const struct oz_fraud_generator *gen, struct oz_error *err)
{
    return gen->status == OZ_OK ? OZ_OK : oz_no_memory(err);
}

static enum oz_status check_config(const struct oz_fraud_config *config, struct oz_error *err)
{
    const struct {
        const char *name;
        double v, min, max;
    } limit[] = {
        {"days", config->days, 1, OZ_FRAUD_DAYS_MAX},
        {"customers", config->customers, 1, OZ_FRAUD_CUSTOMERS_MAX},
        {"terminals", config->terminals, 1, OZ_FRAUD_TERMINALS_MAX},
        {"start_us", (double)config->start_us, -62e15, 29e15},
        {"late_rate", config->late_rate, 0, 1},
        {"repeat_rate", config->repeat_rate, 0, 1},
        {"broken_rate", config->broken_rate, 0, 1},
        {"genuine_rate", config->genuine_rate, 0, 1},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(limit); i++)
        if (!(limit[i].v >= limit[i].min && limit[i].v <= limit[i].max))
            OZ_FAIL(err, OZ_USAGE, "the fraud generator's %s is %g: expected %g to %g",
                    limit[i].name, limit[i].v, limit[i].min, limit[i].max);
    return OZ_OK;
}

enum oz_status oz_fraud_generator_new(const struct oz_fraud_config *config,
                                      struct oz_fraud_generator **ret_generator,
                                      struct oz_error *err)
{
    OZ_TRY(check_config(config, err));
    struct oz_fraud_generator *gen = oz_calloc(1, sizeof(*gen));
    if (!gen) return oz_no_memory(err);
    gen->config = *config;
    int64_t of_day = config->start_us % OZ_US_PER_DAY;
    gen->config.start_us -= of_day + (of_day < 0 ? OZ_US_PER_DAY : 0);
    oz_random_init(&gen->crime, config->seed, STREAM_CRIME);
    oz_random_init(&gen->disorder, config->seed, STREAM_DISORDER);
    oz_random_init(&gen->labels, config->seed, STREAM_LABELS);
    enum oz_status status = oz_fraud_population_init(&gen->population, config->seed,
                                                     config->customers, config->terminals, err);
    if (status != OZ_OK) {
        oz_free(gen);
        return status;
    }
    *ret_generator = gen;
    return OZ_OK;
}

void oz_fraud_generator_free(struct oz_fraud_generator *gen)
{
    if (!gen) return;
    oz_fraud_population_clear(&gen->population);
    oz_free(gen->made);
    oz_free(gen->heap);
    oz_free(gen);
}
