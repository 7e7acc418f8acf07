/* The equation of an Einsum: which label each axis of each input and of the output has.
 *
 *     "bij,bjk->bik"    labels are letters; the same letter twice in one input is its diagonal
 *     "ij,jk"           without "->": the letters that occur once, in the order of the alphabet
 *     "...ij->...ji"    "..." stands for any axes, which broadcast, aligned at their last one
 *
 * Threads: immutable once read. Limits: below, refused beyond. */
#ifndef OZ_MODELS_NET_EINSUM_EQUATION_H
#define OZ_MODELS_NET_EINSUM_EQUATION_H
#include "models/net/tensor.h"

enum {
    OZ_EINSUM_INPUTS_MAX = 16,
    OZ_EINSUM_LETTERS = 52,
    /* The axes of "..." have labels behind the letters: the last axis has the last label. */
    OZ_EINSUM_LABELS = OZ_EINSUM_LETTERS + OZ_RANK_MAX,
};

struct oz_einsum_term {
    uint8_t n;        /* letters; at most OZ_RANK_MAX */
    uint8_t ellipsis; /* "..." stands before letter number this; or OZ_EINSUM_NONE */
    uint8_t label[OZ_RANK_MAX];
};
enum { OZ_EINSUM_NONE = 255 };

struct oz_einsum_equation {
    size_t n_inputs;
    struct oz_einsum_term input[OZ_EINSUM_INPUTS_MAX], output;
};

enum oz_status oz_einsum_read(struct oz_str text, struct oz_einsum_equation *ret_equation,
                              struct oz_error *err) OZ_MUST_USE;
/* The labels of a tensor of this rank, "..." spelled out. */
enum oz_status oz_einsum_labels(const struct oz_einsum_term *term, size_t rank,
                                uint8_t ret_label[OZ_RANK_MAX], struct oz_error *err) OZ_MUST_USE;
#endif
