/* A box: elements that lie at regular steps, copied from one place to another. Transpose, Slice,
 * Concat, Split, Expand, Tile and Pad are all boxes; this is their one loop.
 *
 * Layout: element [i0][i1]... is read at sum(i_d * from[d]) and written at sum(i_d * to[d]), both
 * counted in elements from the pointers that are given. A step of 0 when reading repeats, a
 * negative one walks backward.
 * Threads: pure. Limits: OZ_BOX_RANK_MAX; elements of 1, 4, 8 or 16 bytes. */
#ifndef OZ_MODELS_NET_BOX_H
#define OZ_MODELS_NET_BOX_H
#include "models/net/tensor.h"

enum { OZ_BOX_RANK_MAX = 2 * OZ_RANK_MAX };

struct oz_box {
    size_t rank;
    int64_t dim[OZ_BOX_RANK_MAX];
    int64_t to[OZ_BOX_RANK_MAX];
    int64_t from[OZ_BOX_RANK_MAX];
};

/* One more dimension, inside of those that are there. */
void oz_box_add(struct oz_box *box, int64_t dim, int64_t to, int64_t from);
/* Copies; `to` and `from` do not overlap. A box without elements reads and writes nothing. */
void oz_box_copy(const struct oz_box *box, void *to, const void *from, size_t element_bytes);
/* Writes one element n times. */
void oz_box_fill(void *to, const void *element, size_t element_bytes, int64_t n);
#endif
