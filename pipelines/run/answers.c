#include "pipelines/run/answers.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/progress.h"

enum { DEPTH_MAX = 8, SHOWN_BYTES = 60, PATH_BYTES = 128 };
static const char id_head[] = "{\"v\":1,\"id\":\"";

void oz_answers_init(struct oz_answers *answers)
{
    memset(answers, 0, sizeof *answers);
    oz_buf_init(&answers->bytes);
    answers->first_ms = INT64_MAX;
}

void oz_answers_clear(struct oz_answers *answers)
{
    oz_buf_clear(&answers->bytes);
    oz_free(answers->answer);
    memset(answers, 0, sizeof *answers);
}

/* ---- ids */

/* The id of a score or alert, which stands first in it. NULL: it is neither. */
static const char *find_id(const char *value, size_t len, uint32_t *ret_len)
{
    size_t head = sizeof id_head - 1;
    if (!value || len < head || memcmp(value, id_head, head) != 0) return NULL;
    const char *id = value + head, *end = memchr(id, '"', len - head);
    if (!end) return NULL;
    *ret_len = (uint32_t)(end - id);
    return id;
}

/* Takes a number that a slash or the end follows. */
static bool take_number(const char **at, const char *end, int64_t *ret_n)
{
    const char *p = *at;
    int64_t n = 0;
    for (; p < end && *p >= '0' && *p <= '9' && n < INT64_MAX / 100; p++) n = n * 10 + (*p - '0');
    if (p == *at || (p < end && *p != '/')) return false;
    *at = p < end ? p + 1 : p;
    *ret_n = n;
    return true;
}

/* <pipeline>/<topic>/<partition>/<offset>, and anything behind a slash. */
static bool names_event(const struct oz_program *prg, const char *id, size_t len,
                        int64_t *ret_partition, int64_t *ret_offset)
{
    const char *word[] = {prg->pipeline.name,
                          prg->pipeline.source[prg->pipeline.scored_source].topic};
    const char *at = id, *end = id + len;
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(word[i]);
        if ((size_t)(end - at) <= n || memcmp(at, word[i], n) != 0 || at[n] != '/') return false;
        at += n + 1;
    }
    return take_number(&at, end, ret_partition) && take_number(&at, end, ret_offset);
}

static bool in_scope(const struct oz_answers_scope *scope, const char *id, size_t len)
{
    if (scope->id) {
        size_t n = strlen(scope->id);
        return len >= n && !memcmp(id, scope->id, n) && (len == n || id[n] == '/');
    }
    int64_t partition, offset;
    const struct oz_ledger_record *epoch = scope->epoch;
    if (!names_event(scope->program, id, len, &partition, &offset)) return false;
    for (size_t i = 0; i < epoch->n_ranges; i++) {
        const struct oz_ledger_range *r = &epoch->range[i];
        if (r->source == scope->program->plan->scored_source && r->partition == partition &&
            offset >= r->from && offset < r->to)
            return true;
    }
    return false;
}

/* ---- what was recomputed */

enum oz_status oz_answers_add(struct oz_answers *answers, const struct oz_answers_scope *scope,
                              const struct oz_outbox *box, uint32_t topic, struct oz_error *err)
{
    for (uint32_t w = 0; w < box->n_parts; w++) {
        const struct oz_outbox_part *part = &box->part[w];
        for (size_t i = 0; i < part->n; i++) {
            const struct oz_out *out = &part->out[i];
            const char *value = (const char *)part->bytes.data + out->value_at;
            uint32_t id_len;
            if (out->topic != topic) continue;
            const char *id = find_id(value, out->value_len, &id_len);
            if (!id) OZ_FAIL(err, OZ_DEFECT, "an output without an id");
            if (!in_scope(scope, id, id_len)) continue;
            OZ_TRY(oz_grow((void **)&answers->answer, &answers->cap, answers->n + 1,
                           sizeof *answers->answer, err));
            answers->answer[answers->n++] = (struct oz_answer){
                .hash = oz_hash64(id, id_len),
                .id_at = answers->bytes.len + (size_t)(id - value),
                .id_len = id_len,
                .value_at = answers->bytes.len,
                .value_len = out->value_len,
                .key_at = answers->bytes.len + out->value_len,
                .key_len = out->has_key ? out->key_len : 0,
                .has_key = out->has_key,
            };
            oz_buf_put(&answers->bytes, value, out->value_len);
            oz_buf_put(&answers->bytes, part->bytes.data + out->key_at,
                       out->has_key ? out->key_len : 0);
        }
    }
    return oz_buf_status(&answers->bytes, err);
}

