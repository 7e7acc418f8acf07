/* What a tree classifier of ai.onnx.ml makes of the sums of its trees: a label and scores.
 * Threads: any; no memory. Source: ONNX's operators (ai.onnx.ml), and where they leave open what a
 * binary classifier answers, ONNX Runtime; models/FOREST.md says where the two differ. */
#ifndef OZ_MODELS_NET_TREE_SCORES_H
#define OZ_MODELS_NET_TREE_SCORES_H
#include "models/net/post_transform.h"

enum oz_tree_labels {
    OZ_TREE_LABELS_BEST,   /* the class with the greatest score; the first of equals */
    OZ_TREE_LABELS_BINARY, /* two classes, and all weights are for class 0: score[0] is that of the
                              second class */
    OZ_TREE_LABELS_SECOND, /* two classes, and all weights are for class 1 */
    OZ_TREE_LABELS_ONE     /* one class: 1 for a positive score, else 0 */
};
struct oz_tree_rule {
    enum oz_tree_labels labels;
    enum oz_post_transform post;
    bool is_positive; /* no weight is negative: scores are probabilities */
    bool in_doubles;  /* weights are doubles; else labels are decided by scores rounded to floats */
};
/* The class of score[n_classes], which become what the classifier gives out. A class that no leaf
 * added to has -0.0, and is not chosen while another one was. For ONE: 1 or 0. */
size_t oz_tree_classify(const struct oz_tree_rule *rule, double *score, size_t n_classes);
#endif
