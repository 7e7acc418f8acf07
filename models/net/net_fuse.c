#include "models/net/net_fuse.h"
#include <string.h>

/* Who makes and reads the values of a net. */
struct edges {
    struct oz_net *net;
    struct oz_node **maker, **reader;           /* [n_values]: NULL: none; reader: the last one */
    const struct oz_graph **made_in, **read_in; /* [n_values] */
    uint32_t *n_reads;                          /* [n_values]: graph outputs count too */
};

static void note_graph(struct edges *edges, const struct oz_graph *graph)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct oz_node *node = &graph->node[i];
        for (uint32_t k = 0; k < node->n_inputs; k++) {
            uint32_t value = node->input[k];
            if (value == OZ_NO_VALUE) continue;
            edges->n_reads[value]++;
            edges->reader[value] = node;
            edges->read_in[value] = graph;
        }
        for (uint32_t k = 0; k < node->n_outputs; k++) {
            if (node->output[k] == OZ_NO_VALUE) continue;
            edges->maker[node->output[k]] = node;
            edges->made_in[node->output[k]] = graph;
        }
        for (uint32_t a = 0; a < node->n_attributes; a++)
            if (node->attribute[a].kind == OZ_ATTRIBUTE_GRAPH)
                note_graph(edges, node->attribute[a].graph);
    }
    for (uint32_t i = 0; i < graph->n_outputs; i++) edges->n_reads[graph->output[i]]++;
}

static enum oz_status find_edges(struct oz_net *net, struct oz_arena *arena, struct edges *ret,
                                 struct oz_error *err)
{
    size_t n = (size_t)net->n_values + 1;
    *ret = (struct edges){.net = net,
                          .maker = oz_arena_zeroed(arena, n, sizeof *ret->maker),
                          .reader = oz_arena_zeroed(arena, n, sizeof *ret->reader),
                          .made_in = oz_arena_zeroed(arena, n, sizeof *ret->made_in),
                          .read_in = oz_arena_zeroed(arena, n, sizeof *ret->read_in),
                          .n_reads = oz_arena_zeroed(arena, n, sizeof *ret->n_reads)};
    if (!ret->maker || !ret->reader || !ret->made_in || !ret->read_in || !ret->n_reads)
        return oz_no_memory(err);
    note_graph(ret, &net->graph);
    return OZ_OK;
}

/* The node that alone reads what `node` makes, beside it in the same graph; or NULL. */
static struct oz_node *only_reader(const struct edges *edges, const struct oz_node *node)
{
    if (node->n_outputs != 1 || node->output[0] == OZ_NO_VALUE) return NULL;
    uint32_t value = node->output[0];
    if (edges->n_reads[value] != 1 || edges->read_in[value] != edges->made_in[value]) return NULL;
    return edges->reader[value];
}

static bool is_op(const struct oz_node *node, enum oz_domain domain, const char *name)
{
    return node && node->op->domain == domain && !strcmp(node->op->name, name);
}

static const struct oz_attribute *attribute_of(const struct oz_node *node, const char *name)
{
    for (uint32_t a = 0; a < node->n_attributes; a++)
        if (!strcmp(node->attribute[a].name, name)) return &node->attribute[a];
    return NULL;
}

static float float_of(const struct oz_node *node, const char *name, float otherwise)
{
    const struct oz_attribute *attribute = attribute_of(node, name);
    return attribute ? attribute->f : otherwise;
}

static int64_t int_of(const struct oz_node *node, const char *name, int64_t otherwise)
{
    const struct oz_attribute *attribute = attribute_of(node, name);
    return attribute ? attribute->i : otherwise;
}

