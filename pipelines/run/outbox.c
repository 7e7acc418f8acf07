#include "pipelines/run/outbox.h"

enum { PRODUCE_MESSAGES = 256 };

enum oz_status oz_outbox_init(struct oz_outbox *box, uint32_t n_parts, struct oz_error *err)
{
    memset(box, 0, sizeof *box);
    box->part = oz_calloc(n_parts, sizeof *box->part);
    if (!box->part) return oz_no_memory(err);
    box->n_parts = n_parts;
    for (uint32_t i = 0; i < n_parts; i++) oz_buf_init(&box->part[i].bytes);
    return OZ_OK;
}

void oz_outbox_clear(struct oz_outbox *box)
{
    for (uint32_t i = 0; i < box->n_parts; i++) {
        oz_buf_clear(&box->part[i].bytes);
        oz_free(box->part[i].out);
        oz_free(box->part[i].header);
    }
    oz_free(box->part);
    memset(box, 0, sizeof *box);
}

void oz_outbox_reset(struct oz_outbox *box)
{
    for (uint32_t i = 0; i < box->n_parts; i++) {
        oz_buf_reset(&box->part[i].bytes);
        box->part[i].n = box->part[i].n_headers = box->part[i].n_too_large = 0;
        box->part[i].n_scores = box->part[i].n_alerts = box->part[i].n_dead = 0;
    }
    box->n_scores = box->n_alerts = box->n_dead = 0;
}

size_t oz_outbox_bytes(const struct oz_outbox *box)
{
    size_t n = 0;
    for (uint32_t i = 0; i < box->n_parts; i++)
        n += box->part[i].bytes.cap + box->part[i].cap * sizeof *box->part[i].out +
             box->part[i].cap_headers * sizeof *box->part[i].header;
    return n;
}

void oz_outbox_shrink(struct oz_outbox *box)
{
    oz_outbox_reset(box);
    for (uint32_t i = 0; i < box->n_parts; i++) {
        struct oz_outbox_part *part = &box->part[i];
        oz_buf_clear(&part->bytes);
        oz_free(part->out);
        oz_free(part->header);
        *part = (struct oz_outbox_part){0};
        oz_buf_init(&part->bytes);
    }
}

struct oz_out *oz_outbox_add(struct oz_outbox_part *part, struct oz_error *err)
{
    if (oz_grow((void **)&part->out, &part->cap, part->n + 1, sizeof *part->out, err) != OZ_OK)
        return NULL;
    struct oz_out *out = &part->out[part->n++];
    memset(out, 0, sizeof *out);
    out->header_at = part->n_headers;
    return out;
}

void oz_outbox_take_back(struct oz_outbox_part *part)
{
    const struct oz_out *out = &part->out[--part->n];
    OZ_ASSERT(!out->n_headers);
    if (!part->bytes.failed) part->bytes.len = out->key_at;
}

enum oz_status oz_outbox_header(struct oz_outbox_part *part, struct oz_out *out, const char *name,
                                const void *value, size_t len, struct oz_error *err)
{
    OZ_TRY(oz_grow((void **)&part->header, &part->cap_headers, part->n_headers + 1,
                   sizeof *part->header, err));
    struct oz_out_header *h = &part->header[part->n_headers++];
    h->name_at = part->bytes.len;
    oz_buf_put(&part->bytes, name, strlen(name) + 1);
    h->value_at = part->bytes.len;
    h->has_value = value != NULL;
    h->len = len;
    oz_buf_put(&part->bytes, value, value ? len : 0);
    out->n_headers++;
    return oz_buf_status(&part->bytes, err);
}

static enum oz_status produce_part(const struct oz_outbox_part *part, struct oz_sink *sink,
                                   struct oz_error *err)
{
    struct oz_message msg[PRODUCE_MESSAGES];
    struct oz_header header[OZ_OUT_HEADERS_MAX];
    const uint8_t *bytes = part->bytes.data;
    for (size_t i = 0; i < part->n;) {
        size_t n = 0, n_headers = 0;
        for (; n < PRODUCE_MESSAGES && i < part->n; n++, i++) {
            const struct oz_out *out = &part->out[i];
            OZ_ASSERT(out->n_headers <= OZ_OUT_HEADERS_MAX);
            if (n_headers + out->n_headers > OZ_OUT_HEADERS_MAX) break;
            msg[n] = (struct oz_message){
                .topic = out->topic,
                .partition = out->partition,
                .key = out->has_key ? bytes + out->key_at : NULL,
                .key_len = out->key_len,
                .value = out->has_value ? bytes + out->value_at : NULL,
                .value_len = out->value_len,
                .timestamp_ms = out->timestamp_ms,
                .header = header + n_headers,
                .n_headers = out->n_headers,
            };
            for (uint32_t k = 0; k < out->n_headers; k++) {
                const struct oz_out_header *h = &part->header[out->header_at + k];
                header[n_headers++] =
                    (struct oz_header){(const char *)bytes + h->name_at,
                                       h->has_value ? bytes + h->value_at : NULL, h->len};
            }
        }
        OZ_TRY(oz_sink_produce(sink, msg, n, err));
    }
    return OZ_OK;
}

enum oz_status oz_outbox_produce(const struct oz_outbox *box, struct oz_sink *sink,
                                 void (*between)(void), struct oz_error *err)
{
    for (uint32_t i = 0; i < box->n_parts; i++) {
        if (between && i == box->n_parts / 2 && i > 0) between();
        OZ_TRY(produce_part(&box->part[i], sink, err));
        if (between && box->n_parts == 1) between();
    }
    return OZ_OK;
}
