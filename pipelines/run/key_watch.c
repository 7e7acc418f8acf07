#include "pipelines/run/key_watch.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"

enum { IN_TWO = UINT32_MAX, ANOTHER_LOOK = 1 << 16 };

struct slot {
    uint64_t hash;
    uint32_t partition; /* IN_TWO: has been counted */
};
struct topic {
    int entity; /* the one that is its key; -1: none, and nothing is looked at */
    struct slot *slot;
    uint64_t keys, as_murmur2, as_crc32, in_two;
    int64_t say_us; /* not before */
};
struct oz_key_watch {
    const struct oz_program *prg;
    uint32_t n_partitions;
    struct topic topic[OZ_SOURCES_MAX];
    uint64_t mismatches;
    bool is_on;
};

static int entity_of(const struct oz_program *prg, uint32_t s)
{
    for (uint32_t e = 0; e < prg->plan->n_entities; e++)
        if (prg->keyed_by_source[e] && prg->plan->entity[e].field[s] == prg->schema[s]->key)
            return (int)e;
    return -1;
}

enum oz_status oz_key_watch_new(const struct oz_program *prg, uint32_t n_partitions,
                                struct oz_key_watch **ret_watch, struct oz_error *err)
{
    struct oz_key_watch *watch = oz_calloc(1, sizeof *watch);
    if (!watch) return oz_no_memory(err);
    watch->prg = prg;
    watch->n_partitions = n_partitions;
    for (uint32_t s = 0; s < prg->plan->n_sources; s++) {
        struct topic *t = &watch->topic[s];
        t->say_us = INT64_MIN;
        t->entity = n_partitions > 1 ? entity_of(prg, s) : -1;
        if (t->entity < 0) continue;
        watch->is_on = true;
        if (!(t->slot = oz_calloc(OZ_KEY_SLOTS, sizeof *t->slot))) {
            oz_key_watch_free(watch);
            return oz_no_memory(err);
        }
    }
    *ret_watch = watch;
    return OZ_OK;
}

void oz_key_watch_free(struct oz_key_watch *watch)
{
    if (!watch) return;
    for (uint32_t s = 0; s < OZ_SOURCES_MAX; s++) oz_free(watch->topic[s].slot);
    oz_free(watch);
}

static void look(struct oz_key_watch *watch, struct topic *t, const struct oz_key *key,
                 uint32_t partition)
{
    struct slot *slot = &t->slot[key->hash % OZ_KEY_SLOTS];
    if (OZ_LIKELY(slot->hash == key->hash)) {
        if (OZ_LIKELY(slot->partition == partition || slot->partition == IN_TWO)) return;
        slot->partition = IN_TWO;
        t->in_two++;
        watch->mismatches++;
        return;
    }
    *slot = (struct slot){key->hash, partition};
    t->keys++;
    t->as_murmur2 += oz_murmur2_partition(key->data, key->len, watch->n_partitions) == partition;
    t->as_crc32 += oz_crc32_partition(key->data, key->len, watch->n_partitions) == partition;
}

static void judge(struct oz_key_watch *watch, uint32_t s, int64_t now_us)
{
    struct topic *t = &watch->topic[s];
    uint64_t best = OZ_MAX(t->as_murmur2, t->as_crc32);
    double line = 0.5 + 0.5 / watch->n_partitions;
    bool is_other = t->keys >= OZ_KEYS_MIN && (double)best < line * (double)t->keys;
    if (now_us < t->say_us || (!is_other && !t->in_two)) return;
    const char *topic = watch->prg->pipeline.source[s].topic;
    const struct oz_schema *schema = watch->prg->schema[s];
    oz_warn("the topic `%s` does not look partitioned by its key `%s`: of %llu keys %.0f %% are "
            "where murmur2 (Java clients) puts them and %.0f %% where CRC-32 (librdkafka) does, "
            "and %llu came from two partitions; the past of a key in two partitions is in two "
            "rows, and its windows miss events: let the producer key its records by `%s`, or name "
            "what they are keyed by as the source's `key`%s",
            topic, schema->field[schema->key].name, (unsigned long long)t->keys,
            t->keys ? 100.0 * (double)t->as_murmur2 / (double)t->keys : 0,
            t->keys ? 100.0 * (double)t->as_crc32 / (double)t->keys : 0,
            (unsigned long long)t->in_two, schema->field[schema->key].name,
            t->in_two ? "" : "; a partitioner of your own is fine as long as it goes by this key");
    if (is_other) watch->mismatches += t->keys - best;
    t->keys = t->as_murmur2 = t->as_crc32 = t->in_two = 0;
    t->say_us = now_us + OZ_KEY_SAY_US;
}

void oz_key_watch_batch(struct oz_key_watch *watch, const struct oz_batch *bat, int64_t now_us)
{
    if (!watch->is_on) return;
    for (size_t i = 0; i < bat->n_records; i++) {
        struct topic *t = &watch->topic[bat->record[i].source];
        if (t->entity >= 0 && bat->key[t->entity][i].data)
            look(watch, t, &bat->key[t->entity][i], bat->record[i].partition);
    }
    for (uint32_t s = 0; s < watch->prg->plan->n_sources; s++) {
        struct topic *t = &watch->topic[s];
        if (t->entity < 0) continue;
        judge(watch, s, now_us);
        if (t->keys < ANOTHER_LOOK) continue;
        t->keys /= 2; /* what was long ago weighs less */
        t->as_murmur2 /= 2;
        t->as_crc32 /= 2;
    }
}

uint64_t oz_key_watch_mismatches(const struct oz_key_watch *watch) { return watch->mismatches; }