static int by_hash(const void *a, const void *b)
{
    const struct oz_answer *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static struct oz_answer *find(const struct oz_answers *answers, const char *id, uint32_t id_len)
{
    uint64_t hash = oz_hash64(id, id_len);
    size_t lo = 0, hi = answers->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (answers->answer[mid].hash < hash)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < answers->n && answers->answer[lo].hash == hash; lo++) {
        struct oz_answer *a = &answers->answer[lo];
        if (a->id_len == id_len && !memcmp(answers->bytes.data + a->id_at, id, id_len)) return a;
    }
    return NULL;
}

/* ---- what differs */

void oz_json_path_at(const char *text, size_t len, size_t at, char *to, size_t cap)
{
    struct {
        size_t at, len;
    } key[DEPTH_MAX + 1] = {{0, 0}};
    size_t depth = 0, n = 0;
    for (size_t i = 0; i < len && i <= at; i++) {
        char c = text[i];
        if (c == '{' || c == '[') {
            if (++depth <= DEPTH_MAX) key[depth].len = 0;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == '"') {
            size_t end = i + 1;
            while (end < len && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
            if (end + 1 < len && text[end + 1] == ':' && depth <= DEPTH_MAX)
                key[depth].at = i + 1, key[depth].len = end - i - 1;
            i = end;
        }
    }
    to[0] = 0;
    for (size_t d = 1; d <= OZ_MIN(depth, (size_t)DEPTH_MAX) && n < cap; d++)
        if (key[d].len)
            n += (size_t)snprintf(to + n, cap - n, "%s%.*s", n ? "." : "", (int)key[d].len,
                                  text + key[d].at);
}

/* The value around the byte, up to SHOWN_BYTES of it. */
static int value_around(const char *text, size_t len, size_t at, const char **ret_start)
{
    size_t from = OZ_MIN(at, len), to = from;
    while (from > 0 && !strchr(",:{[", text[from - 1])) from--;
    if (at - from > SHOWN_BYTES / 2) from = at - SHOWN_BYTES / 2;
    while (to < len && to - from < SHOWN_BYTES && !strchr(",}]", text[to])) to++;
    *ret_start = text + from;
    return (int)(to - from);
}

struct compare {
    struct oz_answers *answers;
    const char *topic;
    bool once;
    FILE *out;
    uint64_t *n_differences;
};

static bool told(struct compare *c) { return ++*c->n_differences <= OZ_ANSWERS_SHOWN_MAX; }

static void compare_one(struct compare *c, const struct oz_record *rec, const char *id,
                        uint32_t id_len, struct oz_answer *a)
{
    const char *want = (const char *)c->answers->bytes.data + a->value_at, *shown[2];
    if (a->n_found++ && c->once && told(c))
        fprintf(c->out, "%.*s: more than once in %s\n", (int)id_len, id, c->topic);
    size_t n = OZ_MIN(rec->value_len, a->value_len), at = 0;
    while (at < n && rec->value[at] == want[at]) at++;
    if (at < rec->value_len || at < a->value_len) {
        char path[PATH_BYTES];
        if (!told(c)) return;
        oz_json_path_at(want, a->value_len, at, path, sizeof path);
        int got_len = value_around(rec->value, rec->value_len, at, &shown[0]);
        int want_len = value_around(want, a->value_len, at, &shown[1]);
        fprintf(c->out,
                "%.*s: %s differs at byte %zu: %s partition %u offset %lld has %.*s, "
                "recomputed %.*s\n",
                (int)id_len, id, path[0] ? path : "the record", at, c->topic, rec->partition,
                (long long)rec->offset, got_len, shown[0], want_len, shown[1]);
        return;
    }
    bool same_key =
        a->has_key == (rec->key != NULL) &&
        (!rec->key || (rec->key_len == a->key_len &&
                       !memcmp(c->answers->bytes.data + a->key_at, rec->key, rec->key_len)));
    if (!same_key && told(c))
        fprintf(c->out, "%.*s: the record's key in %s differs\n", (int)id_len, id, c->topic);
}

static enum oz_status compare_topic(struct compare *c, const struct oz_answers_scope *scope,
                                    struct oz_kafka_log *log, uint32_t n_partitions, int64_t *from,
                                    int64_t *end, struct oz_error *err)
{
    struct oz_progress progress;
    uint64_t total = 0, n = 0;
    enum oz_status status = OZ_OK;
    for (uint32_t p = 0; p < n_partitions; p++) total += (uint64_t)OZ_MAX(end[p] - from[p], 0);
    oz_progress_init(&progress, c->topic, total, "records");
    for (uint32_t p = 0; p < n_partitions && status == OZ_OK; p++) {
        bool found = true;
        oz_kafka_log_seek(log, 0, p, from[p]);
        while (found && status == OZ_OK) {
            struct oz_record rec;
            uint32_t id_len;
            status = oz_kafka_log_next(log, 0, p, end[p], &rec, &found, err);
            if (status != OZ_OK || !found) break;
            const char *id = find_id(rec.value, rec.value_len, &id_len);
            if (id && in_scope(scope, id, id_len)) {
                struct oz_answer *a = find(c->answers, id, id_len);
                if (a)
                    compare_one(c, &rec, id, id_len, a);
                else if (told(c))
                    fprintf(c->out, "%.*s: in %s partition %u offset %lld, and not recomputed\n",
                            (int)id_len, id, c->topic, p, (long long)rec.offset);
            }
            oz_kafka_log_release(log, &rec, 1);
            oz_progress_set(&progress, ++n);
        }
    }
    oz_progress_done(&progress);
    return status;
}

static void tell_missing(struct compare *c)
{
    for (size_t i = 0; i < c->answers->n; i++) {
        const struct oz_answer *a = &c->answers->answer[i];
        if (!a->n_found && told(c))
            fprintf(c->out, "%.*s: not in %s\n", (int)a->id_len,
                    (const char *)c->answers->bytes.data + a->id_at, c->topic);
    }
}

enum oz_status oz_answers_compare(struct oz_answers *answers, const struct oz_answers_scope *scope,
                                  const struct oz_kafka_config *client,
                                  const struct oz_answers_topic *topic, bool once,
                                  const atomic_bool *stop, FILE *out, uint64_t *n_differences,
                                  struct oz_error *err)
{
    struct compare c = {answers, topic->name, once, out, n_differences};
    struct oz_kafka_log *log = NULL;
    enum oz_status status = OZ_OK;
    int64_t *bounds = oz_calloc(3 * (size_t)topic->n_partitions, sizeof *bounds);
    if (!bounds) return oz_no_memory(err);
    int64_t *from = bounds + topic->n_partitions, *end = from + topic->n_partitions;
    if (answers->n) qsort(answers->answer, answers->n, sizeof *answers->answer, by_hash);
    OZ_TRY_OUT(
        oz_kafka_log_open(client, &topic->name, 1, topic->n_partitions, once, stop, &log, err));
    OZ_TRY_OUT(oz_kafka_log_bounds(log, bounds, end, err));
    /* An output has its event's time: what is older than all of them need not be read. */
    int64_t first_ms = answers->first_ms == INT64_MAX ? 0 : answers->first_ms;
    OZ_TRY_OUT(oz_kafka_log_at_time(log, first_ms, from, err));
    OZ_TRY_OUT(compare_topic(&c, scope, log, topic->n_partitions, from, end, err));
    tell_missing(&c);
out:
    oz_kafka_log_close(log);
    oz_free(bounds);
    return status;
}
