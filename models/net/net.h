/* A net: a graph of ONNX operators, made ready to run. Importers fill the graph
 * (models/onnx/onnx_graph.h), net_compile.c turns it into a plan; after that nothing in it changes.
 *
 * Layout: values (what flows along the edges) have one number each over the whole net, bodies of
 * Loop, If and Scan included, so a body reads an outer value by its number. Nodes of a graph stand
 * in an order in which every value is made before it is used.
 * Threads: immutable after oz_net_compile(); each thread runs it with its own memory (exec.h).
 * Ownership: everything lives in the net's arena.
 * Errors: OZ_MODEL, with the operator, its opset and the node's name in front.
 * Limits: below; refused, never cut.
 * Source: the ONNX IR specification (docs/IR.md) and the operators' reference, opsets 7 to 24. */
#ifndef OZ_MODELS_NET_NET_H
#define OZ_MODELS_NET_NET_H
#include "base/arena.h"
#include "models/net/tensor.h"

enum {
    OZ_NET_NODES_MAX = 1 << 17,
    OZ_NET_VALUES_MAX = 1 << 19,
    OZ_NET_GRAPH_DEPTH_MAX = 8, /* bodies in bodies */
    OZ_NET_NODE_ARGS_MAX = 4096,
    OZ_NET_ATTRIBUTES_MAX = 256,
    OZ_NET_OPSET_MIN = 7,
    OZ_NET_OPSET_MAX = 24,
    OZ_NET_ML_OPSET_MAX = 5
};
#define OZ_NET_MEMORY_BYTES_MAX (UINT64_C(1) << 32)   /* of one execution's plan */
#define OZ_NET_STEPS_MAX        (UINT64_C(100000000)) /* nodes of one run, loops included */
#define OZ_NET_LOAD_CPU_US_MAX  INT64_C(60000000)     /* of computing what is known at load */
#define OZ_NO_VALUE             UINT32_MAX            /* an input or output that is left out */

struct oz_op;
struct oz_graph;

enum oz_attribute_kind {
    OZ_ATTRIBUTE_INT,
    OZ_ATTRIBUTE_FLOAT,
    OZ_ATTRIBUTE_STRING,
    OZ_ATTRIBUTE_INTS,
    OZ_ATTRIBUTE_FLOATS,
    OZ_ATTRIBUTE_STRINGS,
    OZ_ATTRIBUTE_TENSOR,
    OZ_ATTRIBUTE_GRAPH
};

struct oz_attribute {
    const char *name;
    enum oz_attribute_kind kind;
    bool used; /* somebody asked for it; one that nobody did is refused by name */
    size_t n;  /* of the lists */
    union {
        int64_t i;
        float f;
        struct oz_str s;
        const int64_t *ints;
        const float *floats;
        const struct oz_str *strings;
        const struct oz_tensor *tensor;
        struct oz_graph *graph;
    };
};

struct oz_node {
    const struct oz_op *op;
    const char *name; /* the file's, or "#12" by its place in the file */
    uint32_t opset;   /* of its domain, as the file imports it */
    uint32_t n_inputs, n_outputs, n_attributes;
    uint32_t *input, *output; /* value numbers, or OZ_NO_VALUE */
    uint32_t *spare;          /* [n_spare]: values for outputs that are left out */
    uint32_t n_spare;         /* as many outputs as the operator may have, or the node names */
    struct oz_attribute *attribute;
    void *state;         /* what op->compile made, in the net's arena */
    uint32_t number;     /* over the whole net */
    uint32_t start, end; /* in the order of running; a Loop ends behind its body's nodes */
};

struct oz_dim {         /* of a declared shape */
    int64_t size;       /* -1: open */
    const char *symbol; /* of an open one: "batch", or NULL */
};

struct oz_value {
    const char *name;                 /* "" when it has none */
    const struct oz_tensor *constant; /* known at load, or NULL */
    /* As declared, for inputs and outputs of the main graph. */
    bool is_declared, has_shape;
    bool is_map; /* a map (DictVectorizer's input, ZipMap's output): columns instead of pairs */
    uint8_t dtype, rank;
    struct oz_dim *dim; /* [rank] */
    /* Names of the columns along the last axis, when an operator knows them (ZipMap,
     * DictVectorizer); or NULL */
    const struct oz_str *column;
    size_t n_columns;
};

struct oz_graph {
    const char *name;
    struct oz_node *node; /* [n_nodes] */
    uint32_t n_nodes, n_inputs, n_outputs;
    uint32_t *input, *output; /* value numbers; inputs that have an initializer are not listed */
};

struct oz_net {
    struct oz_arena arena;
    const char *producer;     /* "pytorch 2.15.0", or "" */
    uint32_t opset, ml_opset; /* 0: not imported */
    struct oz_value *value;
    uint32_t n_values, n_nodes; /* n_nodes: of all graphs */
    size_t cap_values;
    struct oz_graph graph;                /* the main one */
    uint64_t weight_bytes;                /* of constants and packed weights */
    uint64_t memory_bytes_max, steps_max; /* of one run; set by oz_net_init() */
    int64_t load_cpu_us_max;              /* of folding, and of each planning */
};

void oz_net_init(struct oz_net *net);
void oz_net_clear(struct oz_net *net);
/* A new value without a constant; its number is *ret_number. The name is borrowed. */
enum oz_status oz_net_add_value(struct oz_net *net, const char *name, uint32_t *ret_number,
                                struct oz_error *err) OZ_MUST_USE;

/* From a graph as the file has it to one that runs: operators found and their attributes read,
 * constants folded, what nobody needs dropped, neighbours fused, weights packed. */
enum oz_status oz_net_compile(struct oz_net *net, struct oz_error *err) OZ_MUST_USE;
#endif
