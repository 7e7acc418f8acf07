#include "models/net/box.h"
#include <string.h>

_Static_assert(sizeof(struct oz_str) == 16, "an element is 1, 4, 8 or 16 bytes");

/* Rows and columns of elements: the two innermost loops of a copy. */
struct plane {
    int64_t n_rows, n_cols;
    int64_t to_row, from_row, to_col, from_col;
};

/* Side of the squares in which a plane is turned: both sides of one stay in the first cache. */
enum { TILE = 16 };
/* Runs up to this many bytes are cheaper to copy in a loop than by a call. */
enum { SHORT_RUN_BYTES = 64 };

static inline __attribute__((always_inline)) void copy_run(const struct plane *p, uint8_t *to,
                                                           const uint8_t *from, size_t bytes)
{
    /* `bytes` is a constant wherever this is inlined, so each memcpy is one move. */
    if (p->from_col == 0) {
        uint8_t element[16];
        memcpy(element, from, bytes);
        if (p->to_col == 1)
            for (int64_t c = 0; c < p->n_cols; c++) memcpy(to + (size_t)c * bytes, element, bytes);
        else
            for (int64_t c = 0; c < p->n_cols; c++)
                memcpy(to + (size_t)(c * p->to_col) * bytes, element, bytes);
    } else if (p->to_col == 1 && p->from_col == 1) {
        for (int64_t c = 0; c < p->n_cols; c++)
            memcpy(to + (size_t)c * bytes, from + (size_t)c * bytes, bytes);
    } else {
        for (int64_t c = 0; c < p->n_cols; c++)
            memcpy(to + c * p->to_col * (int64_t)bytes, from + c * p->from_col * (int64_t)bytes,
                   bytes);
    }
}

static inline __attribute__((always_inline)) void copy_plane(const struct plane *p, uint8_t *to,
                                                             const uint8_t *from, size_t bytes)
{
    int64_t each = (int64_t)bytes;
    if (p->to_col == 1 && p->from_col == 1 && p->n_cols * each > SHORT_RUN_BYTES) {
        for (int64_t r = 0; r < p->n_rows; r++)
            memcpy(to + r * p->to_row * each, from + r * p->from_row * each,
                   (size_t)(p->n_cols * each));
        return;
    }
    bool is_turn = p->from_row == 1 && p->n_rows > 1 && p->from_col > 1;
    if (!is_turn) {
        for (int64_t r = 0; r < p->n_rows; r++)
            copy_run(p, to + r * p->to_row * each, from + r * p->from_row * each, bytes);
        return;
    }
    for (int64_t c = 0; c < p->n_cols; c += TILE)
        for (int64_t r = 0; r < p->n_rows; r += TILE) {
            struct plane tile = *p;
            tile.n_cols = OZ_MIN(p->n_cols - c, (int64_t)TILE);
            int64_t n_rows = OZ_MIN(p->n_rows - r, (int64_t)TILE);
            for (int64_t i = r; i < r + n_rows; i++)
                copy_run(&tile, to + (i * p->to_row + c * p->to_col) * each,
                         from + (i + c * p->from_col) * each, bytes);
        }
}

static void copy_plane_of(const struct plane *p, uint8_t *to, const uint8_t *from, size_t bytes)
{
    switch (bytes) {
    case 1: copy_plane(p, to, from, 1); break;
    case 4: copy_plane(p, to, from, 4); break;
    case 8: copy_plane(p, to, from, 8); break;
    default: copy_plane(p, to, from, 16); break;
    }
}

void oz_box_add(struct oz_box *box, int64_t dim, int64_t to, int64_t from)
{
    OZ_ASSERT(box->rank < OZ_BOX_RANK_MAX);
    box->dim[box->rank] = dim;
    box->to[box->rank] = to;
    box->from[box->rank++] = from;
}

/* The same box with as few dimensions as say it: those of 1 go, and an outer one that goes on where
 * the inner one ends is part of it. False: no elements. */
