/* ONNX files as models: read, counted, compiled. */
#include <stdlib.h>
#include <string.h>
#include "models/importer.h"
#include "models/net/op.h"
#include "models/onnx/onnx_reader.h"

struct counted {
    const struct oz_op *op;
    uint32_t n;
};
struct census {
    struct counted *counted;
    size_t n_counted, cap_counted;
    const struct oz_graph **graph; /* to be looked at */
    size_t n_graphs, cap_graphs;
};

static enum oz_status count_node(struct census *census, const struct oz_node *node,
                                 struct oz_error *err)
{
    size_t i = 0;
    while (i < census->n_counted && census->counted[i].op != node->op) i++;
    if (i == census->n_counted) {
        OZ_TRY(oz_grow((void **)&census->counted, &census->cap_counted, i + 1,
                       sizeof *census->counted, err));
        census->counted[census->n_counted++] = (struct counted){node->op, 0};
    }
    census->counted[i].n++;
    for (uint32_t a = 0; a < node->n_attributes; a++) {
        if (node->attribute[a].kind != OZ_ATTRIBUTE_GRAPH) continue;
        OZ_TRY(oz_grow((void **)&census->graph, &census->cap_graphs, census->n_graphs + 1,
                       sizeof *census->graph, err));
        census->graph[census->n_graphs++] = node->attribute[a].graph;
    }
    return OZ_OK;
}

static int most_first(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? 1 : -1;
    return strcmp(x->op->name, y->op->name);
}

/* The operators of the file, bodies included, before folding and fusing change them. */
static enum oz_status count_operators(const struct oz_net *net, struct census *census,
                                      struct oz_model_parts *parts, struct oz_error *err)
{
    for (uint32_t i = 0; i < net->graph.n_nodes; i++)
        OZ_TRY(count_node(census, &net->graph.node[i], err));
    for (size_t g = 0; g < census->n_graphs; g++)
        for (uint32_t i = 0; i < census->graph[g]->n_nodes; i++)
            OZ_TRY(count_node(census, &census->graph[g]->node[i], err));
    if (!census->n_counted) return OZ_OK;
    qsort(census->counted, census->n_counted, sizeof *census->counted, most_first);
    struct oz_model_operator *op = oz_arena_zeroed(&parts->arena, census->n_counted, sizeof *op);
    if (!op) return oz_no_memory(err);
    for (size_t i = 0; i < census->n_counted; i++)
        op[i] = (struct oz_model_operator){.domain = oz_domain_word(census->counted[i].op->domain),
                                           .name = census->counted[i].op->name,
                                           .n = census->counted[i].n};
    parts->op = op;
    parts->n_ops = (uint32_t)census->n_counted;
    return OZ_OK;
}

/* What kind of model it is, by the operator that makes it one. */
static const char *main_operator(const struct oz_model_parts *parts)
{
    static const char *const telling[] = {"TreeEnsembleClassifier",
                                          "TreeEnsembleRegressor",
                                          "TreeEnsemble",
                                          "SVMClassifier",
                                          "SVMRegressor",
                                          "LinearClassifier",
                                          "LinearRegressor",
                                          "LSTM",
                                          "GRU",
                                          "RNN",
                                          "Conv"};
    for (size_t t = 0; t < OZ_COUNT_OF(telling); t++)
        for (uint32_t i = 0; i < parts->n_ops; i++)
            if (!strcmp(parts->op[i].name, telling[t])) return telling[t];
    return "net";
}

static enum oz_status import_onnx(const uint8_t *bytes, size_t n, struct oz_model_parts *parts,
                                  struct oz_error *err)
{
    struct census census = {0};
    parts->net = oz_calloc(1, sizeof *parts->net);
    if (!parts->net) return oz_no_memory(err);
    oz_net_init(parts->net);
    enum oz_status status = oz_onnx_read(bytes, n, parts->net, err);
    if (status == OZ_OK) status = count_operators(parts->net, &census, parts, err);
    parts->objective = main_operator(parts);
    if (status == OZ_OK) status = oz_net_compile(parts->net, err);
    oz_free(census.counted);
    oz_free(census.graph);
    return status;
}

const struct oz_importer oz_importer_onnx = {"onnx", oz_onnx_is_mine, import_onnx};
