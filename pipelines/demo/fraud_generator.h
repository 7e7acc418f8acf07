/* A city of card holders and terminals, and the frauds in it: transactions and labels for the demo,
 * for tests and for benches, made up here, the same bytes for the same seed on every machine.
 *
 * Customers and terminals have places on a square of 100 x 100. A customer has a mean amount (5 to
 * 100, deviation half of it), a mean number of transactions a day (0 to 4), a weekend factor, and
 * shops at the terminals in reach (some 78). Transactions a day are Poisson; their time is normal
 * around noon, for a few night owls around midnight. Three kinds of fraud: an amount above 220; a
 * terminal that was tampered with (2 new ones a day for 10,000, for 28 days, everything there is
 * fraud); a card whose data leaked (3 new ones a day for 5,000, for 14 days, a third of its
 * transactions are fraud, of five times the amount). Whatever the population, these rates per
 * customer and terminal stay. A fraud is reported after an hour to seven days; of the others 2 %
 * are looked into and labelled too. Some records come late, twice or broken, as in life.
 *
 * Units: microseconds since 1970, UTC; amounts in cents. Days begin at midnight UTC.
 * Threads: one. Ownership: an event's bytes are the generator's, until the next call.
 * Memory: the population (some 400 bytes a customer), a day of transactions, the labels on their
 * way. Source: the published description of the simulator of "Reproducible Machine Learning for
 * Credit Card Fraud Detection" (Le Borgne, Siblini, Lebichot, Bontempi, 2022), chapter 3; habits,
 * labels and disorder are ours. */
#ifndef OZ_PIPELINES_DEMO_FRAUD_GENERATOR_H
#define OZ_PIPELINES_DEMO_FRAUD_GENERATOR_H
#include "base/status.h"

enum { OZ_FRAUD_CUSTOMERS_MAX = 10000000, OZ_FRAUD_TERMINALS_MAX = 10000000 };
enum { OZ_FRAUD_DAYS_MAX = 100000 };

struct oz_fraud_config {
    uint64_t seed;
    int64_t start_us; /* cut to its day; years 1 to 2900 */
    uint32_t days, customers, terminals;
    double late_rate;    /* of transactions: minutes late, half of them beyond 10 minutes */
    double repeat_rate;  /* of transactions: the same record a second time, within a minute */
    double broken_rate;  /* of transactions: not as declared, in one of four ways */
    double genuine_rate; /* of the transactions that are no fraud: labelled as such */
    bool by_event_time;  /* for files: every transaction arrives at its own time, repeats right
                            behind */
};
/* Seed 1, 120 days from 2018-04-01, 5,000 customers, 10,000 terminals, 0.2 % late, 0.1 % repeated,
 * 0.02 % broken, 2 % of the genuine ones labelled. */
struct oz_fraud_config oz_fraud_defaults(void);

enum oz_fraud_kind { OZ_FRAUD_NONE, OZ_FRAUD_AMOUNT, OZ_FRAUD_TERMINAL, OZ_FRAUD_CARD };
enum oz_fraud_broken {
    OZ_FRAUD_WHOLE,
    OZ_FRAUD_CUT,        /* the JSON text ends too early: stage `decode` */
    OZ_FRAUD_NO_KEY,     /* no "customer": stage `key` */
    OZ_FRAUD_WRONG_TYPE, /* "amount" is text: stage `decode` */
    OZ_FRAUD_FUTURE      /* "at" is a hundred years later: stage `time` */
};
enum oz_fraud_event_kind { OZ_FRAUD_TRANSACTION, OZ_FRAUD_LABEL };

struct oz_fraud_event {
    enum oz_fraud_event_kind kind;
    int64_t arrival_us, at_us; /* when it becomes known; when the transaction was */
    const char *key, *value;   /* the customer; JSON */
    size_t key_len, value_len;
    int64_t tx_id; /* 0, 1, 2, ... in the order of at_us */
    uint32_t customer, terminal;
    int64_t cents;
    /* What the records of transactions do not say. */
    bool fraud;
    enum oz_fraud_kind fraud_kind;
    enum oz_fraud_broken broken;
    bool late, repeat;
};

struct oz_fraud_generator;
/* OZ_USAGE when a number is out of its limits. */
enum oz_status oz_fraud_generator_new(const struct oz_fraud_config *config,
                                      struct oz_fraud_generator **ret_generator,
                                      struct oz_error *err) OZ_MUST_USE;
void oz_fraud_generator_free(struct oz_fraud_generator *generator); /* NULL is fine */

/* Events in the order of arrival. False: there are no more, the last labels (seven days after the
 * last transaction) included; or memory ran out, which oz_fraud_generator_status() tells. */
bool oz_fraud_generator_next(struct oz_fraud_generator *generator,
                             struct oz_fraud_event *ret_event);
enum oz_status oz_fraud_generator_status(const struct oz_fraud_generator *generator,
                                         struct oz_error *err) OZ_MUST_USE;

/* Writes transactions.jsonl.zst, sorted by "at", and labels.jsonl.zst, sorted by "reported_at",
 * into a folder that exists: what oz_file_source reads. No transaction is late then. Files appear
 * whole or not at all. `progress` (nullable) is called after each day. OZ_ENVIRONMENT with the
 * system's words. */
struct oz_fraud_progress {
    void (*day)(void *ctx, uint32_t days_done, uint32_t days);
    void *ctx;
};
enum oz_status oz_fraud_generator_write(const struct oz_fraud_config *config, const char *folder,
                                        const struct oz_fraud_progress *progress,
                                        struct oz_error *err) OZ_MUST_USE;
#endif
