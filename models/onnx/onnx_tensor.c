#include "models/onnx/onnx_tensor.h"
#include <string.h>
#include "models/onnx/onnx_reader.h"

enum { EXTERNAL = 1 };

static enum oz_status wrong_count(const struct oz_tensor *tensor, size_t n, const char *unit,
                                  struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    OZ_FAIL(err, OZ_MODEL, "%s wants %lld elements, the file has %zu %s for it",
            oz_tensor_words(tensor, words), (long long)tensor->n, n, unit);
}

static enum oz_status fill_raw(const OzOnnx__Tensor *from, struct oz_tensor *to,
                               struct oz_error *err)
{
    size_t n_bytes = (size_t)to->n * oz_dtype_bytes((enum oz_dtype)to->dtype);
    if (to->dtype == OZ_DTYPE_TEXT) OZ_FAIL(err, OZ_MODEL, "texts cannot be raw data");
    if (from->raw_data.len != n_bytes) return wrong_count(to, from->raw_data.len, "bytes", err);
    if (n_bytes) memcpy(to->data, from->raw_data.data, n_bytes); /* little-endian, as we are */
    return OZ_OK;
}

static enum oz_status fill_text(const OzOnnx__Tensor *from, struct oz_arena *arena,
                                struct oz_tensor *to, struct oz_error *err)
{
    if (from->n_string_data != (size_t)to->n)
        return wrong_count(to, from->n_string_data, "texts", err);
    for (size_t i = 0; i < from->n_string_data; i++) {
        const ProtobufCBinaryData *text = &from->string_data[i];
        if (text->len > UINT32_MAX) OZ_FAIL(err, OZ_MODEL, "a text of %zu bytes", text->len);
        const char *copy =
            oz_arena_strndup(arena, text->len ? (const char *)text->data : "", text->len);
        if (!copy) return oz_no_memory(err);
        to->text[i] = (struct oz_str){copy, (uint32_t)text->len};
    }
    return OZ_OK;
}

/* int32_data holds the small integers too. */
static enum oz_status fill_i32(const OzOnnx__Tensor *from, struct oz_tensor *to,
                               struct oz_error *err)
{
    if (from->n_int32_data != (size_t)to->n)
        return wrong_count(to, from->n_int32_data, "integers", err);
    for (size_t i = 0; i < from->n_int32_data; i++) {
        int32_t v = from->int32_data[i];
        switch ((enum oz_dtype)to->dtype) {
        case OZ_DTYPE_I32: to->i32[i] = v; break;
        case OZ_DTYPE_BOOL: to->boolean[i] = v != 0; break;
        default: to->u8[i] = (uint8_t)v; break; /* uint8, int8 */
        }
    }
    return OZ_OK;
}

static enum oz_status fill_array(const void *data, size_t n, struct oz_tensor *to,
                                 struct oz_error *err)
{
    if (n != (size_t)to->n) return wrong_count(to, n, "numbers", err);
    if (n) memcpy(to->data, data, n * oz_dtype_bytes((enum oz_dtype)to->dtype));
    return OZ_OK;
}

static enum oz_status fill(const OzOnnx__Tensor *from, struct oz_arena *arena, struct oz_tensor *to,
                           struct oz_error *err)
{
    if (from->has_raw_data) return fill_raw(from, to, err);
    switch ((enum oz_dtype)to->dtype) {
    case OZ_DTYPE_F32: return fill_array(from->float_data, from->n_float_data, to, err);
    case OZ_DTYPE_F64: return fill_array(from->double_data, from->n_double_data, to, err);
    case OZ_DTYPE_I64: return fill_array(from->int64_data, from->n_int64_data, to, err);
    case OZ_DTYPE_TEXT: return fill_text(from, arena, to, err);
    case OZ_DTYPE_I32:
    case OZ_DTYPE_U8:
    case OZ_DTYPE_I8:
    case OZ_DTYPE_BOOL:
    case OZ_DTYPE_COUNT: break;
    }
    return fill_i32(from, to, err);
}

/* What the file holds for the tensor, in elements at most: memory is taken for no more. */
static size_t held(const OzOnnx__Tensor *from, enum oz_dtype dtype)
{
    if (from->has_raw_data) return from->raw_data.len / oz_dtype_bytes(dtype);
    return from->n_float_data + from->n_int32_data + from->n_int64_data + from->n_double_data +
           from->n_string_data;
}

enum oz_status oz_onnx_tensor(const OzOnnx__Tensor *from, struct oz_arena *arena,
                              struct oz_tensor *ret_tensor, struct oz_error *err)
{
    enum oz_dtype dtype = OZ_DTYPE_F32;
    const char *word;
    if (from->n_external_data || (from->has_data_location && from->data_location == EXTERNAL))
        OZ_FAIL(err, OZ_MODEL,
                "its data lie in another file, and a model is one file here: save it with "
                "onnx.save_model(onnx.load(\"model.onnx\"), \"one.onnx\"), or export it without "
                "external data");
    if (!oz_dtype_of_number(from->data_type, &dtype, &word))
        OZ_FAIL(err, OZ_MODEL, "its type %s (%d) is not served", word, from->data_type);
    OZ_TRY(oz_tensor_shape(ret_tensor, dtype, from->n_dims, from->dims, err));
    if (held(from, dtype) < (size_t)ret_tensor->n)
        return wrong_count(ret_tensor, held(from, dtype), "elements", err);
    ret_tensor->data = oz_arena_aligned(arena, (size_t)ret_tensor->n * oz_dtype_bytes(dtype));
    if (!ret_tensor->data) return oz_no_memory(err);
    OZ_TRY(fill(from, arena, ret_tensor, err));
    if (dtype == OZ_DTYPE_BOOL)
        for (int64_t i = 0; i < ret_tensor->n; i++)
            ret_tensor->boolean[i] = ret_tensor->boolean[i] != 0;
    return OZ_OK;
}

enum oz_status oz_onnx_read_tensor(const uint8_t *bytes, size_t n, struct oz_arena *arena,
                                   struct oz_tensor *ret_tensor, const char **ret_name,
                                   struct oz_error *err)
{
    struct oz_onnx_wire wire;
    const OzOnnx__Tensor *from = NULL;
    oz_onnx_wire_init(&wire);
    enum oz_status status = oz_onnx_wire_tensor(&wire, bytes, n, &from, err);
    if (status == OZ_OK) status = oz_onnx_tensor(from, arena, ret_tensor, err);
    if (status == OZ_OK) {
        const char *name = from->name ? from->name : "";
        *ret_name = oz_arena_strndup(arena, name, strlen(name));
        if (!*ret_name) status = oz_no_memory(err);
    }
    oz_onnx_wire_clear(&wire);
    return status;
}
