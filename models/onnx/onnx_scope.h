/* Names of values in one graph of an ONNX file; a body sees the names of the graphs around it.
 * Layout: an open-addressed table, at most half full. Threads: one. Ownership: names are borrowed;
 * the table is the scope's. */
#ifndef OZ_MODELS_ONNX_ONNX_SCOPE_H
#define OZ_MODELS_ONNX_ONNX_SCOPE_H
#include "base/memory.h"

struct oz_onnx_scope {
    const struct oz_onnx_scope *outer; /* NULL: nothing around it is seen */
    struct oz_onnx_name {
        const char *name; /* NULL: free */
        uint32_t value;
    } * slot;
    size_t n_slots, n;
};

void oz_onnx_scope_init(struct oz_onnx_scope *scope, const struct oz_onnx_scope *outer);
void oz_onnx_scope_clear(struct oz_onnx_scope *scope);
/* Here or around; false: nowhere. */
bool oz_onnx_scope_find(const struct oz_onnx_scope *scope, const char *name, uint32_t *ret_value);
/* Here only. */
bool oz_onnx_scope_has(const struct oz_onnx_scope *scope, const char *name, uint32_t *ret_value);
/* OZ_MODEL when the name stands in this graph already. One of a graph around it is hidden. */
enum oz_status oz_onnx_scope_add(struct oz_onnx_scope *scope, const char *name, uint32_t value,
                                 struct oz_error *err) OZ_MUST_USE;
#endif
