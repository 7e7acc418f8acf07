#include "models/document.h"
#include <string.h>

void oz_document_init(struct oz_document *doc)
{
    *doc = (struct oz_document){0};
    oz_arena_init(&doc->arena, 1 << 16);
}

void oz_document_clear(struct oz_document *doc)
{
    oz_arena_clear(&doc->arena);
    oz_free(doc->pending);
    *doc = (struct oz_document){0};
}

enum oz_status oz_document_push(struct oz_document *doc, const char *key, size_t key_len,
                                struct oz_doc_value value, struct oz_error *err)
{
    if (doc->n_pending >= OZ_DOC_VALUES_MAX)
        OZ_FAIL(err, OZ_MODEL, "more than %d values in one array", OZ_DOC_VALUES_MAX);
    OZ_TRY(oz_grow((void **)&doc->pending, &doc->cap_pending, doc->n_pending + 1,
                   sizeof *doc->pending, err));
    doc->pending[doc->n_pending++] =
        (struct oz_doc_member){.key = key, .key_len = (uint32_t)key_len, .value = value};
    return OZ_OK;
}

static enum oz_status count(struct oz_document *doc, size_t n, struct oz_error *err)
{
    if (n > OZ_DOC_VALUES_MAX - doc->n_values)
        OZ_FAIL(err, OZ_MODEL, "more than %d values in one file", OZ_DOC_VALUES_MAX);
    doc->n_values += n;
    return OZ_OK;
}

/* The narrowest element type that holds all of them, or -1 when they are not all numbers. */
static int common_element(const struct oz_doc_member *item, size_t n)
{
    bool all_booleans = true, all_integers = true, all_numbers = true, narrow = true;
    for (size_t i = 0; i < n && (all_booleans || all_numbers); i++) {
        uint8_t kind = item[i].value.kind;
        all_booleans &= kind == OZ_DOC_BOOLEAN;
        all_integers &= kind == OZ_DOC_INTEGER;
        all_numbers &= kind == OZ_DOC_INTEGER || kind == OZ_DOC_FLOAT;
        if (kind == OZ_DOC_INTEGER)
            narrow &= item[i].value.integer == (int32_t)item[i].value.integer;
    }
    if (all_booleans) return OZ_DOC_U8;
    if (all_integers) return narrow ? OZ_DOC_I32 : OZ_DOC_I64;
    return all_numbers ? OZ_DOC_F32 : -1;
}

static void pack(const struct oz_doc_member *item, size_t n, enum oz_doc_element element, void *to)
{
    for (size_t i = 0; i < n; i++) {
        const struct oz_doc_value *value = &item[i].value;
        if (element == OZ_DOC_U8)
            ((uint8_t *)to)[i] = (uint8_t)value->integer;
        else if (element == OZ_DOC_I32)
            ((int32_t *)to)[i] = (int32_t)value->integer;
        else if (element == OZ_DOC_I64)
            ((int64_t *)to)[i] = value->integer;
        else
            ((float *)to)[i] = value->kind == OZ_DOC_FLOAT ? value->number : (float)value->integer;
    }
}

enum oz_status oz_document_close_array(struct oz_document *doc, size_t from,
                                       struct oz_doc_value *ret_value, struct oz_error *err)
{
    static const uint8_t element_bytes[] = {
        [OZ_DOC_U8] = 1, [OZ_DOC_I32] = 4, [OZ_DOC_I64] = 8, [OZ_DOC_F32] = 4};
    size_t n = doc->n_pending - from;
    *ret_value = (struct oz_doc_value){.kind = OZ_DOC_ARRAY, .n = (uint32_t)n};
    if (!n) return OZ_OK;
    const struct oz_doc_member *item = doc->pending + from;
    int element = common_element(item, n);
    if (element >= 0) {
        void *numbers = oz_arena_get(&doc->arena, n * element_bytes[element]);
        if (!numbers) return oz_no_memory(err);
        pack(item, n, (enum oz_doc_element)element, numbers);
        ret_value->kind = OZ_DOC_NUMBERS;
        ret_value->element = (uint8_t)element;
        ret_value->numbers = numbers;
    } else {
        OZ_TRY(count(doc, n, err));
        struct oz_doc_value *value = oz_arena_get(&doc->arena, n * sizeof *value);
        if (!value) return oz_no_memory(err);
        for (size_t i = 0; i < n; i++) value[i] = item[i].value;
        ret_value->item = value;
    }
    doc->n_pending = from;
    return OZ_OK;
}

