/* A tensor: a block of numbers (or texts) with a shape, as the operators of a net see it.
 *
 * Layout: row-major and dense, element [i][j][k] at (i * dim[1] + j) * dim[2] + k. Rank 0 is a
 * scalar. A dimension of 0 is allowed, then there are no elements. OZ_BOOL is one byte, 0 or 1.
 * Threads: whoever holds it. Ownership: the data belong to whoever made the tensor: the net's arena
 * for constants, the memory plan of an execution for all others. data == NULL: the shape is known
 * and the values are not (yet); this is what planning works with (models/net/exec.h).
 * Source: onnx.proto, TensorProto.DataType; half-precision, complex, 4- and 16-bit types are
 * refused by name. */
#ifndef OZ_MODELS_NET_TENSOR_H
#define OZ_MODELS_NET_TENSOR_H
#include "base/columns.h"

/* name, the word of ONNX, bytes of an element, number of TensorProto.DataType */
#define OZ_DTYPE_MAP(X)                                                                            \
    X(F32, "float", 4, 1)                                                                          \
    X(F64, "double", 8, 11)                                                                        \
    X(I32, "int32", 4, 6)                                                                          \
    X(I64, "int64", 8, 7)                                                                          \
    X(U8, "uint8", 1, 2)                                                                           \
    X(I8, "int8", 1, 3)                                                                            \
    X(BOOL, "bool", 1, 9)                                                                          \
    X(TEXT, "string", sizeof(struct oz_str), 8)

enum oz_dtype {
#define X(name, word, bytes, number) OZ_DTYPE_##name,
    OZ_DTYPE_MAP(X)
#undef X
        OZ_DTYPE_COUNT
};

enum { OZ_RANK_MAX = 8 };
#define OZ_TENSOR_ELEMENTS_MAX (INT64_C(1) << 31)

struct oz_tensor {
    uint8_t dtype; /* enum oz_dtype */
    uint8_t rank;
    bool loose; /* planning: dim are upper bounds, because they depend on data */
    int64_t dim[OZ_RANK_MAX];
    int64_t n; /* elements: the product of dim */
    union {
        void *data;
        float *f32;
        double *f64;
        int32_t *i32;
        int64_t *i64;
        uint8_t *u8;
        int8_t *i8;
        uint8_t *boolean;
        struct oz_str *text; /* bytes owned elsewhere; never NULL inside */
    };
};

const char *oz_dtype_word(enum oz_dtype dtype);
size_t oz_dtype_bytes(enum oz_dtype dtype);
/* False: not served; *ret_word is then the type's word ("float16"), or "unknown". */
bool oz_dtype_of_number(int32_t number, enum oz_dtype *ret_dtype, const char **ret_word);
static inline bool oz_dtype_is_float(enum oz_dtype t)
{
    return t == OZ_DTYPE_F32 || t == OZ_DTYPE_F64;
}

/* Fills all but the data (which becomes NULL). Refuses negative dimensions, ranks above
 * OZ_RANK_MAX and more than OZ_TENSOR_ELEMENTS_MAX elements. */
enum oz_status oz_tensor_shape(struct oz_tensor *tensor, enum oz_dtype dtype, size_t rank,
                               const int64_t *dim, struct oz_error *err) OZ_MUST_USE;
/* Two inputs that must have one type. */
enum oz_status oz_same_dtype(const struct oz_tensor *a, const struct oz_tensor *b,
                             struct oz_error *err) OZ_MUST_USE;
bool oz_tensor_same_shape(const struct oz_tensor *a, const struct oz_tensor *b);
/* Product of dim[from, to). */
int64_t oz_tensor_count(const struct oz_tensor *tensor, size_t from, size_t to);
/* Element i of an int32 or int64 tensor that has data. */
int64_t oz_tensor_i64_at(const struct oz_tensor *tensor, int64_t i);
/* Element i of any tensor of numbers that has data. */
double oz_tensor_f64_at(const struct oz_tensor *tensor, int64_t i);
/* "float[2x3]", cut to the buffer's size; for messages. */
enum { OZ_TENSOR_WORDS_BYTES = 160 };
const char *oz_tensor_words(const struct oz_tensor *tensor, char to[OZ_TENSOR_WORDS_BYTES]);

/* An axis of -rank .. rank-1 as 0 .. rank-1; `rank` also counts for Unsqueeze-like uses. */
enum oz_status oz_axis(int64_t axis, size_t rank, size_t *ret_axis,
                       struct oz_error *err) OZ_MUST_USE;

/* Broadcasting (numpy's rules): n_outer blocks ... as steps. For output element walking in
 * row-major order, stride[k][d] is how far input k moves in elements when index d moves by one, 0
 * where it is stretched. Adjacent dimensions that all inputs treat alike are merged, so that the
 * innermost loop is long: `rank` and `dim` here are of the merged walk, not of the output. */
enum { OZ_BROADCAST_MAX = 3 };
struct oz_broadcast {
    size_t n_inputs, rank; /* rank >= 1 */
    int64_t dim[OZ_RANK_MAX];
    int64_t stride[OZ_BROADCAST_MAX][OZ_RANK_MAX];
};
/* The shape that the inputs broadcast to. */
enum oz_status oz_broadcast_shape(const struct oz_tensor *const *input, size_t n_inputs,
                                  size_t *ret_rank, int64_t ret_dim[OZ_RANK_MAX],
                                  struct oz_error *err) OZ_MUST_USE;
/* The walk over `output`, which has at least the inputs' shape. n_inputs <= OZ_BROADCAST_MAX. */
void oz_broadcast_walk(const struct oz_tensor *const *input, size_t n_inputs,
                       const struct oz_tensor *output, struct oz_broadcast *ret_walk);
/* Moves to the next run of the innermost dimension: index[rank], offset[n_inputs] start at zero;
 * each run is dim[rank - 1] elements of the output, one after the other. False: no more. */
bool oz_broadcast_next(const struct oz_broadcast *walk, int64_t index[OZ_RANK_MAX],
                       int64_t offset[OZ_BROADCAST_MAX]);
#endif
