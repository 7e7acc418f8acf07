#include "base/fault.h"
#include "base/memory.h"
#include "base/nearest.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ARMED_MAX = 32, NUMBER_MAX = 100000000, POISON_BYTES = 64 };
#define POISON    "poison-record"
#define NO_MEMORY "no-memory"
enum effect { EFFECT_KILL, EFFECT_FAIL, EFFECT_SKIP, EFFECT_SLEEP };

struct armed {
    enum oz_fault fault;
    unsigned nth; /* 0: every time */
    enum effect effect;
    unsigned sleep_ms;
};

bool oz_fault_armed;
static struct armed armed[ARMED_MAX];
static size_t n_armed;
static _Atomic unsigned passes[OZ_FAULT_COUNT];

/* A text of a record's value, and the signal that it raises; 0: none. */
static struct {
    int signo;
    size_t len;
    char text[POISON_BYTES];
} poison;

static const char *const names[OZ_FAULT_COUNT] = {
#define X(name, text) [OZ_FAULT_##name] = text,
    OZ_FAULT_MAP(X)
#undef X
};

const char *oz_fault_name(enum oz_fault fault)
{
    OZ_ASSERT((unsigned)fault < OZ_FAULT_COUNT);
    return names[fault];
}

static bool is_word(const char *s, size_t len, const char *word)
{
    return strlen(word) == len && !memcmp(s, word, len);
}

static bool parse_number(const char *s, size_t len, unsigned *ret_n)
{
    unsigned n = 0;
    if (!len) return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        n = n * 10 + (unsigned)(s[i] - '0');
        if (n > NUMBER_MAX) return false;
    }
    *ret_n = n;
    return true;
}

static enum oz_status unknown_name(const char *s, size_t len, struct oz_error *err)
{
    char list[512] = "";
    size_t at = 0;
    for (int i = 0; i < OZ_FAULT_COUNT; i++)
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", names[i]);
    const char *nearest = oz_nearest(s, len, names, OZ_FAULT_COUNT);
    OZ_FAIL(err, OZ_USAGE,
            "OUZEL_FAULT: there is no fault point \"%.*s\"%s%s%s; there are %s, " NO_MEMORY
            " and " POISON,
            (int)OZ_MIN(len, (size_t)64), s, nearest ? ", did you mean \"" : "",
            nearest ? nearest : "", nearest ? "\"" : "", list);
}

static bool is_poison(const char *s, size_t len)
{
    size_t n = strlen(POISON);
    return len > n && !memcmp(s, POISON, n) && (s[n] == ':' || s[n] == '=');
}

static enum oz_status parse_poison(const char *s, size_t len, struct oz_error *err)
{
    static const struct {
        const char *word;
        int signo;
    } signals[] = {{"", SIGSEGV},    {":segv", SIGSEGV}, {":bus", SIGBUS},
                   {":fpe", SIGFPE}, {":abrt", SIGABRT}, {":kill", SIGKILL}};
    const char *word = s + strlen(POISON), *equals = memchr(s, '=', len);
    size_t n = equals ? (size_t)(s + len - equals) - 1 : 0;
    poison.signo = 0;
    for (size_t i = 0; n && n <= POISON_BYTES && i < OZ_COUNT_OF(signals); i++)
        if (is_word(word, (size_t)(equals - word), signals[i].word))
            poison.signo = signals[i].signo;
    if (!poison.signo)
        OZ_FAIL(err, OZ_USAGE,
                "OUZEL_FAULT: write " POISON "[:segv|bus|fpe|abrt|kill]=text, 1 to %d bytes of it",
                POISON_BYTES);
    poison.len = n;
    memcpy(poison.text, equals + 1, n);
    return OZ_OK;
}

static bool is_no_memory(const char *s, size_t len)
{
    size_t n = strlen(NO_MEMORY);
    return len >= n && !memcmp(s, NO_MEMORY, n) && (len == n || s[n] == ':');
}

static enum oz_status parse_no_memory(const char *s, size_t len, struct oz_error *err)
{
    size_t at = strlen(NO_MEMORY) + 1;
    unsigned nth;
    if (len < at || !parse_number(s + at, len - at, &nth) || !nth)
        OZ_FAIL(err, OZ_USAGE, "OUZEL_FAULT: write " NO_MEMORY ":nth, a number from 1");
    oz_fail_allocation(nth);
    return OZ_OK;
}

