#include <stdio.h>
#include "base/json_writer.h"
#include "features/ring_place.h"

static void dump_id(const struct oz_ring_layout *rl, const uint8_t *entry, struct oz_json *json)
{
    char hex[33];
    if (!rl->id_words) return;
    oz_json_key(json, "id");
    if (rl->id_words == 1) {
        oz_json_i64(json, oz_get_i64(entry + 8));
        return;
    }
    for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", entry[8 + i]);
    oz_json_string(json, hex, 32);
}

static void dump_value(const struct oz_value_layout *v, uint64_t bits, struct oz_json *json)
{
    char hex[17];
    if (v->kind != OZ_VALUE_KEY) {
        oz_json_double(json, oz_double_of(bits));
        return;
    }
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)bits);
    if (bits == OZ_NULL_KEY)
        oz_json_null(json);
    else
        oz_json_string(json, hex, 16);
}

static void dump_entries(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                         struct oz_json *json)
{
    for (uint32_t i = 0; i < n; i++, entry += rl->stride) {
        oz_json_open(json, '{');
        oz_json_key(json, "time");
        oz_json_instant(json, oz_entry_time(entry));
        dump_id(rl, entry, json);
        oz_json_key(json, "values");
        oz_json_open(json, '[');
        for (uint32_t k = 0; k < rl->n_values; k++)
            dump_value(&rl->value[k], oz_entry_value(rl, entry, k), json);
        oz_json_close(json, ']');
        oz_json_close(json, '}');
    }
}

static enum oz_status dump_ring(struct oz_row_work *w, uint32_t ring, struct oz_json *json)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    const struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    if (!r->spilled) {
        dump_entries(rl, oz_ring_slot(rl, r, r->first), r->len - r->first, json);
        return OZ_OK;
    }
    uint64_t at = oz_ring_first_ordinal(w->layout, w->row, ring);
    while (at < oz_ring_end_ordinal(w->layout, w->row, ring)) {
        const uint8_t *entry;
        uint32_t n;
        OZ_TRY(oz_ring_run(w, ring, at, &entry, &n));
        if (!n) OZ_FAIL(w->err, OZ_CORRUPT, "a row's index counts more events than there are");
        dump_entries(rl, entry, n, json);
        at += n;
        oz_parts_shed(w);
    }
    return OZ_OK;
}

static void dump_time(struct oz_json *json, const char *key, int64_t us)
{
    oz_json_key(json, key);
    if (us == OZ_TIME_NONE)
        oz_json_null(json);
    else
        oz_json_instant(json, us);
}

static void dump_suppressions(const struct oz_row_work *w, const struct oz_row_names *names,
                              struct oz_json *json)
{
    const struct oz_suppression *s =
        (const struct oz_suppression *)((uint8_t *)w->row + w->layout->suppressions_at);
    bool any = false;
    for (uint32_t i = 0; i < w->layout->n_suppressions; i++) {
        if (s[i].fired_us == OZ_TIME_NONE) continue;
        if (!any) {
            oz_json_key(json, "suppressions");
            oz_json_open(json, '[');
        }
        any = true;
        oz_json_open(json, '{');
        oz_json_key(json, "rule");
        if (names)
            oz_json_cstring(json, names->suppression[i]);
        else
            oz_json_i64(json, i);
        dump_time(json, "fired", s[i].fired_us);
        oz_json_key(json, "held_back");
        oz_json_i64(json, s[i].held_back);
        oz_json_close(json, '}');
    }
    if (any) oz_json_close(json, ']');
}

static void dump_ring_head(const struct oz_row_work *w, uint32_t ring,
                           const struct oz_row_names *names, struct oz_json *json)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    const struct oz_ring_side *rs = w->row->side ? &w->row->side->ring[ring] : NULL;
    if (names) {
        oz_json_key(json, "source");
        oz_json_cstring(json, names->ring[ring]);
        oz_json_key(json, "columns");
        oz_json_open(json, '[');
        for (uint32_t v = 0; v < rl->n_values; v++) oz_json_cstring(json, names->value[ring][v]);
        oz_json_close(json, ']');
    }
    oz_json_key(json, "saturated");
    oz_json_boolean(json, rs && rs->saturated_us != OZ_TIME_NONE);
    if (rs && rs->since[0] != OZ_TIME_NONE) dump_time(json, "complete_since", rs->since[0]);
    if (rs && rs->base && rs->base[0]) { /* events that only their totals are left of */
        oz_json_key(json, "gone");
        oz_json_i64(json, (int64_t)rs->base[0]);
    }
}

enum oz_status oz_row_dump(const struct oz_row_layout *layout, void *row, struct oz_row_io *io,
                           const struct oz_row_names *names, struct oz_json *json,
                           struct oz_error *err)
{
    struct oz_row_work w = {layout, row, io, err, NULL};
    oz_json_open(json, '{');
    dump_time(json, "last", w.row->last_us);
    dump_suppressions(&w, names, json);
    oz_json_key(json, "rings");
    oz_json_open(json, '[');
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        oz_json_open(json, '{');
        dump_ring_head(&w, i, names, json);
        oz_json_key(json, "events");
        oz_json_open(json, '[');
        OZ_TRY(dump_ring(&w, i, json));
        oz_json_close(json, ']');
        oz_json_close(json, '}');
    }
    oz_json_close(json, ']');
    oz_json_close(json, '}');
    return OZ_OK;
}