/* A constant of floats of this shape; NULL: out of memory. */
static struct oz_tensor *new_constant(struct oz_net *net, size_t rank, const int64_t *dim,
                                      uint32_t *ret_value, struct oz_error *err)
{
    struct oz_tensor *tensor = oz_arena_zeroed(&net->arena, 1, sizeof *tensor);
    if (!tensor || oz_tensor_shape(tensor, OZ_DTYPE_F32, rank, dim, err) != OZ_OK) return NULL;
    tensor->data = oz_net_weights(net, (size_t)tensor->n * sizeof(float));
    if (!tensor->data || oz_net_add_value(net, "", ret_value, err) != OZ_OK) return NULL;
    net->value[*ret_value].constant = tensor;
    return tensor;
}

/* The node becomes one of our own operators with these inputs, what it had of attributes (when
 * asked) and an activation. */
static enum oz_status become(struct oz_net *net, struct oz_node *node, const char *name,
                             const uint32_t *input, uint32_t n_inputs, bool keeps_attributes,
                             struct oz_error *err)
{
    enum { ROOM = 3 }; /* activation, alpha, beta */
    const struct oz_op *op = oz_op_find(OZ_DOMAIN_OURS, name);
    OZ_ASSERT(op);
    struct oz_attribute *attribute =
        oz_arena_zeroed(&net->arena, node->n_attributes + ROOM, sizeof *attribute);
    uint32_t *inputs = oz_arena_get(&net->arena, (n_inputs + 1) * sizeof *inputs);
    if (!attribute || !inputs) return oz_no_memory(err);
    memcpy(inputs, input, n_inputs * sizeof *inputs);
    if (keeps_attributes && node->n_attributes)
        memcpy(attribute, node->attribute, node->n_attributes * sizeof *attribute);
    if (!keeps_attributes) node->n_attributes = 0;
    for (uint32_t a = 0; a < node->n_attributes; a++) attribute[a].used = false;
    node->attribute = attribute;
    node->input = inputs;
    node->n_inputs = n_inputs;
    node->op = op;
    node->opset = 1;
    node->state = NULL;
    return oz_net_read_node(net, node, err);
}

/* `second` is gone, and `first` makes what it made. */
static void take_over(struct edges *edges, struct oz_node *first, struct oz_node *second)
{
    first->output[0] = second->output[0];
    edges->maker[first->output[0]] = first;
    second->n_outputs = 0;
}

/* ---- activations ---- */

/* The activations of fused operators, by the operators' own names, and where their alpha and beta
 * come from. */
static const struct {
    const char *name, *alpha, *beta;
} activations[] = {
    {"Relu", NULL, NULL},       {"LeakyRelu", "alpha", NULL}, {"ThresholdedRelu", "alpha", NULL},
    {"Sigmoid", NULL, NULL},    {"Tanh", NULL, NULL},         {"Elu", "alpha", NULL},
    {"Selu", "alpha", "gamma"}, {"Celu", "alpha", NULL},      {"HardSigmoid", "alpha", "beta"},
    {"HardSwish", NULL, NULL},  {"Softplus", NULL, NULL},     {"Softsign", NULL, NULL},
    {"Mish", NULL, NULL},       {"Swish", "alpha", NULL},
};

static void add_float(struct oz_node *node, const char *name, float v)
{
    node->attribute[node->n_attributes++] =
        (struct oz_attribute){.name = name, .kind = OZ_ATTRIBUTE_FLOAT, .f = v};
}

static void add_activation(struct oz_node *node, const char *word)
{
    node->attribute[node->n_attributes++] = (struct oz_attribute){
        .name = "activation", .kind = OZ_ATTRIBUTE_STRING, .s = {word, (uint32_t)strlen(word)}};
}

/* One bound of a Clip: a constant float, or left out. */
static bool clip_bound(const struct oz_net *net, const struct oz_node *clip, uint32_t i,
                       const char *name, float otherwise, float *ret_v)
{
    *ret_v = float_of(clip, name, otherwise);
    if (i >= clip->n_inputs || clip->input[i] == OZ_NO_VALUE) return true;
    const struct oz_tensor *bound = oz_node_constant(net, clip, i);
    if (!bound || bound->dtype != OZ_DTYPE_F32 || bound->n != 1) return false;
    *ret_v = bound->f32[0];
    return true;
}

