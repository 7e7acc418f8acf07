/* A model file as a tree of values, whatever its notation: JSON (models/json_document.h) and UBJSON
 * (models/ubjson.h) both become this, so that one importer reads both and checks both alike.
 *
 * Layout: an array whose elements are all numbers (or all booleans) is packed: OZ_DOC_NUMBERS, an
 * array of one element type, in the file's own bytes where the notation has typed arrays. All other
 * arrays and objects are arrays of values and members in the arena.
 * Numbers: one that is written as an integer is an integer; any other is a float, rounded once,
 * from its text. (By way of a double it could be rounded twice.) Threads: one. Ownership: values
 * live in the document's arena and in the bytes that it was read from; both must outlive them.
 * Errors: OZ_MODEL for what is missing or of another kind, named by its key.
 * Limits: below. What is allocated is bounded by a small multiple of the file's bytes, never by a
 * size that the file only claims. */
#ifndef OZ_MODELS_DOCUMENT_H
#define OZ_MODELS_DOCUMENT_H
#include "base/arena.h"

enum { OZ_DOC_DEPTH_MAX = 32, OZ_DOC_VALUES_MAX = 1 << 25 };

enum oz_doc_kind {
    OZ_DOC_NULL,
    OZ_DOC_BOOLEAN,
    OZ_DOC_INTEGER,
    OZ_DOC_FLOAT,
    OZ_DOC_STRING,
    OZ_DOC_NUMBERS,
    OZ_DOC_ARRAY, /* also every empty array */
    OZ_DOC_OBJECT
};
enum oz_doc_element {
    OZ_DOC_U8,
    OZ_DOC_I8,
    OZ_DOC_I16,
    OZ_DOC_I32,
    OZ_DOC_I64,
    OZ_DOC_F32,
    OZ_DOC_F64
};

struct oz_doc_value {
    uint8_t kind, element; /* enum oz_doc_kind, enum oz_doc_element */
    bool big_endian;       /* of packed numbers */
    uint32_t n;            /* bytes of a string; elements; members */
    union {
        int64_t integer; /* also of a boolean: 0 or 1 */
        float number;
        const char *string; /* not NUL-terminated */
        const void *numbers;
        const struct oz_doc_value *item;
        const struct oz_doc_member *member;
    };
};

struct oz_doc_member {
    const char *key; /* not NUL-terminated */
    uint32_t key_len;
    struct oz_doc_value value;
};

struct oz_document {
    struct oz_arena arena;
    struct oz_doc_value root;
    size_t n_values; /* in the arena */
    /* Elements and members of what is still open while reading. */
    struct oz_doc_member *pending;
    size_t n_pending, cap_pending;
};

#ifdef __cplusplus
extern "C" {
#endif
void oz_document_init(struct oz_document *doc);
void oz_document_clear(struct oz_document *doc);

/* For readers: values of an open array or object are pushed (key NULL in an array), and what was
 * pushed since `from` becomes one value. */
enum oz_status oz_document_push(struct oz_document *doc, const char *key, size_t key_len,
                                struct oz_doc_value value, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_document_close_array(struct oz_document *doc, size_t from,
                                       struct oz_doc_value *ret_value,
                                       struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_document_close_object(struct oz_document *doc, size_t from,
                                        struct oz_doc_value *ret_value,
                                        struct oz_error *err) OZ_MUST_USE;

/* The member, or NULL when there is none. A key that stands twice is an error. */
enum oz_status oz_doc_find(const struct oz_doc_value *object, const char *key,
                           const struct oz_doc_value **ret_value, struct oz_error *err) OZ_MUST_USE;
/* The same, and it must be there and be of this kind; an empty array is also OZ_DOC_NUMBERS. */
enum oz_status oz_doc_get(const struct oz_doc_value *object, const char *key, enum oz_doc_kind kind,
                          const struct oz_doc_value **ret_value, struct oz_error *err) OZ_MUST_USE;
bool oz_doc_string_is(const struct oz_doc_value *value, const char *s);
/* Element i of packed numbers; a float where an integer is asked for is false. */
bool oz_doc_i64(const struct oz_doc_value *numbers, size_t i, int64_t *ret_v);
float oz_doc_f32(const struct oz_doc_value *numbers, size_t i);
#ifdef __cplusplus
}
#endif
#endif
