#include "models/ubjson.h"
#include <string.h>

struct reader {
    struct oz_document *doc;
    const uint8_t *bytes;
    size_t n, pos;
    int depth;
};

struct container {
    uint8_t type; /* 0: each element has its own marker */
    bool counted;
    uint64_t n;
};

static enum oz_status read_value(struct reader *reader, uint8_t marker,
                                 struct oz_doc_value *ret_value, struct oz_error *err);

static size_t left(const struct reader *reader) { return reader->n - reader->pos; }

static enum oz_status cut_off(const struct reader *reader, struct oz_error *err)
{
    return oz_error_set(err, OZ_MODEL, "the file ends in the middle of a value, at byte %zu",
                        reader->n);
}

/* The next marker; no-ops between values are passed over. */
static enum oz_status read_marker(struct reader *reader, uint8_t *ret_marker, struct oz_error *err)
{
    while (left(reader) && reader->bytes[reader->pos] == 'N') reader->pos++;
    if (!left(reader)) return cut_off(reader, err);
    *ret_marker = reader->bytes[reader->pos++];
    return OZ_OK;
}

static enum oz_status read_big_endian(struct reader *reader, unsigned n_bytes, uint64_t *ret_bits,
                                      struct oz_error *err)
{
    if (left(reader) < n_bytes) return cut_off(reader, err);
    uint64_t bits = 0;
    for (unsigned i = 0; i < n_bytes; i++) bits = bits << 8 | reader->bytes[reader->pos++];
    *ret_bits = bits;
    return OZ_OK;
}

/* Bytes of one element in a typed array, and its element type; 0 for what is not a number. */
static unsigned number_bytes(uint8_t type, uint8_t *ret_element)
{
    switch (type) {
    case 'U': *ret_element = OZ_DOC_U8; return 1;
    case 'i': *ret_element = OZ_DOC_I8; return 1;
    case 'I': *ret_element = OZ_DOC_I16; return 2;
    case 'l': *ret_element = OZ_DOC_I32; return 4;
    case 'L': *ret_element = OZ_DOC_I64; return 8;
    case 'd': *ret_element = OZ_DOC_F32; return 4;
    case 'D': *ret_element = OZ_DOC_F64; return 8;
    default: return 0;
    }
}

static enum oz_status read_number(struct reader *reader, uint8_t type,
                                  struct oz_doc_value *ret_value, struct oz_error *err)
{
    uint8_t element = 0;
    unsigned n_bytes = number_bytes(type, &element);
    if (left(reader) < n_bytes) return cut_off(reader, err);
    const struct oz_doc_value one = {.kind = OZ_DOC_NUMBERS,
                                     .element = element,
                                     .big_endian = true,
                                     .n = 1,
                                     .numbers = reader->bytes + reader->pos};
    *ret_value = (struct oz_doc_value){.kind = OZ_DOC_INTEGER};
    if (!oz_doc_i64(&one, 0, &ret_value->integer)) {
        ret_value->kind = OZ_DOC_FLOAT;
        ret_value->number = oz_doc_f32(&one, 0);
    }
    reader->pos += n_bytes;
    return OZ_OK;
}

static enum oz_status read_length(struct reader *reader, uint64_t *ret_length, struct oz_error *err)
{
    uint8_t type;
    struct oz_doc_value value;
    size_t at = reader->pos;
    OZ_TRY(read_marker(reader, &type, err));
    if (!strchr("UiIlL", type) || !type)
        OZ_FAIL(err, OZ_MODEL, "byte %zu: a length was expected", at);
    OZ_TRY(read_number(reader, type, &value, err));
    if (value.integer < 0) OZ_FAIL(err, OZ_MODEL, "byte %zu: a length is negative", at);
    *ret_length = (uint64_t)value.integer;
    return OZ_OK;
}

static enum oz_status read_string(struct reader *reader, const char **ret_string, uint32_t *ret_len,
                                  struct oz_error *err)
{
    uint64_t len;
    size_t at = reader->pos;
    OZ_TRY(read_length(reader, &len, err));
    if (len > left(reader) || len > UINT32_MAX)
        OZ_FAIL(err, OZ_MODEL, "byte %zu: a string claims %llu bytes, the file has %zu more", at,
                (unsigned long long)len, left(reader));
    *ret_string = (const char *)reader->bytes + reader->pos;
    *ret_len = (uint32_t)len;
    reader->pos += len;
    return OZ_OK;
}

/* What stands behind '[' or '{'. Every element takes at least one byte of the file, so a count
 * beyond what is left is a lie. */
static enum oz_status read_container(struct reader *reader, struct container *ret_container,
                                     struct oz_error *err)
{
    size_t at = reader->pos;
    *ret_container = (struct container){0};
    if (left(reader) && reader->bytes[reader->pos] == '$') {
        reader->pos++;
        if (!left(reader)) return cut_off(reader, err);
        ret_container->type = reader->bytes[reader->pos++];
        if (!strchr("UiIlLdDCS[{", ret_container->type) || !ret_container->type)
            OZ_FAIL(err, OZ_MODEL, "byte %zu: containers of type 0x%02x are not read", at,
                    ret_container->type);
        if (!left(reader) || reader->bytes[reader->pos] != '#')
            OZ_FAIL(err, OZ_MODEL, "byte %zu: a container has a type but no count", at);
    }
    if (left(reader) && reader->bytes[reader->pos] == '#') {
        reader->pos++;
        OZ_TRY(read_length(reader, &ret_container->n, err));
        ret_container->counted = true;
        if (ret_container->n > left(reader))
            OZ_FAIL(err, OZ_MODEL,
                    "byte %zu: a container claims %llu values, the file has %zu "
                    "more bytes",
                    at, (unsigned long long)ret_container->n, left(reader));
    }
    return OZ_OK;
}

