/* Reads cases of operators from a text and makes nets of one node of them: what tests of operators
 * share. A text is lines of words:
 *   case NAME                      begins one
 *   op OPERATOR OPSET
 *   attr NAME int|float|string|ints|floats|strings VALUES, or attr NAME tensor TYPE SHAPE VALUES
 *   in TYPE SHAPE VALUES           an input of the net
 *   con TYPE SHAPE VALUES          an input of the operator that is a constant
 *   none                           an input that is left out
 *   out TYPE SHAPE VALUES          an output that is expected, or
 *   outs N / refused WORDS         there are N outputs; the net or its data are refused so
 * SHAPE is "2x3" or "scalar"; "" is an empty string; no other value holds blanks. */
#ifndef OZ_TESTS_UNIT_MODELS_NET_CASES_H
#define OZ_TESTS_UNIT_MODELS_NET_CASES_H
#include "fixture_files.h"
#include "models/net/op.h"

enum { NET_CASE_ARGS_MAX = 16 };

struct net_case {
    const char *name, *op, *refused;
    uint32_t opset, n_inputs, n_outputs, n_attributes;
    struct oz_attribute attribute[NET_CASE_ARGS_MAX];
    enum { CASE_INPUT, CASE_CONSTANT, CASE_NONE } kind[NET_CASE_ARGS_MAX];
    struct oz_tensor input[NET_CASE_ARGS_MAX], output[NET_CASE_ARGS_MAX];
};

static inline void *net_case_memory(struct oz_arena *arena, size_t n)
{
    void *memory = oz_arena_zeroed(arena, n + 1, 1);
    assert_non_null(memory);
    return memory;
}

static inline struct oz_str net_case_text(char *word)
{
    if (!strcmp(word, "\"\"")) word += 2;
    return (struct oz_str){word, (uint32_t)strlen(word)};
}

static inline void net_case_value(struct oz_tensor *t, int64_t i, char *word)
{
    switch ((enum oz_dtype)t->dtype) {
    case OZ_DTYPE_F32: t->f32[i] = strtof(word, NULL); break;
    case OZ_DTYPE_F64: t->f64[i] = strtod(word, NULL); break;
    case OZ_DTYPE_I32: t->i32[i] = (int32_t)strtoll(word, NULL, 10); break;
    case OZ_DTYPE_I64: t->i64[i] = strtoll(word, NULL, 10); break;
    case OZ_DTYPE_U8:
    case OZ_DTYPE_BOOL: t->u8[i] = (uint8_t)strtol(word, NULL, 10); break;
    case OZ_DTYPE_I8: t->i8[i] = (int8_t)strtol(word, NULL, 10); break;
    case OZ_DTYPE_TEXT: t->text[i] = net_case_text(word); break;
    case OZ_DTYPE_COUNT: fail_msg("no type");
    }
}

/* The rest of the line that strtok() is at: TYPE SHAPE VALUES. */
static inline void net_case_tensor(struct oz_arena *arena, struct oz_tensor *ret)
{
    int64_t dim[OZ_RANK_MAX];
    size_t rank = 0, t = 0;
    struct oz_error err;
    const char *type = strtok(NULL, " ");
    while (t < OZ_DTYPE_COUNT && strcmp(oz_dtype_word((enum oz_dtype)t), type)) t++;
    assert_true(t < OZ_DTYPE_COUNT);
    char *at = strtok(NULL, " ");
    for (bool is_scalar = !strcmp(at, "scalar"); !is_scalar && rank < OZ_RANK_MAX; at++) {
        dim[rank++] = strtoll(at, &at, 10);
        if (*at != 'x') break;
    }
    assert_int_equal(oz_tensor_shape(ret, (enum oz_dtype)t, rank, dim, &err), OZ_OK);
    ret->data = net_case_memory(arena, (size_t)ret->n * oz_dtype_bytes((enum oz_dtype)t));
    for (int64_t i = 0; i < ret->n; i++) {
        char *word = strtok(NULL, " ");
        assert_non_null(word);
        net_case_value(ret, i, word);
    }
    assert_null(strtok(NULL, " "));
}

static inline void net_case_list(struct oz_arena *arena, struct oz_attribute *attribute)
{
    int64_t *ints = net_case_memory(arena, NET_CASE_ARGS_MAX * sizeof *ints);
    float *floats = net_case_memory(arena, NET_CASE_ARGS_MAX * sizeof *floats);
    struct oz_str *strings = net_case_memory(arena, NET_CASE_ARGS_MAX * sizeof *strings);
    for (char *word; (word = strtok(NULL, " ")); attribute->n++) {
        assert_true(attribute->n < NET_CASE_ARGS_MAX);
        ints[attribute->n] = strtoll(word, NULL, 10);
        floats[attribute->n] = strtof(word, NULL);
        strings[attribute->n] = net_case_text(word);
    }
    if (attribute->kind == OZ_ATTRIBUTE_INTS) attribute->ints = ints;
    if (attribute->kind == OZ_ATTRIBUTE_FLOATS) attribute->floats = floats;
    if (attribute->kind == OZ_ATTRIBUTE_STRINGS) attribute->strings = strings;
    if (attribute->kind == OZ_ATTRIBUTE_INT) attribute->i = ints[0];
    if (attribute->kind == OZ_ATTRIBUTE_FLOAT) attribute->f = floats[0];
    if (attribute->kind == OZ_ATTRIBUTE_STRING) attribute->s = strings[0];
    if (attribute->kind <= OZ_ATTRIBUTE_STRING) attribute->n = 0;
}