/* Reads name[:nth][=effect] from s[0, len). */
static enum oz_status parse_entry(const char *s, size_t len, struct armed *ret_armed,
                                  struct oz_error *err)
{
    const char *end = s + len;
    const char *equals = memchr(s, '=', len);
    const char *place_end = equals ? equals : end;
    const char *colon = memchr(s, ':', (size_t)(place_end - s));
    const char *name_end = colon ? colon : place_end;
    struct armed entry = {.fault = OZ_FAULT_COUNT, .nth = 1, .effect = EFFECT_KILL};

    for (int i = 0; i < OZ_FAULT_COUNT; i++)
        if (is_word(s, (size_t)(name_end - s), names[i])) entry.fault = (enum oz_fault)i;
    if (entry.fault == OZ_FAULT_COUNT) return unknown_name(s, (size_t)(name_end - s), err);

    if (colon) {
        size_t n = (size_t)(place_end - colon - 1);
        if (is_word(colon + 1, n, "every"))
            entry.nth = 0;
        else if (!parse_number(colon + 1, n, &entry.nth) || !entry.nth)
            OZ_FAIL(err, OZ_USAGE,
                    "OUZEL_FAULT: \"%.*s\" behind %s: is no count; write a number from 1, or every",
                    (int)OZ_MIN(n, (size_t)64), colon + 1, names[entry.fault]);
    }
    if (equals) {
        const char *effect = equals + 1;
        size_t n = (size_t)(end - effect);
        if (is_word(effect, n, "kill"))
            entry.effect = EFFECT_KILL;
        else if (is_word(effect, n, "fail"))
            entry.effect = EFFECT_FAIL;
        else if (is_word(effect, n, "skip"))
            entry.effect = EFFECT_SKIP;
        else if (parse_number(effect, n, &entry.sleep_ms))
            entry.effect = EFFECT_SLEEP;
        else
            OZ_FAIL(err, OZ_USAGE,
                    "OUZEL_FAULT: \"%.*s\" is no effect for %s; write kill, fail, skip or the "
                    "milliseconds to sleep",
                    (int)OZ_MIN(n, (size_t)64), effect, names[entry.fault]);
    }
    *ret_armed = entry;
    return OZ_OK;
}

enum oz_status oz_fault_setup(const char *spec, struct oz_error *err)
{
    oz_fault_armed = false;
    n_armed = 0;
    poison.signo = 0;
    for (int i = 0; i < OZ_FAULT_COUNT; i++) atomic_store(&passes[i], 0);
    if (!spec || !*spec) return OZ_OK;

    size_t n = 0;
    for (const char *s = spec;;) {
        size_t len = strcspn(s, ",");
        if (n == ARMED_MAX) OZ_FAIL(err, OZ_USAGE, "OUZEL_FAULT: more than %d entries", ARMED_MAX);
        if (is_poison(s, len))
            OZ_TRY(parse_poison(s, len, err));
        else if (is_no_memory(s, len))
            OZ_TRY(parse_no_memory(s, len, err));
        else
            OZ_TRY(parse_entry(s, len, &armed[n++], err));
        if (!s[len]) break;
        s += len + 1;
    }
    n_armed = n;
    oz_fault_armed = true;
    return OZ_OK;
}

static void sleep_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

enum oz_fault_effect oz_fault_slow(enum oz_fault fault)
{
    OZ_ASSERT((unsigned)fault < OZ_FAULT_COUNT);
    enum oz_fault_effect effect = OZ_FAULT_NONE;
    unsigned pass = atomic_fetch_add(&passes[fault], 1) + 1;
    for (size_t i = 0; i < n_armed; i++) {
        if (armed[i].fault != fault || (armed[i].nth && armed[i].nth != pass)) continue;
        switch (armed[i].effect) {
        case EFFECT_KILL: raise(SIGKILL); break;
        case EFFECT_FAIL: effect = OZ_FAULT_FAIL; break;
        case EFFECT_SKIP: effect = OZ_FAULT_SKIP; break;
        case EFFECT_SLEEP: sleep_ms(armed[i].sleep_ms); break;
        }
    }
    return effect;
}

void oz_fault_record_slow(const void *value, size_t len)
{
    if (poison.signo && memmem(value, len, poison.text, poison.len)) raise(poison.signo);
}
