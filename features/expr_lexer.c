#include "features/expr_lexer.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool oz_expr_mistake_set(struct oz_expr_mistake *mistake, size_t offset, const char *fmt, ...)
{
    if (mistake->set) return false;
    mistake->set = true;
    mistake->offset = offset;
    va_list args;
    va_start(args, fmt);
    vsnprintf(mistake->message, sizeof(mistake->message), fmt, args);
    va_end(args);
    return false;
}

bool oz_expr_token_is(const struct oz_expr_token *token, const char *word)
{
    return token->kind == OZ_TOKEN_NAME && strlen(word) == token->len &&
           !memcmp(token->text, word, token->len);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(const struct oz_expr_lexer *lexer, size_t ahead)
{
    size_t at = lexer->at + ahead;
    return at < lexer->len ? lexer->text[at] : '\0';
}

static bool number(struct oz_expr_lexer *lexer, struct oz_expr_token *token)
{
    size_t start = lexer->at;
    token->kind = OZ_TOKEN_NUMBER;
    while (is_digit(peek(lexer, 0))) lexer->at++;
    if (peek(lexer, 0) == '.') {
        if (!is_digit(peek(lexer, 1)))
            return oz_expr_mistake_set(lexer->mistake, lexer->at,
                                       "a number needs a digit behind its point");
        do lexer->at++;
        while (is_digit(peek(lexer, 0)));
    }
    if (peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E') {
        size_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-';
        if (is_digit(peek(lexer, 1 + sign))) {
            lexer->at += 1 + sign;
            while (is_digit(peek(lexer, 0))) lexer->at++;
        }
    }
    if (is_letter(peek(lexer, 0))) token->kind = OZ_TOKEN_DURATION;
    while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0))) lexer->at++;
    const char *digits = lexer->text + start;
    if (token->kind == OZ_TOKEN_NUMBER && digits[0] == '0' && lexer->at - start > 1 &&
        is_digit(digits[1]))
        return oz_expr_mistake_set(lexer->mistake, start,
                                   "a number does not begin with a needless 0");
    return true;
}

static bool quoted(struct oz_expr_lexer *lexer, struct oz_expr_token *token)
{
    size_t start = lexer->at;
    char quote = lexer->text[lexer->at++];
    token->kind = OZ_TOKEN_TEXT;
    for (; lexer->at < lexer->len; lexer->at++) {
        char c = lexer->text[lexer->at];
        if (c == quote && peek(lexer, 1) == quote) {
            lexer->at++;
        } else if (c == quote) {
            lexer->at++;
            return true;
        } else if ((unsigned char)c < 0x20) {
            return oz_expr_mistake_set(lexer->mistake, lexer->at,
                                       "a text holds no control characters");
        }
    }
    return oz_expr_mistake_set(lexer->mistake, start, "this text has no closing %c", quote);
}

static bool unexpected(struct oz_expr_lexer *lexer)
{
    char c = peek(lexer, 0);
    size_t at = lexer->at;
    if (c == '=') return oz_expr_mistake_set(lexer->mistake, at, "for `equals` write ==");
    if (c == '!') return oz_expr_mistake_set(lexer->mistake, at, "for `not` write not");
    if (c == '&') return oz_expr_mistake_set(lexer->mistake, at, "for `and` write and");
    if (c == '|') return oz_expr_mistake_set(lexer->mistake, at, "for `or` write or");
    if (c > 0x20 && c < 0x7f)
        return oz_expr_mistake_set(lexer->mistake, at, "`%c` has no meaning here", c);
    return oz_expr_mistake_set(lexer->mistake, at, "the byte 0x%02x has no meaning outside a text",
                               (unsigned char)c);
}

static bool sign(struct oz_expr_lexer *lexer, struct oz_expr_token *token)
{
    static const struct {
        char bytes[3];
        enum oz_expr_token_kind kind;
    } signs[] = {
        /* the longer ones first */
        {"==", OZ_TOKEN_EQ},   {"!=", OZ_TOKEN_NE},   {"<=", OZ_TOKEN_LE}, {">=", OZ_TOKEN_GE},
        {"<", OZ_TOKEN_LT},    {">", OZ_TOKEN_GT},    {"+", OZ_TOKEN_ADD}, {"-", OZ_TOKEN_SUB},
        {"*", OZ_TOKEN_MUL},   {"/", OZ_TOKEN_DIV},   {"%", OZ_TOKEN_MOD}, {"(", OZ_TOKEN_OPEN},
        {")", OZ_TOKEN_CLOSE}, {",", OZ_TOKEN_COMMA}, {".", OZ_TOKEN_DOT},
    };
    if (peek(lexer, 0) == '<' && peek(lexer, 1) == '>')
        return oz_expr_mistake_set(lexer->mistake, lexer->at, "for `differs from` write !=");
    for (size_t i = 0; i < OZ_COUNT_OF(signs); i++) {
        size_t len = signs[i].bytes[1] ? 2 : 1;
        if (lexer->len - lexer->at < len || memcmp(lexer->text + lexer->at, signs[i].bytes, len))
            continue;
        token->kind = signs[i].kind;
        lexer->at += len;
        return true;
    }
    return unexpected(lexer);
}

bool oz_expr_next(struct oz_expr_lexer *lexer, struct oz_expr_token *ret_token)
{
    while (lexer->at < lexer->len && strchr(" \t\r\n", lexer->text[lexer->at]) &&
           lexer->text[lexer->at])
        lexer->at++;
    struct oz_expr_token token = {.text = lexer->text + lexer->at, .offset = (uint32_t)lexer->at};
    if (lexer->at < lexer->len) {
        char c = peek(lexer, 0);
        if (is_letter(c)) {
            token.kind = OZ_TOKEN_NAME;
            while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0))) lexer->at++;
        } else if (is_digit(c)) {
            if (!number(lexer, &token)) return false;
        } else if (c == '\'' || c == '"') {
            if (!quoted(lexer, &token)) return false;
        } else if (!sign(lexer, &token)) {
            return false;
        }
    }
    token.len = (uint32_t)(lexer->at - token.offset);
    *ret_token = token;
    return true;
}