static bool find_activation(const struct oz_net *net, const struct oz_node *node,
                            struct oz_node *into)
{
    if (!node || node->op->domain != OZ_DOMAIN_ONNX) return false;
    if (!strcmp(node->op->name, "Clip")) {
        float low, high;
        if (!clip_bound(net, node, 1, "min", -3.402823466e38f, &low) ||
            !clip_bound(net, node, 2, "max", 3.402823466e38f, &high))
            return false;
        add_activation(into, "Clip");
        add_float(into, "alpha", low);
        add_float(into, "beta", high);
        return true;
    }
    for (size_t i = 0; i < OZ_COUNT_OF(activations); i++) {
        if (strcmp(node->op->name, activations[i].name)) continue;
        add_activation(into, activations[i].name);
        const struct oz_attribute *alpha =
            activations[i].alpha ? attribute_of(node, activations[i].alpha) : NULL;
        const struct oz_attribute *beta =
            activations[i].beta ? attribute_of(node, activations[i].beta) : NULL;
        if (alpha) add_float(into, "alpha", alpha->f);
        if (beta) add_float(into, "beta", beta->f);
        return true;
    }
    return false;
}

/* The activation behind a Dense or Conv of ours becomes part of it. */
static enum oz_status fuse_activation(struct edges *edges, struct oz_node *node,
                                      struct oz_error *err)
{
    struct oz_node *next = only_reader(edges, node);
    if (!next || next->input[0] != node->output[0] || next->n_outputs != 1 ||
        attribute_of(node, "activation") || !find_activation(edges->net, next, node))
        return OZ_OK;
    take_over(edges, node, next);
    for (uint32_t a = 0; a < node->n_attributes; a++) node->attribute[a].used = false;
    return oz_net_read_node(edges->net, node, err);
}

/* ---- products ---- */

static enum oz_status transposed(struct oz_net *net, const struct oz_tensor *from,
                                 uint32_t *ret_value, struct oz_error *err)
{
    int64_t rows = from->dim[0], columns = from->dim[1];
    struct oz_tensor *to = new_constant(net, 2, (int64_t[]){columns, rows}, ret_value, err);
    if (!to) return oz_no_memory(err);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) to->f32[c * rows + r] = from->f32[r * columns + c];
    return OZ_OK;
}

static bool is_matrix(const struct oz_tensor *tensor)
{
    return tensor && tensor->dtype == OZ_DTYPE_F32 && tensor->rank == 2 && tensor->n;
}

/* A bias is one float per column: [n], or with dimensions of 1 before it, up to max_rank. */
static bool is_bias(const struct oz_tensor *tensor, int64_t n, size_t max_rank)
{
    return tensor && tensor->dtype == OZ_DTYPE_F32 && tensor->n == n && tensor->rank >= 1 &&
           tensor->rank <= max_rank && tensor->dim[tensor->rank - 1] == n;
}

/* The bias as [n]. */
static enum oz_status flat_bias(struct oz_net *net, const struct oz_tensor *from,
                                uint32_t *ret_value, struct oz_error *err)
{
    struct oz_tensor *to = new_constant(net, 1, &from->n, ret_value, err);
    if (!to) return oz_no_memory(err);
    memcpy(to->f32, from->f32, (size_t)from->n * sizeof(float));
    return OZ_OK;
}

