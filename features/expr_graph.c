#include "features/expr_graph.h"
#include <string.h>
#include "base/hash.h"
#include "base/number.h"

static const struct {
    uint8_t n_operands;
    char form;
    const char *text;
} ops[OZ_EXPR_OP_COUNT] = {
#define X(name, n_operands, form, text) [OZ_EXPR_##name] = {n_operands, form, text},
    OZ_EXPR_OP_MAP(X)
#undef X
};

enum { BUCKETS_MIN = 256, NODES_MIN = 128, LITERALS_MIN = 16 };

uint32_t oz_expr_op_operands(uint8_t op) { return ops[op].n_operands; }

void oz_expr_graph_init(struct oz_expr_graph *graph, struct oz_arena *arena,
                        const struct oz_schema *const *schema)
{
    *graph =
        (struct oz_expr_graph){.arena = arena, .schema = schema, .n_nodes = 1, .n_literals = 1};
}

/* The old memory stays in the arena: at most as much again as the last. */
static void *grown(struct oz_expr_graph *graph, const void *old, size_t n_old, size_t n,
                   size_t each_bytes)
{
    void *memory = oz_arena_zeroed(graph->arena, n, each_bytes);
    if (!memory) graph->no_memory = true;
    if (memory && n_old && old) memcpy(memory, old, n_old * each_bytes);
    return memory;
}

static bool reserve_node(struct oz_expr_graph *graph)
{
    if (graph->n_nodes < graph->cap_nodes) return true;
    uint32_t cap = OZ_MAX((uint32_t)NODES_MIN, graph->cap_nodes * 2);
    struct oz_expr_node *node =
        grown(graph, graph->node, graph->cap_nodes ? graph->n_nodes : 0, cap, sizeof(*node));
    if (!node) return false;
    graph->node = node;
    graph->cap_nodes = cap;
    return true;
}

static uint32_t bucket_of(const struct oz_expr_graph *graph, const struct oz_expr_node *node)
{
    uint32_t at = (uint32_t)oz_hash64(node, sizeof(*node)) & (graph->n_buckets - 1);
    while (graph->bucket[at] && memcmp(&graph->node[graph->bucket[at]], node, sizeof(*node)))
        at = (at + 1) & (graph->n_buckets - 1);
    return at;
}

static bool reserve_bucket(struct oz_expr_graph *graph)
{
    if (graph->n_nodes * 2 < graph->n_buckets) return true;
    uint32_t n = OZ_MAX((uint32_t)BUCKETS_MIN, graph->n_buckets * 2);
    uint32_t *bucket = grown(graph, NULL, 0, n, sizeof(*bucket));
    if (!bucket) return false;
    graph->bucket = bucket;
    graph->n_buckets = n;
    for (uint32_t i = 1; i < graph->n_nodes; i++) bucket[bucket_of(graph, &graph->node[i])] = i;
    return true;
}

uint32_t oz_expr_graph_add(struct oz_expr_graph *graph, const struct oz_expr_node *node)
{
    struct oz_expr_node key; /* equal nodes are equal bytes, padding too */
    memset(&key, 0, sizeof(key));
    key.op = node->op, key.type = node->type;
    memcpy(key.operand, node->operand, sizeof(key.operand));
    key.source = node->source, key.index = node->index, key.bits = node->bits;

    if (!reserve_node(graph) || !reserve_bucket(graph)) return 0;
    uint32_t at = bucket_of(graph, &key);
    if (graph->bucket[at]) return graph->bucket[at];
    if (graph->n_nodes == OZ_EXPR_NODES_MAX) {
        graph->too_many = true;
        return 0;
    }
    uint32_t id = graph->n_nodes++;
    memcpy(&graph->node[id], &key, sizeof(key));
    graph->bucket[at] = id;
    return id;
}

uint32_t oz_expr_graph_op(struct oz_expr_graph *graph, enum oz_expr_op_kind op, enum oz_type type,
                          uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t operand[3] = {a, b, c};
    for (uint32_t i = 0; i < ops[op].n_operands; i++)
        if (!operand[i]) return 0;
    return oz_expr_graph_add(graph,
                             &(struct oz_expr_node){.op = op, .type = type, .operand = {a, b, c}});
}

uint32_t oz_expr_graph_field(struct oz_expr_graph *graph, uint32_t source, uint32_t field)
{
    return oz_expr_graph_add(
        graph, &(struct oz_expr_node){.op = OZ_EXPR_FIELD,
                                      .type = graph->schema[source]->field[field].type,
                                      .source = source,
                                      .index = field});
}

static uint32_t constant(struct oz_expr_graph *graph, enum oz_type type, uint64_t bits)
{
    return oz_expr_graph_add(
        graph, &(struct oz_expr_node){.op = OZ_EXPR_CONST, .type = type, .bits = bits});
}

uint32_t oz_expr_graph_long(struct oz_expr_graph *graph, int64_t v)
{
    return constant(graph, OZ_LONG, (uint64_t)v);
}

uint32_t oz_expr_graph_double(struct oz_expr_graph *graph, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return constant(graph, OZ_DOUBLE, bits);
}

