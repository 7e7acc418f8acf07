#include "models/net/op.h"
#include <string.h>
#include "models/net/op_tables.h"

static const struct oz_op *const tables[] = {
#define X(family) oz_ops_##family,
    OZ_OP_TABLE_MAP(X)
#undef X
};

const struct oz_op *oz_op_find(enum oz_domain domain, const char *name)
{
    for (size_t t = 0; t < OZ_COUNT_OF(tables); t++)
        for (const struct oz_op *op = tables[t]; op->name; op++)
            if (op->domain == domain && !strcmp(op->name, name)) return op;
    return NULL;
}

const struct oz_op *oz_op_at(size_t i)
{
    for (size_t t = 0; t < OZ_COUNT_OF(tables); t++)
        for (const struct oz_op *op = tables[t]; op->name; op++)
            if (i-- == 0) return op;
    return NULL;
}

const char *oz_domain_word(enum oz_domain domain)
{
    static const char *const words[] = {"ai.onnx", "ai.onnx.ml", "ouzel"};
    return words[domain];
}

static const char *kind_word(enum oz_attribute_kind kind)
{
    static const char *const words[] = {
        "an integer",       "a float",           "a string", "a list of integers",
        "a list of floats", "a list of strings", "a tensor", "a graph"};
    return words[kind];
}

enum oz_status oz_attr_find(struct oz_node *node, const char *name, enum oz_attribute_kind kind,
                            const struct oz_attribute **ret_attribute, struct oz_error *err)
{
    *ret_attribute = NULL;
    for (uint32_t i = 0; i < node->n_attributes; i++) {
        struct oz_attribute *attribute = &node->attribute[i];
        if (strcmp(attribute->name, name)) continue;
        if (attribute->kind != kind)
            OZ_FAIL(err, OZ_MODEL, "its attribute `%s` is %s, not %s", name,
                    kind_word(attribute->kind), kind_word(kind));
        attribute->used = true;
        *ret_attribute = attribute;
        return OZ_OK;
    }
    return OZ_OK;
}

enum oz_status oz_attr_i64(struct oz_node *node, const char *name, int64_t otherwise,
                           int64_t *ret_v, struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_INT, &attribute, err));
    *ret_v = attribute ? attribute->i : otherwise;
    return OZ_OK;
}

enum oz_status oz_attr_bool(struct oz_node *node, const char *name, bool otherwise, bool *ret_v,
                            struct oz_error *err)
{
    int64_t v;
    OZ_TRY(oz_attr_i64(node, name, otherwise, &v, err));
    if (v != 0 && v != 1)
        OZ_FAIL(err, OZ_MODEL, "its attribute `%s` is %lld, expected 0 or 1", name, (long long)v);
    *ret_v = v;
    return OZ_OK;
}

enum oz_status oz_attr_f32(struct oz_node *node, const char *name, float otherwise, float *ret_v,
                           struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_FLOAT, &attribute, err));
    *ret_v = attribute ? attribute->f : otherwise;
    return OZ_OK;
}

enum oz_status oz_attr_ints(struct oz_node *node, const char *name, const int64_t **ret_v,
                            size_t *ret_n, struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_INTS, &attribute, err));
    *ret_v = attribute ? attribute->ints : NULL;
    *ret_n = attribute ? attribute->n : 0;
    return OZ_OK;
}

enum oz_status oz_attr_floats(struct oz_node *node, const char *name, const float **ret_v,
                              size_t *ret_n, struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_FLOATS, &attribute, err));
    *ret_v = attribute ? attribute->floats : NULL;
    *ret_n = attribute ? attribute->n : 0;
    return OZ_OK;
}

enum oz_status oz_attr_strings(struct oz_node *node, const char *name, const struct oz_str **ret_v,
                               size_t *ret_n, struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_STRINGS, &attribute, err));
    *ret_v = attribute ? attribute->strings : NULL;
    *ret_n = attribute ? attribute->n : 0;
    return OZ_OK;
}

enum oz_status oz_attr_choice(struct oz_node *node, const char *name, const char *const *words,
                              int otherwise, int *ret_v, struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_STRING, &attribute, err));
    *ret_v = otherwise;
    if (!attribute) return OZ_OK;
    for (int i = 0; words[i]; i++)
        if (strlen(words[i]) == attribute->s.len &&
            !memcmp(words[i], attribute->s.data, attribute->s.len)) {
            *ret_v = i;
            return OZ_OK;
        }
    OZ_FAIL(err, OZ_MODEL, "its attribute `%s` is \"%.*s\", which is not served", name,
            (int)OZ_MIN(attribute->s.len, 64u), attribute->s.data);
}

enum oz_status oz_attr_tensor(struct oz_node *node, const char *name,
                              const struct oz_tensor **ret_v, struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_TENSOR, &attribute, err));
    *ret_v = attribute ? attribute->tensor : NULL;
    return OZ_OK;
}

void oz_attr_ignore(struct oz_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_attributes; i++)
        if (!strcmp(node->attribute[i].name, name)) node->attribute[i].used = true;
}

static void *zeroed(struct oz_arena *arena, size_t n_bytes)
{
    void *memory = oz_arena_aligned(arena, n_bytes);
    return memory ? memset(memory, 0, n_bytes) : NULL;
}

void *oz_node_state(struct oz_net *net, struct oz_node *node, size_t n_bytes)
{
    return node->state = zeroed(&net->arena, n_bytes);
}

void *oz_net_weights(struct oz_net *net, size_t n_bytes)
{
    void *memory = zeroed(&net->arena, n_bytes);
    if (memory) net->weight_bytes += n_bytes;
    return memory;
}

const struct oz_tensor *oz_node_constant(const struct oz_net *net, const struct oz_node *node,
                                         uint32_t i)
{
    if (i >= node->n_inputs || node->input[i] == OZ_NO_VALUE) return NULL;
    return net->value[node->input[i]].constant;
}
