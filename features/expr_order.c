#include "features/expr_order.h"
#include <stdio.h>
#include <string.h>
#include "features/expr_names.h"

struct reference {
    uint32_t feature, offset;
};

/* Every feature's references, one list behind the other. */
struct references {
    const struct oz_expr_checker *checker;
    struct reference *of;
    size_t n, cap;
    bool failed;
};

/* Aggregates are left out: names in them are fields. */
static void collect(struct references *all, uint32_t feature, const struct oz_ast *ast)
{
    enum oz_agg agg;
    if (all->failed) return;
    if (ast->kind == OZ_AST_OPERATOR) {
        collect(all, feature, ast->left);
        if (ast->right) collect(all, feature, ast->right);
    } else if (ast->kind == OZ_AST_CALL) {
        const struct oz_ast_call *call = ast->call;
        if (oz_expr_agg_of(&call->name, &agg) && call->n_args < 2) return;
        for (uint32_t i = 0; i < call->n_args; i++) collect(all, feature, call->arg[i]);
    } else if (ast->kind == OZ_AST_NAME && !ast->name.source.data) {
        const struct oz_ast_word *name = &ast->name.field;
        int used = oz_expr_feature_of(all->checker, OZ_TEXT_FEATURE, feature, name);
        if (used < 0) return;
        void *memory = all->of;
        all->failed = oz_grow(&memory, &all->cap, all->n + 1, sizeof(*all->of), NULL) != OZ_OK;
        all->of = memory;
        if (!all->failed) all->of[all->n++] = (struct reference){(uint32_t)used, name->offset};
    }
}

enum { NEW, OPEN, DONE };

struct walk {
    const struct oz_expr_checker *checker;
    struct oz_expr_mistake *mistake;
    const struct reference *reference;
    const size_t *first; /* [n + 1] of each feature's references */
    size_t *next;        /* [n] the reference to follow next */
    uint8_t *state;      /* [n] */
    uint32_t *path;      /* [n] the open features */
    uint32_t n_path;
    uint32_t *order;
    uint32_t n_order;
};

/* The circle begins where `used` is on the path, and closes with the path's end. */
static void tell_circle(struct walk *walk, uint32_t used)
{
    uint32_t begin = walk->n_path - 1, lowest;
    while (walk->path[begin] != used) begin--;
    lowest = begin;
    for (uint32_t i = begin; i < walk->n_path; i++)
        if (walk->path[i] < walk->path[lowest]) lowest = i;

    char names[300];
    size_t len = 0;
    uint32_t n = walk->n_path - begin;
    for (uint32_t i = 0; i <= n && len < sizeof(names); i++) {
        uint32_t f = walk->path[begin + (lowest - begin + i) % n];
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? " -> " : "",
                                walk->checker->spec->feature[f].name);
    }
    uint32_t f = walk->path[lowest];
    oz_expr_mistake_set(&walk->mistake[f], walk->reference[walk->next[f] - 1].offset,
                        "features cannot go in a circle: %s", names);
}

static void visit(struct walk *walk, uint32_t feature)
{
    walk->path[walk->n_path++] = feature;
    walk->state[feature] = OPEN;
    while (walk->n_path) {
        uint32_t f = walk->path[walk->n_path - 1];
        if (walk->next[f] == walk->first[f + 1]) {
            walk->state[f] = DONE;
            walk->order[walk->n_order++] = f;
            walk->n_path--;
            continue;
        }
        uint32_t used = walk->reference[walk->next[f]++].feature;
        if (walk->state[used] == OPEN) {
            tell_circle(walk, used);
        } else if (walk->state[used] == NEW) {
            walk->state[used] = OPEN;
            walk->path[walk->n_path++] = used;
        }
    }
}

enum oz_status oz_expr_order(const struct oz_expr_checker *checker, struct oz_ast *const *tree,
                             struct oz_expr_mistake *mistake, uint32_t **ret_order,
                             struct oz_error *err)
{
    uint32_t n = checker->spec->n_features;
    struct oz_arena *arena = checker->arena;
    struct references all = {.checker = checker};
    size_t *first = oz_arena_zeroed(arena, (size_t)n + 1, sizeof(*first));
    struct walk walk = {.checker = checker, .mistake = mistake, .first = first};
    walk.next = oz_arena_zeroed(arena, (size_t)n + 1, sizeof(*walk.next));
    walk.state = oz_arena_zeroed(arena, (size_t)n + 1, sizeof(*walk.state));
    walk.path = oz_arena_zeroed(arena, (size_t)n + 1, sizeof(*walk.path));
    walk.order = oz_arena_zeroed(arena, (size_t)n + 1, sizeof(*walk.order));
    if (!first || !walk.next || !walk.state || !walk.path || !walk.order) return oz_no_memory(err);
    for (uint32_t f = 0; f < n; f++) {
        first[f] = walk.next[f] = all.n;
        if (tree[f]) collect(&all, f, tree[f]);
    }
    first[n] = all.n;
    walk.reference = all.of;
    for (uint32_t f = 0; f < n && !all.failed; f++)
        if (walk.state[f] == NEW) visit(&walk, f);
    oz_free(all.of);
    if (all.failed) return oz_no_memory(err);
    *ret_order = walk.order;
    return OZ_OK;
}
