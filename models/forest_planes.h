/* The planes of a forest while it is built: equal ones are found again, whatever node asks.
 * Layout: an open-addressing table over forest->plane; the members of sets stand as doubles in
 * `value`, at the places that forest->member will have. Threads: one. Ownership: the builder's. */
#ifndef OZ_MODELS_FOREST_PLANES_H
#define OZ_MODELS_FOREST_PLANES_H
#include "models/forest.h"

enum { OZ_FOREST_PLANES_MAX = 1 << 18 }; /* a tile has 256 bytes of each */

struct oz_forest_planes {
    uint32_t *slot; /* [n_slots], a power of two: plane number + 1, or 0 */
    size_t n_slots, cap_planes, cap_values;
    double *value; /* [forest->n_members]; NaN: missing values are members */
};

void oz_forest_planes_clear(struct oz_forest_planes *planes);
/* The number of a plane that is as `wanted` says; first and n are ignored. set[n_set] are the
 * members of one of kind MEMBERS, in any order; the array is sorted. */
enum oz_status oz_forest_plane_for(struct oz_forest_planes *planes, struct oz_forest *forest,
                                   const struct oz_forest_plane *wanted, double *set, size_t n_set,
                                   uint32_t *ret_plane, struct oz_error *err) OZ_MUST_USE;

/* Every threshold of ranks, sorted within its feature, and where the planes find theirs. */
struct oz_forest_cut {
    double value;
    uint32_t feature;
};
/* Takes the sets' members in as well; cut[n_cuts] has room for forest->n_members more. */
enum oz_status oz_forest_planes_rank(const struct oz_forest_planes *planes,
                                     struct oz_forest *forest, struct oz_forest_cut *cut,
                                     size_t n_cuts, struct oz_error *err) OZ_MUST_USE;
/* The place of a value that is a threshold of the plane. */
uint32_t oz_forest_rank_of(const struct oz_forest *forest, const struct oz_forest_plane *plane,
                           double value);
/* Members become keys or ranks. */
enum oz_status oz_forest_planes_finish(const struct oz_forest_planes *planes,
                                       struct oz_forest *forest, struct oz_error *err) OZ_MUST_USE;
#endif