static enum oz_status gemm_to_dense(struct edges *edges, struct oz_node *node, bool *ret_done,
                                    struct oz_error *err)
{
    struct oz_net *net = edges->net;
    const struct oz_tensor *weights = oz_node_constant(net, node, 1);
    const struct oz_tensor *bias = oz_node_constant(net, node, 2);
    bool has_bias = node->n_inputs > 2 && node->input[2] != OZ_NO_VALUE;
    bool is_transposed = int_of(node, "transB", 0);
    if (!is_matrix(weights) || int_of(node, "transA", 0) || float_of(node, "alpha", 1) != 1)
        return OZ_OK;
    int64_t n = weights->dim[is_transposed ? 0 : 1];
    if (has_bias && (float_of(node, "beta", 1) != 1 || !is_bias(bias, n, 2))) return OZ_OK;
    uint32_t input[3] = {node->input[0], node->input[1], OZ_NO_VALUE};
    if (is_transposed) OZ_TRY(transposed(net, weights, &input[1], err));
    if (has_bias) OZ_TRY(flat_bias(net, bias, &input[2], err));
    *ret_done = true;
    return become(net, node, "Dense", input, has_bias ? 3 : 2, false, err);
}

/* What a value's rank is at least, as far as it shows; 1 when it does not. */
static size_t rank_of(const struct edges *edges, uint32_t value)
{
    static const char *const keeps[] = {"Relu",     "Sigmoid", "Tanh",      "Cast",
                                        "Identity", "Softmax", "LeakyRelu", "Dropout"};
    for (int steps = 0; steps < 64; steps++) {
        const struct oz_value *v = &edges->net->value[value];
        const struct oz_node *maker = edges->maker[value];
        if (v->constant) return v->constant->rank;
        if (!maker) return v->has_shape ? v->rank : 1;
        bool is_kept = is_op(maker, OZ_DOMAIN_OURS, "Dense");
        for (size_t i = 0; i < OZ_COUNT_OF(keeps); i++)
            is_kept = is_kept || is_op(maker, OZ_DOMAIN_ONNX, keeps[i]);
        if (is_op(maker, OZ_DOMAIN_ONNX, "Flatten") || is_op(maker, OZ_DOMAIN_ONNX, "Gemm"))
            return 2;
        if (!is_kept) return 1;
        value = maker->input[0];
    }
    return 1;
}

static enum oz_status matmul_to_dense(struct edges *edges, struct oz_node *node, bool *ret_done,
                                      struct oz_error *err)
{
    struct oz_net *net = edges->net;
    const struct oz_tensor *weights = oz_node_constant(net, node, 1), *bias = NULL;
    if (!is_matrix(weights)) return OZ_OK;
    uint32_t input[3] = {node->input[0], node->input[1], OZ_NO_VALUE};
    size_t rank = rank_of(edges, node->input[0]);
    struct oz_node *next = only_reader(edges, node);
    if (is_op(next, OZ_DOMAIN_ONNX, "Add") && next->n_outputs == 1) {
        bias = oz_node_constant(net, next, next->input[0] == node->output[0] ? 1 : 0);
        if (!is_bias(bias, weights->dim[1], rank)) bias = NULL;
    }
    if (bias) OZ_TRY(flat_bias(net, bias, &input[2], err));
    *ret_done = true;
    if (bias) take_over(edges, node, next);
    return become(net, node, "Dense", input, bias ? 3 : 2, false, err);
}

/* ---- convolutions ---- */

struct normalization {             /* y = x * scale + shift, per channel */
    const struct oz_tensor *of[4]; /* scale, bias, mean, variance */
    float epsilon;
};

static bool find_normalization(const struct oz_net *net, const struct oz_node *node, int64_t n,
                               struct normalization *ret)
{
    if (!is_op(node, OZ_DOMAIN_ONNX, "BatchNormalization") || node->n_outputs != 1) return false;
    for (uint32_t i = 0; i < 4; i++) {
        ret->of[i] = oz_node_constant(net, node, i + 1);
        if (!is_bias(ret->of[i], n, 1)) return false;
    }
    ret->epsilon = float_of(node, "epsilon", 1e-5f);
    return true;
}

/* Weights and bias of the convolution take in the normalisation behind it; computed in doubles and
 * rounded once. */
