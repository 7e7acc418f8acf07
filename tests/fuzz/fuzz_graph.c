/* Fuzzes operators and shape inference: the bytes are a program that makes a graph of any operators
 * that are served, with any attributes and inputs of any type and shape; it must be refused, or be
 * planned and run in bounded memory and time. Bodies of If, Loop and Scan come from fuzz_onnx. */
#include "models/net/op.h"
#include "tests/fuzz/fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { NODES_MAX = 12, LIST_MAX = 8 };

struct program {
    const uint8_t *at, *end;
    struct oz_net net;
    struct oz_arena arena;
    struct oz_tensor input[FUZZ_INPUTS_MAX];
};

static unsigned next(struct program *p) { return p->at < p->end ? *p->at++ : 0; }

/* The names of attributes that operators have; which kind each is comes from the program. */
static const char *const attribute_names[] = {"axis",
                                              "axes",
                                              "perm",
                                              "keepdims",
                                              "to",
                                              "alpha",
                                              "beta",
                                              "transA",
                                              "transB",
                                              "kernel_shape",
                                              "strides",
                                              "pads",
                                              "dilations",
                                              "group",
                                              "auto_pad",
                                              "ceil_mode",
                                              "count_include_pad",
                                              "epsilon",
                                              "hidden_size",
                                              "direction",
                                              "layout",
                                              "clip",
                                              "linear_before_reset",
                                              "activations",
                                              "mode",
                                              "value",
                                              "value_int",
                                              "value_ints",
                                              "value_float",
                                              "value_floats",
                                              "num_outputs",
                                              "split",
                                              "starts",
                                              "ends",
                                              "largest",
                                              "sorted",
                                              "k",
                                              "exclusive",
                                              "reverse",
                                              "batch_dims",
                                              "reduction",
                                              "equation",
                                              "num_groups",
                                              "p",
                                              "min",
                                              "max",
                                              "blocks",
                                              "upper",
                                              "dtype",
                                              "fmod",
                                              "noop_with_empty_axes",
                                              "select_last_index",
                                              "allowzero",
                                              "output_shape",
                                              "output_padding",
                                              "storage_order",
                                              "approximate",
                                              "detect_negative",
                                              "block_size",
                                              "saturate",
                                              "axis_w",
                                              "coefficients",
                                              "intercepts",
                                              "classlabels_ints",
                                              "classlabels_strings",
                                              "post_transform",
                                              "multi_class",
                                              "targets",
                                              "kernel_type",
                                              "kernel_params",
                                              "support_vectors",
                                              "rho",
                                              "n_supports",
                                              "vectors_per_class",
                                              "prob_a",
                                              "prob_b",
                                              "offset",
                                              "scale",
                                              "imputed_value_floats",
                                              "replaced_value_float",
                                              "norm",
                                              "threshold",
                                              "cats_int64s",
                                              "cats_strings",
                                              "zeros",
                                              "keys_int64s",
                                              "values_floats",
                                              "keys_strings",
                                              "values_int64s",
                                              "default_float",
                                              "inputdimensions",
                                              "int64_vocabulary",
                                              "string_vocabulary",
                                              "n_targets",
                                              "nodes_treeids",
                                              "nodes_nodeids",
                                              "nodes_featureids",
                                              "nodes_values",
                                              "nodes_modes",
                                              "nodes_truenodeids",
                                              "nodes_falsenodeids",
                                              "target_treeids",
                                              "target_nodeids",
                                              "target_ids",
                                              "target_weights",
                                              "class_treeids",
                                              "class_nodeids",
                                              "class_ids",
                                              "class_weights",
                                              "base_values",
                                              "aggregate_function",
                                              "tree_roots",
                                              "nodes_splits",
                                              "nodes_trueleafs",
                                              "nodes_falseleafs",
                                              "leaf_targetids",
                                              "leaf_weights",
                                              "membership_values"};
static const char *const words[] = {
    "",          "SAME_UPPER", "VALID",   "reflect",    "edge", "add", "bidirectional", "reverse",
    "ij,jk->ik", "...i->...",  "SOFTMAX", "BRANCH_LEQ", "LEAF", "MAX", "RBF",           "Tanh"};

static int64_t number(struct program *p)
{
    static const int64_t odd[] = {INT64_MAX, INT64_MIN, INT32_MAX, -2, 1000000, 64, -1, 255};
    unsigned v = next(p);
    return v < 248 ? (int64_t)(v % 8) - (v >= 240) : odd[v - 248];
}

static bool make_tensor(struct program *p, struct oz_tensor *ret)
{
    int64_t dim[OZ_RANK_MAX];
    unsigned head = next(p);
    size_t rank = (head >> 3) % 5;
    for (size_t d = 0; d < rank; d++) dim[d] = next(p) % 5;
    if (oz_tensor_shape(ret, (enum oz_dtype)(head % 8), rank, dim, NULL) != OZ_OK) return false;
    fuzz_fill(ret, &p->arena);
    if (ret->dtype == OZ_DTYPE_I64)
        for (int64_t i = 0; i < ret->n; i++) ret->i64[i] = number(p);
    return true;
}

