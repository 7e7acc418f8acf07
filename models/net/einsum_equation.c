#include "models/net/einsum_equation.h"
#include <string.h>

/* The label of a letter, in the order of ASCII, as numpy sorts them; or -1. */
static int label_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    return -1;
}

/* Up to a comma, an arrow or the end; *at stands there afterwards. */
static enum oz_status read_term(struct oz_str text, uint32_t *at, struct oz_einsum_term *ret_term,
                                struct oz_error *err)
{
    struct oz_einsum_term term = {.ellipsis = OZ_EINSUM_NONE};
    for (; *at < text.len && text.data[*at] != ',' && text.data[*at] != '-'; ++*at) {
        char c = text.data[*at];
        if (c == ' ') continue;
        if (c == '.') {
            if (text.len - *at < 3 || memcmp(text.data + *at, "...", 3) != 0 ||
                term.ellipsis != OZ_EINSUM_NONE)
                OZ_FAIL(err, OZ_MODEL, "a `.` in its equation is not part of one `...`");
            term.ellipsis = term.n;
            *at += 2;
            continue;
        }
        int label = label_of(c);
        if (label < 0)
            OZ_FAIL(err, OZ_MODEL, "byte 0x%02x in its equation is neither a letter nor `...`",
                    (unsigned char)c);
        if (term.n == OZ_RANK_MAX)
            OZ_FAIL(err, OZ_MODEL, "its equation has a term of more than %d letters", OZ_RANK_MAX);
        term.label[term.n++] = (uint8_t)label;
    }
    *ret_term = term;
    return OZ_OK;
}

/* Without an arrow: "..." when there is one, then the letters that occur once. */
static enum oz_status implicit_output(struct oz_einsum_equation *e, struct oz_error *err)
{
    uint8_t count[OZ_EINSUM_LETTERS] = {0};
    e->output = (struct oz_einsum_term){.ellipsis = OZ_EINSUM_NONE};
    for (size_t i = 0; i < e->n_inputs; i++) {
        if (e->input[i].ellipsis != OZ_EINSUM_NONE) e->output.ellipsis = 0;
        for (size_t x = 0; x < e->input[i].n; x++) count[e->input[i].label[x]]++;
    }
    for (size_t label = 0; label < OZ_EINSUM_LETTERS; label++) {
        if (count[label] != 1) continue;
        if (e->output.n == OZ_RANK_MAX)
            OZ_FAIL(err, OZ_MODEL, "its output has more than %d axes", OZ_RANK_MAX);
        e->output.label[e->output.n++] = (uint8_t)label;
    }
    return OZ_OK;
}

static enum oz_status check_output(const struct oz_einsum_equation *e, struct oz_error *err)
{
    bool in_inputs[OZ_EINSUM_LETTERS] = {false}, in_output[OZ_EINSUM_LETTERS] = {false};
    bool has_ellipsis = false;
    for (size_t i = 0; i < e->n_inputs; i++) {
        has_ellipsis = has_ellipsis || e->input[i].ellipsis != OZ_EINSUM_NONE;
        for (size_t x = 0; x < e->input[i].n; x++) in_inputs[e->input[i].label[x]] = true;
    }
    for (size_t x = 0; x < e->output.n; x++) {
        size_t label = e->output.label[x];
        if (!in_inputs[label] || in_output[label])
            OZ_FAIL(err, OZ_MODEL, "`%c` of its output is %s",
                    (char)(label < 26 ? 'A' + label : 'a' + label - 26),
                    in_output[label] ? "there twice" : "in no input");
        in_output[label] = true;
    }
    if (has_ellipsis != (e->output.ellipsis != OZ_EINSUM_NONE))
        OZ_FAIL(err, OZ_MODEL, "`...` must be in its output and in an input, or in none");
    return OZ_OK;
}

enum oz_status oz_einsum_read(struct oz_str text, struct oz_einsum_equation *ret_equation,
                              struct oz_error *err)
{
    struct oz_einsum_equation e = {.n_inputs = 0};
    uint32_t at = 0;
    for (;;) {
        if (e.n_inputs == OZ_EINSUM_INPUTS_MAX)
            OZ_FAIL(err, OZ_MODEL, "its equation has more than %d inputs", OZ_EINSUM_INPUTS_MAX);
        OZ_TRY(read_term(text, &at, &e.input[e.n_inputs++], err));
        if (at >= text.len || text.data[at] != ',') break;
        at++;
    }
    if (at < text.len) {
        if (text.len - at < 2 || text.data[at + 1] != '>')
            OZ_FAIL(err, OZ_MODEL, "a `-` in its equation is not part of `->`");
        at += 2;
        OZ_TRY(read_term(text, &at, &e.output, err));
        if (at < text.len) OZ_FAIL(err, OZ_MODEL, "its equation has more than one output");
    } else
        OZ_TRY(implicit_output(&e, err));
    OZ_TRY(check_output(&e, err));
    *ret_equation = e;
    return OZ_OK;
}

enum oz_status oz_einsum_labels(const struct oz_einsum_term *term, size_t rank,
                                uint8_t ret_label[OZ_RANK_MAX], struct oz_error *err)
{
    bool has_ellipsis = term->ellipsis != OZ_EINSUM_NONE;
    if (rank > OZ_RANK_MAX || rank < term->n || (rank > term->n && !has_ellipsis))
        OZ_FAIL(err, OZ_MODEL, "a term of its equation has %u letters, the tensor has %zu axes",
                term->n, rank);
    size_t to = 0;
    for (size_t x = 0; x <= term->n; x++) {
        if (has_ellipsis && x == term->ellipsis)
            for (size_t left = rank - term->n; left > 0; left--)
                ret_label[to++] = (uint8_t)(OZ_EINSUM_LABELS - left);
        if (x < term->n) ret_label[to++] = term->label[x];
    }
    return OZ_OK;
}
