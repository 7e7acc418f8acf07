/* Fuzzes operators and shape inference: the bytes are a program that makes a graph of any operators
 * that are served, with any attributes and inputs of any type and shape; it must be refused, or be
 * planned and run in bounded memory and time. Bodies of If, Loop and Scan come from fuzz_onnx. */
#include "models/net/op.h"
#include "tests/fuzz/fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { NODES_MAX = 4, LIST_MAX = 8, ARGS_MAX = 8 };

struct program {
    const uint8_t *at, *end;
    struct oz_net net;
    struct oz_arena arena;
    struct oz_tensor input[FUZZ_INPUTS_MAX];
};

static unsigned next(struct program *p) { return p->at < p->end ? *p->at++ : 0; }

/* The attributes that operators have, and of which kind they are. */
static const struct {
    const char *name;
    enum oz_attribute_kind kind;
} known[] = {{"axis", OZ_ATTRIBUTE_INT},
             {"keepdims", OZ_ATTRIBUTE_INT},
             {"to", OZ_ATTRIBUTE_INT},
             {"transA", OZ_ATTRIBUTE_INT},
             {"transB", OZ_ATTRIBUTE_INT},
             {"group", OZ_ATTRIBUTE_INT},
             {"ceil_mode", OZ_ATTRIBUTE_INT},
             {"count_include_pad", OZ_ATTRIBUTE_INT},
             {"hidden_size", OZ_ATTRIBUTE_INT},
             {"layout", OZ_ATTRIBUTE_INT},
             {"linear_before_reset", OZ_ATTRIBUTE_INT},
             {"value_int", OZ_ATTRIBUTE_INT},
             {"num_outputs", OZ_ATTRIBUTE_INT},
             {"largest", OZ_ATTRIBUTE_INT},
             {"sorted", OZ_ATTRIBUTE_INT},
             {"k", OZ_ATTRIBUTE_INT},
             {"exclusive", OZ_ATTRIBUTE_INT},
             {"reverse", OZ_ATTRIBUTE_INT},
             {"batch_dims", OZ_ATTRIBUTE_INT},
             {"num_groups", OZ_ATTRIBUTE_INT},
             {"p", OZ_ATTRIBUTE_INT},
             {"upper", OZ_ATTRIBUTE_INT},
             {"dtype", OZ_ATTRIBUTE_INT},
             {"fmod", OZ_ATTRIBUTE_INT},
             {"noop_with_empty_axes", OZ_ATTRIBUTE_INT},
             {"select_last_index", OZ_ATTRIBUTE_INT},
             {"allowzero", OZ_ATTRIBUTE_INT},
             {"storage_order", OZ_ATTRIBUTE_INT},
             {"detect_negative", OZ_ATTRIBUTE_INT},
             {"detect_positive", OZ_ATTRIBUTE_INT},
             {"block_size", OZ_ATTRIBUTE_INT},
             {"saturate", OZ_ATTRIBUTE_INT},
             {"targets", OZ_ATTRIBUTE_INT},
             {"zeros", OZ_ATTRIBUTE_INT},
             {"n_targets", OZ_ATTRIBUTE_INT},
             {"aggregate_function", OZ_ATTRIBUTE_INT},
             {"post_transform", OZ_ATTRIBUTE_INT},
             {"start", OZ_ATTRIBUTE_INT},
             {"end", OZ_ATTRIBUTE_INT},
             {"time_axis", OZ_ATTRIBUTE_INT},
             {"batch_axis", OZ_ATTRIBUTE_INT},
             {"input_forget", OZ_ATTRIBUTE_INT},
             {"stash_type", OZ_ATTRIBUTE_INT},
             {"spatial", OZ_ATTRIBUTE_INT},
             {"training_mode", OZ_ATTRIBUTE_INT},
             {"quant_axis", OZ_ATTRIBUTE_INT},
             {"default_int64", OZ_ATTRIBUTE_INT},
             {"replaced_value_int64", OZ_ATTRIBUTE_INT},
             {"precision", OZ_ATTRIBUTE_INT},
             {"alpha", OZ_ATTRIBUTE_FLOAT},
             {"beta", OZ_ATTRIBUTE_FLOAT},
             {"epsilon", OZ_ATTRIBUTE_FLOAT},
             {"clip", OZ_ATTRIBUTE_FLOAT},
             {"value_float", OZ_ATTRIBUTE_FLOAT},
             {"threshold", OZ_ATTRIBUTE_FLOAT},
             {"replaced_value_float", OZ_ATTRIBUTE_FLOAT},
             {"default_float", OZ_ATTRIBUTE_FLOAT},
             {"lambd", OZ_ATTRIBUTE_FLOAT},
             {"bias", OZ_ATTRIBUTE_FLOAT},
             {"gamma", OZ_ATTRIBUTE_FLOAT},
             {"momentum", OZ_ATTRIBUTE_FLOAT},
             {"ratio", OZ_ATTRIBUTE_FLOAT},
             {"auto_pad", OZ_ATTRIBUTE_STRING},
             {"direction", OZ_ATTRIBUTE_STRING},
             {"mode", OZ_ATTRIBUTE_STRING},
             {"reduction", OZ_ATTRIBUTE_STRING},
             {"equation", OZ_ATTRIBUTE_STRING},
             {"approximate", OZ_ATTRIBUTE_STRING},
             {"multi_class", OZ_ATTRIBUTE_STRING},
             {"post_transform", OZ_ATTRIBUTE_STRING},
             {"kernel_type", OZ_ATTRIBUTE_STRING},
             {"norm", OZ_ATTRIBUTE_STRING},
             {"aggregate_function", OZ_ATTRIBUTE_STRING},
             {"default_string", OZ_ATTRIBUTE_STRING},
             {"value_string", OZ_ATTRIBUTE_STRING},
             {"axes", OZ_ATTRIBUTE_INTS},
             {"perm", OZ_ATTRIBUTE_INTS},
             {"kernel_shape", OZ_ATTRIBUTE_INTS},
             {"strides", OZ_ATTRIBUTE_INTS},
             {"pads", OZ_ATTRIBUTE_INTS},
             {"dilations", OZ_ATTRIBUTE_INTS},
             {"value_ints", OZ_ATTRIBUTE_INTS},
             {"split", OZ_ATTRIBUTE_INTS},
             {"starts", OZ_ATTRIBUTE_INTS},
             {"ends", OZ_ATTRIBUTE_INTS},
             {"output_shape", OZ_ATTRIBUTE_INTS},
             {"output_padding", OZ_ATTRIBUTE_INTS},
             {"classlabels_ints", OZ_ATTRIBUTE_INTS},
             {"vectors_per_class", OZ_ATTRIBUTE_INTS},
             {"cats_int64s", OZ_ATTRIBUTE_INTS},
             {"keys_int64s", OZ_ATTRIBUTE_INTS},
             {"values_int64s", OZ_ATTRIBUTE_INTS},
             {"inputdimensions", OZ_ATTRIBUTE_INTS},
             {"int64_vocabulary", OZ_ATTRIBUTE_INTS},
             {"nodes_treeids", OZ_ATTRIBUTE_INTS},
             {"nodes_nodeids", OZ_ATTRIBUTE_INTS},
             {"nodes_featureids", OZ_ATTRIBUTE_INTS},
             {"nodes_truenodeids", OZ_ATTRIBUTE_INTS},
             {"nodes_falsenodeids", OZ_ATTRIBUTE_INTS},
             {"target_treeids", OZ_ATTRIBUTE_INTS},
             {"target_nodeids", OZ_ATTRIBUTE_INTS},
             {"target_ids", OZ_ATTRIBUTE_INTS},
             {"class_treeids", OZ_ATTRIBUTE_INTS},
             {"class_nodeids", OZ_ATTRIBUTE_INTS},
             {"class_ids", OZ_ATTRIBUTE_INTS},
             {"tree_roots", OZ_ATTRIBUTE_INTS},
             {"nodes_modes", OZ_ATTRIBUTE_INTS},
             {"nodes_trueleafs", OZ_ATTRIBUTE_INTS},
             {"nodes_falseleafs", OZ_ATTRIBUTE_INTS},
             {"leaf_targetids", OZ_ATTRIBUTE_INTS},
             {"classlabels_int64s", OZ_ATTRIBUTE_INTS},
             {"imputed_value_int64s", OZ_ATTRIBUTE_INTS},
             {"nodes_missing_value_tracks_true", OZ_ATTRIBUTE_INTS},
             {"activation_alpha", OZ_ATTRIBUTE_FLOATS},
             {"activation_beta", OZ_ATTRIBUTE_FLOATS},
             {"value_floats", OZ_ATTRIBUTE_FLOATS},
             {"coefficients", OZ_ATTRIBUTE_FLOATS},
             {"intercepts", OZ_ATTRIBUTE_FLOATS},
             {"support_vectors", OZ_ATTRIBUTE_FLOATS},
             {"rho", OZ_ATTRIBUTE_FLOATS},
             {"kernel_params", OZ_ATTRIBUTE_FLOATS},
             {"prob_a", OZ_ATTRIBUTE_FLOATS},
             {"prob_b", OZ_ATTRIBUTE_FLOATS},
             {"offset", OZ_ATTRIBUTE_FLOATS},
             {"scale", OZ_ATTRIBUTE_FLOATS},
             {"imputed_value_floats", OZ_ATTRIBUTE_FLOATS},
             {"values_floats", OZ_ATTRIBUTE_FLOATS},
             {"keys_floats", OZ_ATTRIBUTE_FLOATS},
             {"nodes_values", OZ_ATTRIBUTE_FLOATS},
             {"target_weights", OZ_ATTRIBUTE_FLOATS},
             {"class_weights", OZ_ATTRIBUTE_FLOATS},
             {"base_values", OZ_ATTRIBUTE_FLOATS},
             {"activations", OZ_ATTRIBUTE_STRINGS},
             {"classlabels_strings", OZ_ATTRIBUTE_STRINGS},
             {"cats_strings", OZ_ATTRIBUTE_STRINGS},
             {"keys_strings", OZ_ATTRIBUTE_STRINGS},
             {"values_strings", OZ_ATTRIBUTE_STRINGS},
             {"string_vocabulary", OZ_ATTRIBUTE_STRINGS},
             {"nodes_modes", OZ_ATTRIBUTE_STRINGS},
             {"value_strings", OZ_ATTRIBUTE_STRINGS},
             {"value", OZ_ATTRIBUTE_TENSOR},
             {"nodes_splits", OZ_ATTRIBUTE_TENSOR},
             {"leaf_weights", OZ_ATTRIBUTE_TENSOR},
             {"membership_values", OZ_ATTRIBUTE_TENSOR},
             {"keys_tensor", OZ_ATTRIBUTE_TENSOR},
             {"values_tensor", OZ_ATTRIBUTE_TENSOR},
             {"default_tensor", OZ_ATTRIBUTE_TENSOR},
             {"nodes_modes", OZ_ATTRIBUTE_TENSOR},
             {"nodes_values_as_tensor", OZ_ATTRIBUTE_TENSOR},
             {"target_weights_as_tensor", OZ_ATTRIBUTE_TENSOR},
             {"base_values_as_tensor", OZ_ATTRIBUTE_TENSOR},
             {"class_weights_as_tensor", OZ_ATTRIBUTE_TENSOR}};
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
    unsigned which = next(p), odd = next(p);
    to->name = known[which % OZ_COUNT_OF(known)].name;
    to->kind = odd < 240 ? known[which % OZ_COUNT_OF(known)].kind
                         : (enum oz_attribute_kind)(odd % OZ_ATTRIBUTE_GRAPH);
    to->used = true; /* one that the operator does not know is passed over here */
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