static void make_list(struct program *p, struct oz_attribute *to)
{
    int64_t *ints = oz_arena_zeroed(&p->arena, LIST_MAX, sizeof *ints);
    float *floats = oz_arena_zeroed(&p->arena, LIST_MAX, sizeof *floats);
    struct oz_str *strings = oz_arena_zeroed(&p->arena, LIST_MAX, sizeof *strings);
    if (!ints || !floats || !strings) abort();
    to->n = next(p) % (LIST_MAX + 1);
    for (size_t i = 0; i < to->n; i++) {
        int64_t v = number(p);
        const char *word = words[(uint64_t)v % OZ_COUNT_OF(words)];
        ints[i] = v, floats[i] = (float)v / 2;
        strings[i] = (struct oz_str){word, (uint32_t)strlen(word)};
    }
    if (to->kind == OZ_ATTRIBUTE_INTS) to->ints = ints;
    if (to->kind == OZ_ATTRIBUTE_FLOATS) to->floats = floats;
    if (to->kind == OZ_ATTRIBUTE_STRINGS) to->strings = strings;
}

static bool make_attribute(struct program *p, struct oz_attribute *to)
{
    to->name = attribute_names[next(p) % OZ_COUNT_OF(attribute_names)];
    to->kind = (enum oz_attribute_kind)(next(p) % OZ_ATTRIBUTE_GRAPH);
    switch (to->kind) {
    case OZ_ATTRIBUTE_INT: to->i = number(p); break;
    case OZ_ATTRIBUTE_FLOAT: to->f = (float)number(p) / 4; break;
    case OZ_ATTRIBUTE_STRING:
        to->s.data = words[next(p) % OZ_COUNT_OF(words)];
        to->s.len = (uint32_t)strlen(to->s.data);
        break;
    case OZ_ATTRIBUTE_INTS:
    case OZ_ATTRIBUTE_FLOATS:
    case OZ_ATTRIBUTE_STRINGS: make_list(p, to); break;
    case OZ_ATTRIBUTE_TENSOR: {
        struct oz_tensor *tensor = oz_arena_zeroed(&p->arena, 1, sizeof *tensor);
        if (!tensor) abort();
        to->tensor = tensor;
        return make_tensor(p, tensor);
    }
    case OZ_ATTRIBUTE_GRAPH: break;
    }
    return true;
}

/* An operator that a file can name; our own come from fusing. */
static const struct oz_op *make_operator(struct program *p)
{
    static const struct oz_op *served[256];
    static size_t n;
    if (!n)
        for (size_t i = 0; oz_op_at(i) && n < OZ_COUNT_OF(served); i++)
            if (oz_op_at(i)->domain != OZ_DOMAIN_OURS) served[n++] = oz_op_at(i);
    return served[next(p) % n];
}

static bool make_node(struct program *p, struct oz_node *node)
{
    struct oz_net *net = &p->net;
    node->op = make_operator(p);
    node->name = "n";
    node->opset = node->op->domain == OZ_DOMAIN_ONNX ? 7 + next(p) % 18 : 1 + next(p) % 5;
    node->n_inputs = next(p) % 8;
    node->n_outputs = 1 + next(p) % 3;
    node->n_attributes = next(p) % 8;
    node->input = oz_arena_zeroed(&p->arena, 8, sizeof(uint32_t));
    node->output = oz_arena_zeroed(&p->arena, 4, sizeof(uint32_t));
    node->attribute = oz_arena_zeroed(&p->arena, 8, sizeof *node->attribute);
    if (!node->input || !node->output || !node->attribute) abort();
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        unsigned v = next(p);
        node->input[i] = v == 255 || !net->n_values ? OZ_NO_VALUE : v % net->n_values;
    }
    for (uint32_t i = 0; i < node->n_attributes; i++)
        if (!make_attribute(p, &node->attribute[i])) return false;
    for (uint32_t i = 0; i < node->n_outputs; i++)
        if (oz_net_add_value(net, "v", &node->output[i], NULL) != OZ_OK) return false;
    return true;
}

static bool make_graph(struct program *p)
{
    struct oz_net *net = &p->net;
    struct oz_graph *graph = &net->graph;
    uint32_t n_values = 1 + next(p) % FUZZ_INPUTS_MAX, value;
    graph->input = oz_arena_zeroed(&p->arena, FUZZ_INPUTS_MAX, sizeof(uint32_t));
    graph->node = oz_arena_zeroed(&p->arena, NODES_MAX, sizeof *graph->node);
    graph->output = oz_arena_zeroed(&p->arena, 256, sizeof(uint32_t));
    if (!graph->input || !graph->node || !graph->output) abort();
    for (uint32_t i = 0; i < n_values; i++) {
        struct oz_tensor *tensor = oz_arena_zeroed(&p->arena, 1, sizeof *tensor);
        if (!tensor || oz_net_add_value(net, "x", &value, NULL) != OZ_OK) abort();
        if (!make_tensor(p, tensor)) return false;
        if (next(p) & 1)
            net->value[value].constant = tensor;
        else
            p->input[graph->n_inputs] = *tensor, graph->input[graph->n_inputs++] = value;
    }
    uint32_t n_nodes = 1 + next(p) % NODES_MAX;
    for (; graph->n_nodes < n_nodes; graph->n_nodes++)
        if (!make_node(p, &graph->node[graph->n_nodes])) return false;
    net->n_nodes = n_nodes;
    for (; graph->n_outputs < net->n_values && graph->n_outputs < 64; graph->n_outputs++)
        graph->output[graph->n_outputs] = net->n_values - 1 - graph->n_outputs;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct program p;
    struct oz_error err;
    memset(&p, 0, sizeof p);
    p.at = bytes, p.end = bytes + n;
    oz_net_init(&p.net);
    oz_arena_init(&p.arena, 1 << 12);
    p.net.memory_bytes_max = 1 << 20;
    p.net.steps_max = 10000;
    if (make_graph(&p) && oz_net_compile(&p.net, &err) == OZ_OK)
        fuzz_run(&p.net, p.input, &p.arena);
    oz_net_clear(&p.net);
    oz_arena_clear(&p.arena);
    return 0;
}