uint32_t oz_expr_graph_boolean(struct oz_expr_graph *graph, uint8_t v)
{
    return constant(graph, OZ_BOOLEAN, v);
}

uint32_t oz_expr_graph_text_literal(struct oz_expr_graph *graph, struct oz_str text)
{
    uint32_t i = 1;
    while (i < graph->n_literals && (graph->literal[i].len != text.len ||
                                     memcmp(graph->literal[i].data, text.data, text.len)))
        i++;
    if (i == graph->n_literals) {
        if (i >= graph->cap_literals) {
            uint32_t cap = OZ_MAX((uint32_t)LITERALS_MIN, graph->cap_literals * 2);
            struct oz_str *literal =
                grown(graph, graph->literal, graph->cap_literals ? i : 0, cap, sizeof(*literal));
            if (!literal) return 0;
            graph->literal = literal;
            graph->cap_literals = cap;
        }
        graph->literal[i] = text;
        graph->n_literals++;
    }
    return oz_expr_graph_add(
        graph, &(struct oz_expr_node){.op = OZ_EXPR_CONST, .type = OZ_STRING, .index = i});
}

uint32_t oz_expr_graph_null(struct oz_expr_graph *graph, enum oz_type type)
{
    switch (type) {
    case OZ_DOUBLE: return oz_expr_graph_double(graph, OZ_NULL_DOUBLE);
    case OZ_BOOLEAN: return oz_expr_graph_boolean(graph, OZ_NULL_BOOLEAN);
    case OZ_STRING: return constant(graph, OZ_STRING, 0);
    default: return constant(graph, type, (uint64_t)OZ_NULL_LONG);
    }
}

uint32_t oz_expr_graph_to_double(struct oz_expr_graph *graph, uint32_t node)
{
    if (!node || graph->node[node].type == OZ_DOUBLE) return node;
    const struct oz_expr_node *n = &graph->node[node];
    if (n->op == OZ_EXPR_CONST && n->type == OZ_LONG && (int64_t)n->bits != OZ_NULL_LONG)
        return oz_expr_graph_double(graph, (double)(int64_t)n->bits);
    return oz_expr_graph_op(graph, OZ_EXPR_TO_DOUBLE, OZ_DOUBLE, node, 0, 0);
}

static void print_double(double v, struct oz_buf *buf)
{
    char text[OZ_NUMBER_BYTES_MAX];
    size_t len = oz_format_double(text, v);
    oz_buf_put(buf, text, len);
    if (!memchr(text, '.', len) && !memchr(text, 'e', len)) oz_buf_puts(buf, ".0");
}

static void print_text(struct oz_str text, struct oz_buf *buf)
{
    oz_buf_put_u8(buf, '\'');
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\'') oz_buf_put_u8(buf, '\'');
        oz_buf_put_u8(buf, (uint8_t)text.data[i]);
    }
    oz_buf_put_u8(buf, '\'');
}

static void print_constant(const struct oz_expr_graph *graph, const struct oz_expr_node *node,
                           struct oz_buf *buf)
{
    char text[OZ_NUMBER_BYTES_MAX];
    double v;
    switch ((enum oz_type)node->type) {
    case OZ_DOUBLE:
        memcpy(&v, &node->bits, sizeof(v));
        if (v != v) break;
        print_double(v, buf);
        return;
    case OZ_BOOLEAN:
        if (node->bits == OZ_NULL_BOOLEAN) break;
        oz_buf_puts(buf, node->bits ? "true" : "false");
        return;
    case OZ_STRING:
        if (!node->index) break;
        print_text(graph->literal[node->index], buf);
        return;
    default:
        if ((int64_t)node->bits == OZ_NULL_LONG) break;
        oz_buf_put(buf, text, oz_format_i64(text, (int64_t)node->bits));
        return;
    }
    oz_buf_puts(buf, "null");
}

static void print_leaf(const struct oz_expr_graph *graph, const struct oz_expr_node *node,
                       struct oz_buf *buf)
{
    const struct oz_schema *schema;
    switch (node->op) {
    case OZ_EXPR_CONST: print_constant(graph, node, buf); break;
    case OZ_EXPR_FIELD:
        schema = graph->schema[node->source];
        oz_buf_printf(buf, "%s.%s", schema->name, schema->field[node->index].name);
        break;
    default: OZ_ASSERT(false); /* what is kept of events is made of fields and constants */
    }
}

void oz_expr_graph_print(const struct oz_expr_graph *graph, uint32_t id, struct oz_buf *buf)
{
    const struct oz_expr_node *node = &graph->node[id];
    uint32_t n = ops[node->op].n_operands;
    char form = ops[node->op].form;
    if (form == '-') {
        print_leaf(graph, node, buf);
        return;
    }
    if (form == 'f') oz_buf_puts(buf, ops[node->op].text);
    oz_buf_put_u8(buf, '(');
    if (form == 'p') oz_buf_puts(buf, ops[node->op].text);
    for (uint32_t i = 0; i < n; i++) {
        if (i && form == 'o') oz_buf_printf(buf, " %s ", ops[node->op].text);
        if (i && form == 'f') oz_buf_puts(buf, ", ");
        oz_expr_graph_print(graph, node->operand[i], buf);
    }
    oz_buf_put_u8(buf, ')');
}