static inline void net_case_attribute(struct oz_arena *arena, struct oz_attribute *attribute)
{
    static const char *const kinds[] = {"int",    "float",   "string", "ints",
                                        "floats", "strings", "tensor", NULL};
    attribute->name = strtok(NULL, " ");
    const char *kind = strtok(NULL, " ");
    size_t k = 0;
    while (kinds[k] && strcmp(kinds[k], kind)) k++;
    assert_non_null(kinds[k]);
    attribute->kind = (enum oz_attribute_kind)k;
    if (attribute->kind == OZ_ATTRIBUTE_TENSOR) {
        struct oz_tensor *tensor = net_case_memory(arena, sizeof *tensor);
        net_case_tensor(arena, tensor);
        attribute->tensor = tensor;
    } else {
        net_case_list(arena, attribute);
    }
}

static inline void net_case_line(struct oz_arena *arena, struct net_case *c, char *line)
{
    const char *refused = strncmp(line, "refused ", 8) ? NULL : line + 8;
    if (refused) {
        c->refused = refused;
        return;
    }
    const char *word = strtok(line, " ");
    if (!strcmp(word, "op")) {
        c->op = strtok(NULL, " ");
        c->opset = (uint32_t)strtoul(strtok(NULL, " "), NULL, 10);
    } else if (!strcmp(word, "attr")) {
        assert_true(c->n_attributes < NET_CASE_ARGS_MAX);
        net_case_attribute(arena, &c->attribute[c->n_attributes++]);
    } else if (!strcmp(word, "out")) {
        assert_true(c->n_outputs < NET_CASE_ARGS_MAX);
        net_case_tensor(arena, &c->output[c->n_outputs++]);
    } else if (!strcmp(word, "outs")) {
        c->n_outputs = (uint32_t)strtoul(strtok(NULL, " "), NULL, 10);
    } else {
        assert_true(c->n_inputs < NET_CASE_ARGS_MAX);
        uint32_t i = c->n_inputs++;
        c->kind[i] = !strcmp(word, "in")    ? CASE_INPUT
                     : !strcmp(word, "con") ? CASE_CONSTANT
                                            : CASE_NONE;
        if (c->kind[i] != CASE_NONE) net_case_tensor(arena, &c->input[i]);
    }
}

/* The next case of the text; *text moves on. False: there are no more. The text is changed, and the
 * case points into it and into the arena. */
static inline bool net_case_next(char **text, struct oz_arena *arena, struct net_case *ret_case)
{
    *ret_case = (struct net_case){0};
    while (**text) {
        char *line = *text, *end = strchr(line, '\n');
        bool is_head = !strncmp(line, "case ", 5);
        if (is_head && ret_case->name) return true;
        *text = end ? end + 1 : line + strlen(line);
        if (end) *end = '\0';
        if (is_head)
            ret_case->name = line + 5;
        else if (*line && *line != '#')
            net_case_line(arena, ret_case, line);
    }
    return ret_case->name != NULL;
}

/* A net of the case's node, not compiled. With `all_constant` the inputs are constants too. */
static inline void net_case_build(const struct net_case *c, bool all_constant, struct oz_net *net)
{
    struct oz_error err;
    oz_net_init(net);
    struct oz_node *node = net_case_memory(&net->arena, sizeof *node);
    uint32_t *numbers = net_case_memory(&net->arena, 4 * NET_CASE_ARGS_MAX * sizeof *numbers);
    *node = (struct oz_node){.op = oz_op_find(OZ_DOMAIN_ONNX, c->op),
                             .name = "it",
                             .opset = c->opset,
                             .n_inputs = c->n_inputs,
                             .n_outputs = c->n_outputs,
                             .n_attributes = c->n_attributes,
                             .input = numbers,
                             .output = numbers + NET_CASE_ARGS_MAX};
    if (!node->op) fail_msg("no operator %s", c->op);
    node->attribute = net_case_memory(&net->arena, sizeof c->attribute);
    memcpy(node->attribute, c->attribute, sizeof c->attribute);
    net->opset = c->opset;
    net->n_nodes = 1;
    net->graph = (struct oz_graph){.name = "g",
                                   .node = node,
                                   .n_nodes = 1,
                                   .n_outputs = c->n_outputs,
                                   .input = numbers + 2 * NET_CASE_ARGS_MAX,
                                   .output = node->output};
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        node->input[i] = OZ_NO_VALUE;
        if (c->kind[i] == CASE_NONE) continue;
        assert_int_equal(oz_net_add_value(net, "x", &node->input[i], &err), OZ_OK);
        if (c->kind[i] == CASE_CONSTANT || all_constant)
            net->value[node->input[i]].constant = &c->input[i];
        else
            net->graph.input[net->graph.n_inputs++] = node->input[i];
    }
    for (uint32_t k = 0; k < c->n_outputs; k++)
        assert_int_equal(oz_net_add_value(net, "y", &node->output[k], &err), OZ_OK);
}
#endif