static enum oz_status read_packed(struct reader *reader, const struct container *container,
                                  struct oz_doc_value *ret_value, struct oz_error *err)
{
    uint8_t element = 0;
    unsigned n_bytes = number_bytes(container->type, &element);
    if (container->n > left(reader) / n_bytes || container->n > UINT32_MAX)
        OZ_FAIL(err, OZ_MODEL,
                "byte %zu: an array claims %llu numbers, the file has %zu more bytes", reader->pos,
                (unsigned long long)container->n, left(reader));
    *ret_value = (struct oz_doc_value){.kind = container->n ? OZ_DOC_NUMBERS : OZ_DOC_ARRAY,
                                       .element = element,
                                       .big_endian = true,
                                       .n = (uint32_t)container->n,
                                       .numbers = reader->bytes + reader->pos};
    reader->pos += container->n * n_bytes;
    return OZ_OK;
}

/* Whether another element follows; takes the closing bracket of a container without a count. */
static enum oz_status more(struct reader *reader, const struct container *container, uint64_t i,
                           char close, bool *ret_more, struct oz_error *err)
{
    *ret_more = i < container->n;
    if (container->counted) return OZ_OK;
    uint8_t marker;
    OZ_TRY(read_marker(reader, &marker, err));
    *ret_more = marker != (uint8_t)close;
    if (*ret_more) reader->pos--;
    return OZ_OK;
}

static enum oz_status read_elements(struct reader *reader, bool object,
                                    struct oz_doc_value *ret_value, struct oz_error *err)
{
    struct container container;
    uint8_t element;
    size_t from = reader->doc->n_pending;
    OZ_TRY(read_container(reader, &container, err));
    if (!object && number_bytes(container.type, &element))
        return read_packed(reader, &container, ret_value, err);
    for (uint64_t i = 0;; i++) {
        bool another;
        const char *key = NULL;
        uint32_t key_len = 0;
        uint8_t marker = container.type;
        struct oz_doc_value value;
        OZ_TRY(more(reader, &container, i, object ? '}' : ']', &another, err));
        if (!another) break;
        if (object) OZ_TRY(read_string(reader, &key, &key_len, err));
        if (!marker) OZ_TRY(read_marker(reader, &marker, err));
        OZ_TRY(read_value(reader, marker, &value, err));
        OZ_TRY(oz_document_push(reader->doc, key, key_len, value, err));
    }
    return object ? oz_document_close_object(reader->doc, from, ret_value, err)
                  : oz_document_close_array(reader->doc, from, ret_value, err);
}

static enum oz_status read_value(struct reader *reader, uint8_t marker,
                                 struct oz_doc_value *ret_value, struct oz_error *err)
{
    *ret_value = (struct oz_doc_value){.kind = OZ_DOC_NULL};
    uint64_t bits;
    switch (marker) {
    case 'Z': return OZ_OK;
    case 'T':
    case 'F':
        ret_value->kind = OZ_DOC_BOOLEAN;
        ret_value->integer = marker == 'T';
        return OZ_OK;
    case 'C':
        OZ_TRY(read_big_endian(reader, 1, &bits, err));
        ret_value->kind = OZ_DOC_STRING;
        ret_value->string = (const char *)reader->bytes + reader->pos - 1;
        ret_value->n = 1;
        return OZ_OK;
    case 'S':
        ret_value->kind = OZ_DOC_STRING;
        return read_string(reader, &ret_value->string, &ret_value->n, err);
    case '[':
    case '{':
        if (reader->depth == OZ_DOC_DEPTH_MAX)
            OZ_FAIL(err, OZ_MODEL, "byte %zu: nested deeper than %d", reader->pos,
                    OZ_DOC_DEPTH_MAX);
        reader->depth++;
        OZ_TRY(read_elements(reader, marker == '{', ret_value, err));
        reader->depth--;
        return OZ_OK;
    default: break;
    }
    uint8_t element;
    if (!number_bytes(marker, &element))
        OZ_FAIL(err, OZ_MODEL, "byte %zu: 0x%02x is not a type of value", reader->pos - 1, marker);
    return read_number(reader, marker, ret_value, err);
}

enum oz_status oz_ubjson_parse(struct oz_document *doc, const uint8_t *bytes, size_t n,
                               struct oz_error *err)
{
    struct reader reader = {.doc = doc, .bytes = bytes, .n = n};
    uint8_t marker;
    OZ_TRY(read_marker(&reader, &marker, err));
    OZ_TRY(read_value(&reader, marker, &doc->root, err));
    while (left(&reader) && bytes[reader.pos] == 'N') reader.pos++;
    if (left(&reader))
        OZ_FAIL(err, OZ_MODEL, "byte %zu: something follows the end of the model", reader.pos);
    return OZ_OK;
}
