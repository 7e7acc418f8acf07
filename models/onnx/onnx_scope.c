#include "models/onnx/onnx_scope.h"
#include <string.h>
#include "base/hash.h"

enum { SLOTS_MIN = 64 };

void oz_onnx_scope_init(struct oz_onnx_scope *scope, const struct oz_onnx_scope *outer)
{
    *scope = (struct oz_onnx_scope){.outer = outer};
}

void oz_onnx_scope_clear(struct oz_onnx_scope *scope)
{
    oz_free(scope->slot);
    scope->slot = NULL;
}

static struct oz_onnx_name *slot_of(const struct oz_onnx_scope *scope, const char *name)
{
    size_t at = oz_hash64(name, strlen(name)) & (scope->n_slots - 1);
    while (scope->slot[at].name && strcmp(scope->slot[at].name, name))
        at = (at + 1) & (scope->n_slots - 1);
    return &scope->slot[at];
}

bool oz_onnx_scope_has(const struct oz_onnx_scope *scope, const char *name, uint32_t *ret_value)
{
    if (!scope->n_slots) return false;
    const struct oz_onnx_name *slot = slot_of(scope, name);
    if (slot->name) *ret_value = slot->value;
    return slot->name;
}

bool oz_onnx_scope_find(const struct oz_onnx_scope *scope, const char *name, uint32_t *ret_value)
{
    for (; scope; scope = scope->outer)
        if (oz_onnx_scope_has(scope, name, ret_value)) return true;
    return false;
}

static enum oz_status grow(struct oz_onnx_scope *scope, struct oz_error *err)
{
    struct oz_onnx_scope larger = *scope;
    larger.n_slots = OZ_MAX(scope->n_slots * 2, (size_t)SLOTS_MIN);
    larger.slot = oz_calloc(larger.n_slots, sizeof *larger.slot);
    if (!larger.slot) return oz_no_memory(err);
    for (size_t i = 0; i < scope->n_slots; i++)
        if (scope->slot[i].name) *slot_of(&larger, scope->slot[i].name) = scope->slot[i];
    oz_free(scope->slot);
    *scope = larger;
    return OZ_OK;
}

enum oz_status oz_onnx_scope_add(struct oz_onnx_scope *scope, const char *name, uint32_t value,
                                 struct oz_error *err)
{
    uint32_t other;
    if (oz_onnx_scope_has(scope, name, &other))
        OZ_FAIL(err, OZ_MODEL, "the value `%.100s` is made twice", name);
    if (scope->n * 2 >= scope->n_slots) OZ_TRY(grow(scope, err));
    *slot_of(scope, name) = (struct oz_onnx_name){name, value};
    scope->n++;
    return OZ_OK;
}
