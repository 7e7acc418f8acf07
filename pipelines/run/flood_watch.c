#include "pipelines/run/flood_watch.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/instant.h"

void oz_flood_watch_init(struct oz_flood_watch *watch, const struct oz_flood *limit)
{
    memset(watch, 0, sizeof *watch);
    watch->limit = *limit;
}

void oz_flood_watch_forget(struct oz_flood_watch *watch)
{
    struct oz_flood limit = watch->limit;
    oz_flood_watch_init(watch, &limit);
}

/* Moves the window to now: slots that have left it are taken out of the sums. */
static size_t slot_of(struct oz_flood_watch *watch, int64_t now_us)
{
    int64_t number = now_us / OZ_MAX(watch->limit.per_us / OZ_FLOOD_SLOTS, 1);
    int64_t gone = OZ_MIN(number - watch->slot_number, OZ_FLOOD_SLOTS);
    for (int64_t i = 0; i < gone; i++) {
        size_t k = (size_t)((number - i) % OZ_FLOOD_SLOTS);
        watch->records -= watch->slot[k].records;
        watch->dead -= watch->slot[k].dead;
        watch->slot[k].records = watch->slot[k].dead = 0;
    }
    watch->slot_number = OZ_MAX(number, watch->slot_number);
    if (!watch->dead) watch->n_reasons = 0;
    return (size_t)(watch->slot_number % OZ_FLOOD_SLOTS);
}

/* The same for texts that differ in their numbers only. */
static uint64_t hash_of(const char *stage, const char *text)
{
    char plain[OZ_FLOOD_REASON_BYTES];
    size_t n = 0;
    for (const char *c = text; *c && n + 1 < sizeof plain; c++)
        if (*c < '0' || *c > '9') plain[n++] = *c;
    return oz_hash64(plain, n) ^ (uint64_t)(uintptr_t)stage;
}

static void count_reason(struct oz_flood_watch *watch, const char *stage, const char *text,
                         const struct oz_record *rec, uint64_t n)
{
    uint64_t hash = hash_of(stage, text);
    size_t k = 0;
    while (k < watch->n_reasons && watch->reason[k].hash != hash) k++;
    if (k == OZ_FLOOD_REASONS) return; /* the commonest one is among the first, in a flood */
    struct oz_flood_reason *reason = &watch->reason[k];
    if (k == watch->n_reasons) {
        watch->n_reasons++;
        *reason = (struct oz_flood_reason){.hash = hash,
                                           .stage = stage,
                                           .source = rec->source,
                                           .partition = rec->partition,
                                           .offset = rec->offset};
        snprintf(reason->text, sizeof reason->text, "%s", text);
    }
    reason->count += n;
}

static void check(struct oz_flood_watch *watch)
{
    const struct oz_flood *limit = &watch->limit;
    if (!limit->share_ppm)
        watch->is_over = watch->dead > limit->count;
    else
        watch->is_over =
            watch->dead >= OZ_FLOOD_DEAD_MIN &&
            (double)watch->dead * 1e6 > (double)limit->share_ppm * (double)watch->records;
}

void oz_flood_watch_batch(struct oz_flood_watch *watch, const struct oz_batch *bat,
                          const struct oz_outbox *box, int64_t now_us)
{
    if (!watch->limit.per_us || watch->is_over) return;
    size_t k = slot_of(watch, now_us);
    watch->slot[k].records += bat->n_records;
    watch->slot[k].dead += box->n_dead;
    watch->records += bat->n_records;
    watch->dead += box->n_dead;
    if (!box->n_dead) return;
    for (size_t i = 0; i < bat->n_records; i++)
        if (bat->fate[i] == OZ_FATE_DEAD)
            count_reason(watch, oz_dead_stage_name(bat->dead_stage[i]), bat->dead_reason[i],
                         &bat->record[i], 1);
    for (uint32_t w = 0; w < box->n_parts; w++)
        if (box->part[w].n_too_large)
            count_reason(watch, "produce", "its score or alert is larger than message.max.bytes",
                         &bat->record[box->part[w].too_large], box->part[w].n_too_large);
    check(watch);
}

static const struct oz_flood_reason *commonest(const struct oz_flood_watch *watch)
{
    const struct oz_flood_reason *best = &watch->reason[0];
    for (size_t k = 1; k < watch->n_reasons; k++)
        if (watch->reason[k].count > best->count) best = &watch->reason[k];
    return best;
}

enum oz_status oz_flood_watch_status(const struct oz_flood_watch *watch,
                                     const struct oz_pipeline *pl, struct oz_error *err)
{
    if (!watch->is_over) return OZ_OK;
    const struct oz_flood_reason *why = commonest(watch);
    char per[OZ_INSTANT_BYTES_MAX], limit[48];
    oz_format_duration(per, watch->limit.per_us);
    if (watch->limit.share_ppm)
        snprintf(limit, sizeof limit, "%g%%", watch->limit.share_ppm / 1e4);
    else
        snprintf(limit, sizeof limit, "%llu", (unsigned long long)watch->limit.count);
    OZ_FAIL(err, OZ_FLOOD,
            "%llu of the %llu records read within %s are dead letters, and errors.stop_above is %s "
            "per %s; the commonest reason is: %s (stage %s), as of %s partition %u offset %lld; "
            "what was read is committed, its dead letters %s%s: correct what writes the records or "
            "what this pipeline expects of them, or raise errors.stop_above, and start again",
            (unsigned long long)watch->dead, (unsigned long long)watch->records, per, limit, per,
            why->text, why->stage, pl->source[why->source].topic, why->partition,
            (long long)why->offset, pl->dead_letters_topic ? "in " : "counted only",
            pl->dead_letters_topic ? pl->dead_letters_topic : "");
}