static bool simplify(const struct oz_box *box, struct oz_box *ret_box)
{
    struct oz_box out = {0};
    for (size_t d = 0; d < box->rank; d++) {
        int64_t dim = box->dim[d], to = box->to[d], from = box->from[d];
        if (dim <= 0) return false;
        if (dim == 1) continue;
        if (out.rank) {
            size_t last = out.rank - 1;
            if (out.to[last] == to * dim && out.from[last] == from * dim) {
                out.dim[last] *= dim;
                out.to[last] = to;
                out.from[last] = from;
                continue;
            }
        }
        oz_box_add(&out, dim, to, from);
    }
    *ret_box = out;
    return true;
}

/* Runs of small elements that always go together become larger elements. */
static size_t widen(struct oz_box *box, size_t element_bytes)
{
    static const size_t factors[] = {16, 8, 4, 2};
    size_t last = box->rank - 1;
    if (!box->rank || box->to[last] != 1 || box->from[last] != 1) return element_bytes;
    for (size_t i = 0; i < OZ_COUNT_OF(factors); i++) {
        int64_t factor = (int64_t)factors[i];
        size_t bytes = element_bytes * factors[i];
        bool fits = bytes <= 16 && bytes != 2 && box->dim[last] % factor == 0;
        for (size_t d = 0; fits && d < last; d++)
            fits = box->to[d] % factor == 0 && box->from[d] % factor == 0;
        if (!fits) continue;
        for (size_t d = 0; d < last; d++) {
            box->to[d] /= factor;
            box->from[d] /= factor;
        }
        box->dim[last] /= factor;
        if (box->dim[last] == 1) box->rank--;
        return bytes;
    }
    return element_bytes;
}

/* Which dimension becomes the plane's rows: the one along which reading is contiguous, if the
 * innermost is not; else the next one. */
static size_t row_dimension(const struct oz_box *box)
{
    size_t last = box->rank - 1;
    if (box->from[last] > 1)
        for (size_t d = last; d-- > 0;)
            if (box->from[d] == 1) return d;
    return last - 1;
}

void oz_box_copy(const struct oz_box *given, void *to, const void *from, size_t element_bytes)
{
    struct oz_box box;
    struct plane plane = {.n_rows = 1, .n_cols = 1};
    OZ_ASSERT(element_bytes == 1 || element_bytes == 4 || element_bytes == 8 ||
              element_bytes == 16);
    if (!simplify(given, &box)) return;
    element_bytes = widen(&box, element_bytes);
    if (box.rank > 0) {
        plane.n_cols = box.dim[box.rank - 1];
        plane.to_col = box.to[box.rank - 1];
        plane.from_col = box.from[box.rank - 1];
    }
    if (box.rank > 1) {
        size_t row = row_dimension(&box);
        plane.n_rows = box.dim[row];
        plane.to_row = box.to[row];
        plane.from_row = box.from[row];
        for (size_t d = row; d + 2 < box.rank; d++) {
            box.dim[d] = box.dim[d + 1];
            box.to[d] = box.to[d + 1];
            box.from[d] = box.from[d + 1];
        }
    }
    size_t n_outer = box.rank > 2 ? box.rank - 2 : 0;
    int64_t index[OZ_BOX_RANK_MAX] = {0}, at_to = 0, at_from = 0, each = (int64_t)element_bytes;
    for (;;) {
        copy_plane_of(&plane, (uint8_t *)to + at_to * each, (const uint8_t *)from + at_from * each,
                      element_bytes);
        size_t d = n_outer;
        while (d-- > 0) {
            at_to += box.to[d];
            at_from += box.from[d];
            if (++index[d] < box.dim[d]) break;
            at_to -= box.to[d] * box.dim[d];
            at_from -= box.from[d] * box.dim[d];
            index[d] = 0;
        }
        if (d == SIZE_MAX) return;
    }
}

void oz_box_fill(void *to, const void *element, size_t element_bytes, int64_t n)
{
    struct plane run = {.n_rows = 1, .n_cols = n, .to_col = 1};
    if (n > 0) copy_plane_of(&run, to, element, element_bytes);
}