enum oz_status oz_document_close_object(struct oz_document *doc, size_t from,
                                        struct oz_doc_value *ret_value, struct oz_error *err)
{
    size_t n = doc->n_pending - from;
    *ret_value = (struct oz_doc_value){.kind = OZ_DOC_OBJECT, .n = (uint32_t)n};
    if (!n) return OZ_OK;
    OZ_TRY(count(doc, n, err));
    struct oz_doc_member *member = oz_arena_get(&doc->arena, n * sizeof *member);
    if (!member) return oz_no_memory(err);
    memcpy(member, doc->pending + from, n * sizeof *member);
    ret_value->member = member;
    doc->n_pending = from;
    return OZ_OK;
}

static const char *kind_name(enum oz_doc_kind kind)
{
    static const char *const name[] = {
        [OZ_DOC_NULL] = "null",          [OZ_DOC_BOOLEAN] = "a boolean",
        [OZ_DOC_INTEGER] = "an integer", [OZ_DOC_FLOAT] = "a number",
        [OZ_DOC_STRING] = "a string",    [OZ_DOC_NUMBERS] = "an array of numbers",
        [OZ_DOC_ARRAY] = "an array",     [OZ_DOC_OBJECT] = "an object",
    };
    OZ_ASSERT((size_t)kind < OZ_COUNT_OF(name));
    return name[kind];
}

enum oz_status oz_doc_find(const struct oz_doc_value *object, const char *key,
                           const struct oz_doc_value **ret_value, struct oz_error *err)
{
    OZ_ASSERT(object->kind == OZ_DOC_OBJECT);
    size_t len = strlen(key);
    const struct oz_doc_value *found = NULL;
    for (uint32_t i = 0; i < object->n; i++) {
        const struct oz_doc_member *member = &object->member[i];
        if (member->key_len != len || memcmp(member->key, key, len)) continue;
        if (found) OZ_FAIL(err, OZ_MODEL, "\"%s\" stands twice in one object", key);
        found = &member->value;
    }
    *ret_value = found;
    return OZ_OK;
}

enum oz_status oz_doc_get(const struct oz_doc_value *object, const char *key, enum oz_doc_kind kind,
                          const struct oz_doc_value **ret_value, struct oz_error *err)
{
    const struct oz_doc_value *value;
    OZ_TRY(oz_doc_find(object, key, &value, err));
    if (!value) OZ_FAIL(err, OZ_MODEL, "\"%s\" is missing", key);
    bool empty = value->kind == OZ_DOC_ARRAY && value->n == 0;
    if (value->kind != kind && !(empty && kind == OZ_DOC_NUMBERS))
        OZ_FAIL(err, OZ_MODEL, "\"%s\" is %s, expected %s", key,
                kind_name((enum oz_doc_kind)value->kind), kind_name(kind));
    *ret_value = value;
    return OZ_OK;
}

bool oz_doc_string_is(const struct oz_doc_value *value, const char *s)
{
    return value->kind == OZ_DOC_STRING && value->n == strlen(s) &&
           (value->n == 0 || !memcmp(value->string, s, value->n));
}

static uint64_t load(const struct oz_doc_value *numbers, size_t i, unsigned n_bytes)
{
    OZ_ASSERT(numbers->kind == OZ_DOC_NUMBERS && i < numbers->n);
    const uint8_t *at = (const uint8_t *)numbers->numbers + i * n_bytes;
    uint64_t v = 0;
    if (numbers->big_endian) {
        for (unsigned b = 0; b < n_bytes; b++) v = v << 8 | at[b];
        return v;
    }
    memcpy(&v, at, n_bytes);
    return v;
}

static float load_f32(const struct oz_doc_value *numbers, size_t i)
{
    uint32_t bits = (uint32_t)load(numbers, i, 4);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static float load_f64(const struct oz_doc_value *numbers, size_t i)
{
    uint64_t bits = load(numbers, i, 8);
    double v;
    memcpy(&v, &bits, sizeof v);
    return (float)v;
}

bool oz_doc_i64(const struct oz_doc_value *numbers, size_t i, int64_t *ret_v)
{
    switch ((enum oz_doc_element)numbers->element) {
    case OZ_DOC_U8: *ret_v = (uint8_t)load(numbers, i, 1); return true;
    case OZ_DOC_I8: *ret_v = (int8_t)load(numbers, i, 1); return true;
    case OZ_DOC_I16: *ret_v = (int16_t)load(numbers, i, 2); return true;
    case OZ_DOC_I32: *ret_v = (int32_t)load(numbers, i, 4); return true;
    case OZ_DOC_I64: *ret_v = (int64_t)load(numbers, i, 8); return true;
    case OZ_DOC_F32:
    case OZ_DOC_F64: break;
    }
    return false;
}

float oz_doc_f32(const struct oz_doc_value *numbers, size_t i)
{
    int64_t v = 0;
    if (numbers->element == OZ_DOC_F32) return load_f32(numbers, i);
    if (numbers->element == OZ_DOC_F64) return load_f64(numbers, i);
    oz_doc_i64(numbers, i, &v);
    return (float)v;
}