static uint32_t between(struct program *p, uint32_t min, uint32_t max)
{
    max = OZ_MIN(max, (uint32_t)ARGS_MAX);
    min = OZ_MIN(min, max);
    return min + next(p) % (max - min + 1);
}

static bool make_node(struct program *p, struct oz_node *node)
{
    struct oz_net *net = &p->net;
    const struct oz_op *op = node->op = make_operator(p);
    node->name = "n";
    node->opset = op->domain == OZ_DOMAIN_ONNX
                      ? between(p, 0, OZ_NET_OPSET_MAX - OZ_MAX(op->since, OZ_NET_OPSET_MIN)) +
                            OZ_MAX(op->since, OZ_NET_OPSET_MIN)
                      : 1 + next(p) % OZ_NET_ML_OPSET_MAX;
    node->n_inputs = between(p, op->min_inputs, op->max_inputs);
    node->n_outputs = between(p, OZ_MAX(op->min_outputs, 1), op->max_outputs);
    node->n_attributes = next(p) % ARGS_MAX;
    node->input = oz_arena_zeroed(&p->arena, ARGS_MAX + 1, sizeof(uint32_t));
    node->output = oz_arena_zeroed(&p->arena, ARGS_MAX + 1, sizeof(uint32_t));
    node->attribute = oz_arena_zeroed(&p->arena, ARGS_MAX + 1, sizeof *node->attribute);
    if (!node->input || !node->output || !node->attribute) abort();
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        unsigned v = next(p);
        node->input[i] = v == 255 && i >= op->min_inputs ? OZ_NO_VALUE : v % net->n_values;
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
    for (; graph->n_outputs < net->n_values && graph->n_outputs < 16; graph->n_outputs++)
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
    p.net.memory_bytes_max = 1 << 18;
    p.net.steps_max = 10000;
    p.net.load_cpu_us_max = 1000000;
    if (make_graph(&p) && oz_net_compile(&p.net, &err) == OZ_OK)
        fuzz_run(&p.net, p.input, &p.arena);
    oz_net_clear(&p.net);
    oz_arena_clear(&p.arena);
    return 0;
}
