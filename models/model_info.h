/* What a loaded model says of itself: what goes in, what comes out, what it is made of.
 *
 * Words: a *feature* is one number (or text) of a row, a *score* one number that comes out of it. A
 * net's inputs and outputs are tensors, [N, 64] say: an input has as many features as one row of it
 * has elements, in row-major order, an output as many scores. A forest has one output and no named
 * inputs. Outputs of text (labels) are shown, and are no scores.
 * Ownership: everything belongs to the model, and lives as long. */
#ifndef OZ_MODELS_MODEL_INFO_H
#define OZ_MODELS_MODEL_INFO_H
#include "base/base.h"

struct oz_model_feature {
    const char *name; /* never NULL: "amount"; where the file has none "f3" or "x_3" */
    bool is_own;      /* the file's own name, by which pipelines bind it */
    bool is_text;
};

struct oz_model_score {
    const char *suffix; /* of `<model>_<suffix>` in a pipeline; "": the model's name alone */
    const char *column; /* its name in a table: "output_1", "probabilities_yes" */
    bool is_float;      /* it is a float: printed in the shortest form of that type */
};

/* An input or output of a net; the output of a forest. */
struct oz_model_tensor {
    const char *name, *type, *shape; /* "x", "float", "[N, 64]" */
    bool is_text;
    uint32_t first, n;         /* features; scores, or texts of a text output */
    const char *const *column; /* [n]: names of the elements of a row (labels), or NULL */
};

struct oz_model_operator {
    const char *domain, *name; /* "ai.onnx", "Gemm" */
    uint32_t n;                /* nodes of it */
};

struct oz_model_info {
    const char *format;       /* "xgboost-json", "xgboost-ubjson", "onnx" */
    const char *objective;    /* the trainer's own word: "binary:logistic"; of a net: "net" */
    const char *producer;     /* "pytorch 2.15.0", or "" */
    uint32_t opset, ml_opset; /* of ai.onnx and ai.onnx.ml; 0: none */
    char sha256[65];          /* of the file */

    uint32_t n_features, n_scores, n_inputs, n_outputs;
    uint32_t n_texts; /* of text outputs, in a row */
    const struct oz_model_feature *feature;
    const struct oz_model_score *score;
    const struct oz_model_tensor *input, *output;
    bool has_own_names; /* of every feature */

    uint32_t n_trees, n_nodes; /* of a forest, or of all forests in a net */
    uint32_t n_ops;            /* kinds of nodes of a net, as the file has them */
    const struct oz_model_operator *op;
    uint32_t n_steps;    /* nodes of a net that are run for each tile, after folding and fusing */
    size_t memory_bytes; /* of the model; run_bytes: of the scratch that scoring needs */
    size_t run_bytes;
    uint32_t tile_rows;  /* rows that are scored together */
    const char *why_one; /* why they are scored one by one, or NULL */
    const char *kernels; /* that were chosen: "scalar" */
    double tolerance;    /* of golden rows, relative, absolute below 1; 0: to the bit */
};
#endif
