#include "pipelines/demo/fraud_population.h"
#include "pipelines/demo/fraud_random.h"
#include <math.h>

enum { CITY = 100, PLACE_STEPS = CITY << 16, CELLS_MAX = 1024 };
static const double night_owl_share = 0.03;

/* Terminals by place: those of cell (i, j) are order[start[i * n + j], start[i * n + j + 1]). */
struct grid {
    uint32_t n; /* cells a side */
    double cell, radius;
    uint32_t *start, *order;
};

static float place(struct oz_random *random)
{
    return (float)((double)oz_random_below(random, PLACE_STEPS) * 0x1p-16);
}

static uint32_t cell_of(const struct grid *grid, double x)
{
    uint32_t i = (uint32_t)(x / grid->cell);
    return OZ_MIN(i, grid->n - 1);
}

static size_t cell_at(const struct grid *grid, const struct oz_fraud_terminal *terminal)
{
    return (size_t)cell_of(grid, terminal->x) * grid->n + cell_of(grid, terminal->y);
}

static enum oz_status grid_init(struct grid *grid, const struct oz_fraud_population *population,
                                struct oz_error *err)
{
    uint32_t n_terminals = population->n_terminals;
    grid->radius = sqrt(25.0 * 10000 / n_terminals); /* 5 among 10,000: as many are in reach */
    grid->cell = OZ_MAX(grid->radius, (double)CITY / CELLS_MAX);
    grid->n = OZ_MAX((uint32_t)(CITY / grid->cell), 1u);
    grid->cell = (double)CITY / grid->n;
    size_t n_cells = (size_t)grid->n * grid->n;
    grid->start = oz_calloc(n_cells + 2, sizeof(*grid->start));
    grid->order = oz_calloc(n_terminals, sizeof(*grid->order));
    if (!grid->start || !grid->order) return oz_no_memory(err);
    /* Counts two places further on, so that filling them leaves start as it is wanted. */
    for (uint32_t t = 0; t < n_terminals; t++)
        grid->start[cell_at(grid, &population->terminal[t]) + 2]++;
    for (size_t c = 2; c < n_cells + 2; c++) grid->start[c] += grid->start[c - 1];
    for (uint32_t t = 0; t < n_terminals; t++)
        grid->order[grid->start[cell_at(grid, &population->terminal[t]) + 1]++] = t;
    return OZ_OK;
}

/* Writes the terminals in the customer's reach to `to` (nullable) and returns how many there are.
 */
static uint32_t find_terminals(const struct grid *grid,
                               const struct oz_fraud_population *population,
                               const struct oz_fraud_customer *customer, uint32_t *to)
{
    uint32_t i = cell_of(grid, customer->x), j = cell_of(grid, customer->y), n = 0;
    uint32_t i_end = OZ_MIN(i + 2, grid->n), j_end = OZ_MIN(j + 2, grid->n);
    uint32_t j_start = j ? j - 1 : 0;
    for (i = i ? i - 1 : 0; i < i_end; i++) {
        size_t row = (size_t)i * grid->n;
        for (uint32_t k = grid->start[row + j_start]; k < grid->start[row + j_end]; k++) {
            uint32_t t = grid->order[k];
            double dx = (double)population->terminal[t].x - (double)customer->x;
            double dy = (double)population->terminal[t].y - (double)customer->y;
            if (dx * dx + dy * dy >= grid->radius * grid->radius) continue;
            if (to) to[n] = t;
            n++;
        }
    }
    return n;
}

static void make_customer(struct oz_fraud_customer *customer, struct oz_random *random)
{
    *customer = (struct oz_fraud_customer){.x = place(random), .y = place(random)};
    customer->mean_cents = 500 + 9500 * oz_random_unit(random);
    double rate = 4 * oz_random_unit(random);
    double weekend = 0.5 + oz_random_unit(random); /* the week's sum stays 7 */
    customer->rate[0] = rate * (7 - 2 * weekend) / 5;
    customer->rate[1] = rate * weekend;
    for (int i = 0; i < 2; i++) customer->exp_minus_rate[i] = oz_exp_minus(customer->rate[i]);
    customer->night_owl = oz_random_chance(random, night_owl_share);
}

static enum oz_status find_reach(struct oz_fraud_population *population, struct oz_error *err)
{
    struct grid grid = {0};
    enum oz_status status;
    size_t total = 0;
    OZ_TRY_OUT(grid_init(&grid, population, err));
    for (uint32_t c = 0; c < population->n_customers; c++) {
        struct oz_fraud_customer *customer = &population->customer[c];
        customer->first_terminal = total;
        customer->n_terminals = find_terminals(&grid, population, customer, NULL);
        total += customer->n_terminals;
    }
    population->reach = oz_calloc(OZ_MAX(total, (size_t)1), sizeof(*population->reach));
    if (!population->reach) {
        status = oz_no_memory(err);
        goto out;
    }
    for (uint32_t c = 0; c < population->n_customers; c++) {
        const struct oz_fraud_customer *customer = &population->customer[c];
        find_terminals(&grid, population, customer, population->reach + customer->first_terminal);
    }
out:
    oz_free(grid.start);
    oz_free(grid.order);
    return status;
}

enum oz_status oz_fraud_population_init(struct oz_fraud_population *population, uint64_t seed,
                                        uint32_t n_customers, uint32_t n_terminals,
                                        struct oz_error *err)
{
    *population =
        (struct oz_fraud_population){.n_customers = n_customers, .n_terminals = n_terminals};
    population->customer = oz_calloc(n_customers, sizeof(*population->customer));
    population->terminal = oz_calloc(n_terminals, sizeof(*population->terminal));
    enum oz_status status =
        population->customer && population->terminal ? OZ_OK : oz_no_memory(err);
    if (status == OZ_OK) {
        struct oz_random random;
        oz_random_init(&random, seed, 1);
        for (uint32_t t = 0; t < n_terminals; t++) {
            population->terminal[t].x = place(&random);
            population->terminal[t].y = place(&random);
        }
        oz_random_init(&random, seed, 2);
        for (uint32_t c = 0; c < n_customers; c++) make_customer(&population->customer[c], &random);
        status = find_reach(population, err);
    }
    if (status != OZ_OK) oz_fraud_population_clear(population);
    return status;
}

void oz_fraud_population_clear(struct oz_fraud_population *population)
{
    oz_free(population->customer);
    oz_free(population->terminal);
    oz_free(population->reach);
    *population = (struct oz_fraud_population){0};
}
