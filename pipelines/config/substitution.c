#include "pipelines/config/substitution.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096, HOST_BYTES_MAX = 256 };

/* One scalar under substitution. */
struct job {
    struct oz_config_doc *doc;
    struct oz_yaml_node *node;
    struct oz_buf text;
    struct oz_yaml_span **tail;
    size_t at; /* of the `$`, in node->written */
    bool failed;
};

static struct oz_place here(const struct job *job)
{
    return oz_config_place_in_written(job->doc, job->node, job->at);
}

static bool is_name(const char *s, size_t len)
{
    if (!len || (*s >= '0' && *s <= '9')) return false;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool ok =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if (!ok) return false;
    }
    return true;
}

static void put(struct job *job, const char *s, size_t len)
{
    size_t at;
    const char *fault = oz_config_text_fault(s, len, &at);
    if (fault || job->text.len + len > OZ_SUBSTITUTED_BYTES_MAX) {
        oz_config_mistake(job->doc, here(job),
                          fault ? "what stands for this is not text"
                                : "the text becomes longer than 64 KiB");
        job->failed = true;
        return;
    }
    oz_buf_put(&job->text, s, len);
}

/* O_NONBLOCK: a path that is a pipe must not hang us before we see that it is one. */
static void put_file(struct job *job, const char *path, size_t len)
{
    char name[PATH_BYTES_MAX];
    if (!len || len >= sizeof(name)) {
        oz_config_mistake(job->doc, here(job), "expected a path as in `${file:/path}`");
        job->failed = true;
        return;
    }
    memcpy(name, path, len);
    name[len] = 0;
    char *bytes = oz_malloc(OZ_SUBSTITUTED_BYTES_MAX + 3);
    if (!bytes) {
        job->doc->no_memory = true;
        return;
    }
    const char *why = NULL;
    size_t n = 0;
    struct stat st;
    int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        why = strerror(errno);
    } else if (!S_ISREG(st.st_mode)) {
        why = "not a regular file";
    }
    while (!why && n < OZ_SUBSTITUTED_BYTES_MAX + 3) {
        ssize_t got = read(fd, bytes + n, OZ_SUBSTITUTED_BYTES_MAX + 3 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) why = strerror(errno);
        if (got <= 0) break;
        n += (size_t)got;
    }
    if (fd >= 0) close(fd);
    if (n && bytes[n - 1] == '\n') n--;
    if (n && bytes[n - 1] == '\r') n--;
    if (!why && n > OZ_SUBSTITUTED_BYTES_MAX) why = "longer than 64 KiB";
    if (why) {
        oz_config_mistake(job->doc, here(job), "cannot read `%.200s`: %s", name, why);
        job->failed = true;
    } else {
        job->node->secret = true;
        put(job, bytes, n);
    }
    explicit_bzero(bytes, OZ_SUBSTITUTED_BYTES_MAX + 3);
    oz_free(bytes);
}

/* `inside` is what stands between the braces. */
static void put_variable(struct job *job, const char *inside, size_t len)
{
    const char *dash = memmem(inside, len, ":-", 2);
    size_t name_len = dash ? (size_t)(dash - inside) : len;
    if (!is_name(inside, name_len)) {
        oz_config_mistake(
            job->doc, here(job),
            "expected `${NAME}`, `${NAME:-default}` or `${file:/path}` (a dollar sign is `$$`)");
        job->failed = true;
        return;
    }
    char *name = oz_arena_strndup(job->doc->arena, inside, name_len), host[HOST_BYTES_MAX] = "";
    if (!name) {
        job->doc->no_memory = true;
        return;
    }
    const char *value = getenv(name);
    if (!value && !strcmp(name, "HOSTNAME") && !gethostname(host, sizeof(host) - 1) && *host)
        value = host;
    if (dash && (!value || !*value)) {
        put(job, dash + 2, len - name_len - 2);
    } else if (value) {
        put(job, value, strlen(value));
    } else {
        oz_config_mistake(
            job->doc, here(job),
            "the environment variable `%.128s` is not set: set it, or write `${%.128s:-default}`",
            name, name);
        job->failed = true;
    }
}

static void add_span(struct job *job, size_t written_len, size_t text_at)
{
    struct oz_yaml_span *span = oz_config_get(job->doc, sizeof(*span));
    if (!span) return;
    *span = (struct oz_yaml_span){.written_at = job->at,
                                  .written_len = written_len,
                                  .text_at = text_at,
                                  .text_len = job->text.len - text_at};
    *job->tail = span;
    job->tail = &span->next;
}

static void substitute(struct job *job)
{
    const char *s = job->node->written;
    size_t len = job->node->written_len, text_at;
    for (size_t i = 0; i < len && !job->failed;) {
        const char *dollar = memchr(s + i, '$', len - i);
        size_t plain = dollar ? (size_t)(dollar - s) - i : len - i;
        oz_buf_put(&job->text, s + i, plain);
        i += plain;
        job->at = i;
        text_at = job->text.len;
        char next = i + 1 < len ? s[i + 1] : 0;
        if (i == len) break;
        if (next == '$') {
            oz_buf_put_u8(&job->text, '$');
            add_span(job, 2, text_at);
            i += 2;
        } else if (next == '{') {
            const char *end = memchr(s + i, '}', len - i);
            if (!end) {
                oz_config_mistake(job->doc, here(job), "`${` without `}` (a dollar sign is `$$`)");
                job->failed = true;
                break;
            }
            const char *inside = s + i + 2;
            size_t inside_len = (size_t)(end - inside);
            if (inside_len >= 5 && !memcmp(inside, "file:", 5))
                put_file(job, inside + 5, inside_len - 5);
            else
                put_variable(job, inside, inside_len);
            add_span(job, inside_len + 3, text_at);
            i += inside_len + 3;
        } else {
            oz_buf_put_u8(&job->text, '$');
            i++;
        }
    }
}

static void substitute_scalar(struct oz_config_doc *doc, struct oz_yaml_node *node)
{
    if (!memchr(node->written, '$', node->written_len)) return;
    struct job job = {.doc = doc, .node = node, .tail = &node->span};
    oz_buf_init(&job.text);
    substitute(&job);
    const char *text = oz_arena_strndup(doc->arena, (const char *)job.text.data, job.text.len);
    if (job.text.failed || !text) doc->no_memory = true;
    if (text) {
        node->text = text;
        node->len = job.text.len;
    }
    if (job.text.data) explicit_bzero(job.text.data, job.text.len);
    oz_buf_clear(&job.text);
}

enum oz_status oz_config_substitute(struct oz_config_doc *doc, struct oz_yaml_node *node,
                                    struct oz_error *err)
{
    if (node->substituted) return OZ_OK;
    node->substituted = true;
    if (node->kind == OZ_YAML_SCALAR) substitute_scalar(doc, node);
    for (struct oz_yaml_entry *entry = node->entry; entry; entry = entry->next)
        OZ_TRY(oz_config_substitute(doc, entry->value, err));
    return doc->no_memory ? oz_no_memory(err) : OZ_OK;
}
