/* The words of the expression language: turns the bytes of one text into tokens, one at a time.
 * Ownership: tokens point into the text. Errors: a mistake says the byte offset and one sentence;
 * the first mistake of a text is kept, later ones are dropped. Limits: OZ_EXPR_TEXT_BYTES_MAX per
 * text. */
#ifndef OZ_FEATURES_EXPR_LEXER_H
#define OZ_FEATURES_EXPR_LEXER_H
#include "base/base.h"

enum { OZ_EXPR_TEXT_BYTES_MAX = 4096, OZ_EXPR_MESSAGE_BYTES = 512 };

struct oz_expr_mistake {
    bool set;
    size_t offset;
    char message[OZ_EXPR_MESSAGE_BYTES];
};

/* Keeps the first mistake; false, so that callers can return it. */
bool oz_expr_mistake_set(struct oz_expr_mistake *mistake, size_t offset, const char *fmt, ...)
    OZ_PRINTF(3, 4);

enum oz_expr_token_kind {
    OZ_TOKEN_END,
    OZ_TOKEN_NUMBER,   /* as JSON writes it, without a sign */
    OZ_TOKEN_DURATION, /* digits and letters: 7d, 1h30m */
    OZ_TOKEN_TEXT,     /* with its quotes; a doubled quote stands for one */
    OZ_TOKEN_NAME,
    OZ_TOKEN_OPEN,
    OZ_TOKEN_CLOSE,
    OZ_TOKEN_COMMA,
    OZ_TOKEN_DOT,
    OZ_TOKEN_ADD,
    OZ_TOKEN_SUB,
    OZ_TOKEN_MUL,
    OZ_TOKEN_DIV,
    OZ_TOKEN_MOD,
    OZ_TOKEN_EQ,
    OZ_TOKEN_NE,
    OZ_TOKEN_LT,
    OZ_TOKEN_LE,
    OZ_TOKEN_GT,
    OZ_TOKEN_GE
};

struct oz_expr_token {
    enum oz_expr_token_kind kind;
    const char *text;
    uint32_t offset, len;
};

struct oz_expr_lexer {
    const char *text;
    size_t len, at;
    struct oz_expr_mistake *mistake;
};

bool oz_expr_next(struct oz_expr_lexer *lexer, struct oz_expr_token *ret_token);
bool oz_expr_token_is(const struct oz_expr_token *token, const char *word); /* a name, this one */
#endif