static enum oz_status normalized(struct oz_net *net, const struct normalization *by,
                                 const struct oz_tensor *weights, const struct oz_tensor *bias,
                                 uint32_t *ret_weights, uint32_t *ret_bias, struct oz_error *err)
{
    int64_t n = weights->dim[0], each = weights->n / n;
    struct oz_tensor *w = new_constant(net, weights->rank, weights->dim, ret_weights, err);
    struct oz_tensor *b = w ? new_constant(net, 1, &n, ret_bias, err) : NULL;
    if (!b) return oz_no_memory(err);
    for (int64_t c = 0; c < n; c++) {
        double scale = (double)by->of[0]->f32[c] /
                       __builtin_sqrt((double)by->of[3]->f32[c] + (double)by->epsilon);
        double before = bias ? (double)bias->f32[c] : 0;
        b->f32[c] =
            (float)((before - (double)by->of[2]->f32[c]) * scale + (double)by->of[1]->f32[c]);
        for (int64_t i = 0; i < each; i++)
            w->f32[c * each + i] = (float)((double)weights->f32[c * each + i] * scale);
    }
    return OZ_OK;
}

static enum oz_status conv_to_ours(struct edges *edges, struct oz_node *node, bool *ret_done,
                                   struct oz_error *err)
{
    struct oz_net *net = edges->net;
    const struct oz_tensor *weights = oz_node_constant(net, node, 1);
    const struct oz_tensor *bias = oz_node_constant(net, node, 2);
    bool has_bias = node->n_inputs > 2 && node->input[2] != OZ_NO_VALUE;
    struct oz_node *next = only_reader(edges, node);
    struct normalization by;
    if (!weights || weights->dtype != OZ_DTYPE_F32 || weights->rank < 3 || !weights->n)
        return OZ_OK;
    if (has_bias && !is_bias(bias, weights->dim[0], 1)) return OZ_OK;
    uint32_t input[3] = {node->input[0], node->input[1], has_bias ? node->input[2] : OZ_NO_VALUE};
    bool is_normalized =
        find_normalization(net, next, weights->dim[0], &by) && next->input[0] == node->output[0];
    if (is_normalized) {
        OZ_TRY(normalized(net, &by, weights, bias, &input[1], &input[2], err));
        take_over(edges, node, next);
    }
    *ret_done = true;
    return become(net, node, "Conv", input, is_normalized || has_bias ? 3 : 2, true, err);
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    enum oz_status (*fuse)(struct edges *edges, struct oz_node *node, bool *ret_done,
                           struct oz_error *err);
} fusions[] = {{"Gemm", gemm_to_dense}, {"MatMul", matmul_to_dense}, {"Conv", conv_to_ours}};

static enum oz_status fuse_in(struct edges *edges, const struct oz_graph *graph,
                              struct oz_error *err)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct oz_node *node = &graph->node[i];
        for (size_t f = 0; f < OZ_COUNT_OF(fusions); f++) {
            bool is_done = false;
            if (!node->n_outputs || !is_op(node, OZ_DOMAIN_ONNX, fusions[f].name)) continue;
            OZ_TRY(fusions[f].fuse(edges, node, &is_done, err));
            if (is_done) OZ_TRY(fuse_activation(edges, node, err));
            break;
        }
        for (uint32_t a = 0; a < node->n_attributes; a++)
            if (node->attribute[a].kind == OZ_ATTRIBUTE_GRAPH)
                OZ_TRY(fuse_in(edges, node->attribute[a].graph, err));
    }
    return OZ_OK;
}

enum oz_status oz_net_fuse(struct oz_net *net, struct oz_error *err)
{
    struct oz_arena arena;
    struct edges edges;
    oz_arena_init(&arena, 1 << 14);
    enum oz_status status = find_edges(net, &arena, &edges, err);
    if (status == OZ_OK) status = fuse_in(&edges, &net->graph, err);
    oz_arena_clear(&arena);
    return status;
}
