/* Who lives in the demo's city: customers with their habits, and the terminals in their reach.
 * Layout: a customer's terminals are reach[first_terminal, + n_terminals).
 * Threads: read-only once made, but for the days until which something is compromised. */
#ifndef OZ_PIPELINES_DEMO_FRAUD_POPULATION_H
#define OZ_PIPELINES_DEMO_FRAUD_POPULATION_H
#include "base/memory.h"

struct oz_fraud_customer {
    float x, y;
    double mean_cents;
    /* Transactions a day, and e to the minus that, on weekdays [0] and at the weekend [1]. */
    double rate[2], exp_minus_rate[2];
    size_t first_terminal;
    uint32_t n_terminals;
    uint32_t leaked_until; /* first day on which the card is safe again; 0: it always was */
    bool night_owl;
};
struct oz_fraud_terminal {
    float x, y;
    uint32_t tampered_until; /* as leaked_until */
};
struct oz_fraud_population {
    struct oz_fraud_customer *customer;
    struct oz_fraud_terminal *terminal;
    uint32_t *reach;
    uint32_t n_customers, n_terminals;
};
enum oz_status oz_fraud_population_init(struct oz_fraud_population *population, uint64_t seed,
                                        uint32_t n_customers, uint32_t n_terminals,
                                        struct oz_error *err) OZ_MUST_USE;
void oz_fraud_population_clear(struct oz_fraud_population *population);
#endif
