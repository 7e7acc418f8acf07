/* The store: later sets win, deletes delete, values come back in the order that was asked for,
 * positions and meta round-trip, a folder has one owner, and a process that is killed at any
 * moment, or loses the end of its log, leaves a prefix of its writes: rows and positions of one and
 * the same write. The twin is arithmetic: batch b writes a set of keys that is a function of b, so
 * the newest batch that is in says what every key holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "scratch_folder.h"
#include "state/key_sort.h"
#include "state/store.h"

enum { MEMORY = 8 << 20, KEYS = 400, PARTITIONS = 4 };

static struct oz_store *open_store(const char *dir)
{
    struct oz_store *store;
    struct oz_error err = {0};
    if (oz_store_open(dir, MEMORY, false, &store, &err)) fail_msg("%s", err.message);
    return store;
}

static void put(struct oz_sealed *sealed, uint32_t partition, const char *key, uint32_t part,
                const char *value)
{
    oz_sealed_row(sealed, 1, partition, key, (uint32_t)strlen(key), 5);
    if (!value) {
        assert_int_equal(oz_sealed_delete(sealed, part, NULL), OZ_OK);
        return;
    }
    oz_buf_puts(oz_sealed_begin(sealed, part, NULL), value);
    assert_int_equal(oz_sealed_end(sealed, NULL), OZ_OK);
}

static void expect(struct oz_store *store, uint32_t partition, const char *key, uint32_t part,
                   const char *value)
{
    struct oz_store_reader *reader;
    assert_int_equal(oz_store_reader_new(store, &reader, NULL), OZ_OK);
    uint8_t bytes[OZ_STORE_KEY_BYTES_MAX];
    struct oz_bytes k = {bytes,
                         oz_store_key(bytes, partition, 1, key, (uint32_t)strlen(key), part)};
    struct oz_bytes v;
    assert_int_equal(oz_store_get_many(reader, &k, 1, &v, NULL), OZ_OK);
    if (value) {
        const uint8_t *payload;
        size_t len;
        assert_non_null(v.data);
        assert_int_equal(oz_part_open(v.data, v.len, 5, &payload, &len, NULL), OZ_OK);
        assert_int_equal(len, strlen(value));
        assert_memory_equal(payload, value, len);
    } else {
        assert_null(v.data);
        assert_int_equal(v.len, 0);
    }
    oz_store_reader_free(reader);
}

static void test_later_wins(void **state)
{
    (void)state;
    char dir[256];
    scratch_make(dir);
    struct oz_store *store = open_store(dir);
    struct oz_sealed a, b, c;
    oz_sealed_init(&a), oz_sealed_init(&b), oz_sealed_init(&c);
    put(&a, 0, "x", 0, "x of a");
    put(&a, 1, "x", 0, "x of a, partition 1");
    put(&a, 0, "y", 0, "y of a");
    put(&a, 0, "y", 0, "y of a, again");
    put(&a, 0, "a key that is longer than a prefix 1", 2, "one");
    put(&a, 0, "a key that is longer than a prefix 2", 2, "two");
    put(&b, 0, "x", 0, NULL);
    put(&b, 0, "a key that is longer than a prefix 2", 2, "two of b");
    put(&c, 0, "x", 1, "x of c, part 1");
    const struct oz_sealed *all[] = {&a, &b, &c};
    assert_int_equal(oz_store_write(store, all, 3, NULL, NULL), OZ_OK);
    for (int round = 0; round < 2; round++) {
        expect(store, 0, "x", 0, NULL);
        expect(store, 1, "x", 0, "x of a, partition 1");
        expect(store, 0, "y", 0, "y of a, again");
        expect(store, 0, "a key that is longer than a prefix 1", 2, "one");
        expect(store, 0, "a key that is longer than a prefix 2", 2, "two of b");
        expect(store, 0, "x", 1, "x of c, part 1");
        expect(store, 2, "x", 1, NULL);
        oz_store_close(store);
        store = open_store(dir); /* and the same from disk */
    }
    assert_int_equal(oz_store_gets(store), 0);
    oz_sealed_clear(&a), oz_sealed_clear(&b), oz_sealed_clear(&c);
    oz_store_close(store);
    scratch_remove(dir);
}

/* Many keys at once, unsorted, some missing, some twice: each answer is its own key's. */
static void test_get_many(void **state)
{
    (void)state;
    char dir[256], text[64];
    scratch_make(dir);
    struct oz_store *store = open_store(dir);
    struct oz_sealed sealed;
    oz_sealed_init(&sealed);
    for (int i = 0; i < 1000; i += 2) {
        snprintf(text, sizeof text, "%0*d", i % 40 + 1, i);
        put(&sealed, (uint32_t)i % PARTITIONS, text, 0, text);
    }
    const struct oz_sealed *one = &sealed;
    assert_int_equal(oz_store_write(store, &one, 1, NULL, NULL), OZ_OK);
    struct oz_store_reader *reader;
    assert_int_equal(oz_store_reader_new(store, &reader, NULL), OZ_OK);
    static uint8_t bytes[3000][64];
    static struct oz_bytes key[3000], value[3000];
    static int which[3000];
    uint64_t seed = 5;
    for (int round = 0; round < 20; round++) {
        size_t n = next_random(&seed) % 3000;
        for (size_t i = 0; i < n; i++) {
            which[i] = (int)(next_random(&seed) % 1000);
            int len = snprintf(text, sizeof text, "%0*d", which[i] % 40 + 1, which[i]);
            key[i] =
                (struct oz_bytes){bytes[i], oz_store_key(bytes[i], (uint32_t)which[i] % PARTITIONS,
                                                         1, text, (uint32_t)len, 0)};
        }
        assert_int_equal(oz_store_get_many(reader, key, n, value, NULL), OZ_OK);
        for (size_t i = 0; i < n; i++) {
            if (which[i] % 2) {
                assert_null(value[i].data);
                continue;
            }
            int len = snprintf(text, sizeof text, "%0*d", which[i] % 40 + 1, which[i]);
            assert_int_equal(value[i].len, (size_t)len + OZ_PART_HEADER_BYTES);
            assert_memory_equal(value[i].data + OZ_PART_HEADER_BYTES, text, (size_t)len);
        }
    }
    assert_true(oz_store_gets(store) > 1000);
    oz_store_reader_free(reader);
    oz_store_reader_free(NULL);
    oz_sealed_clear(&sealed);
    oz_store_close(store);
    scratch_remove(dir);
}

/* The order of keys is that of memcmp, then of length. */
static void test_key_sort(void **state)
{
    (void)state;
    enum { N = 2000 };
    static uint8_t bytes[N][40];
    static size_t len[N];
    static struct oz_sort_key entry[N];
    uint64_t seed = 11;
    for (int i = 0; i < N; i++) {
        len[i] = next_random(&seed) % 36;
        memset(bytes[i], 0, sizeof bytes[i]);
        for (size_t b = 0; b < len[i]; b++) bytes[i][b] = (uint8_t)(next_random(&seed) % 6 / 4);
        size_t head = next_random(&seed) % 4;
        if (head > len[i]) head = len[i];
        oz_sort_key_set(&entry[i], bytes[i], head, bytes[i] + head, len[i] - head, (uint32_t)i);
    }
    oz_sort_keys(entry, N);
    for (int i = 0; i + 1 < N; i++) {
        uint32_t a = entry[i].number, b = entry[i + 1].number;
        int c = memcmp(bytes[a], bytes[b], OZ_MIN(len[a], len[b]));
        if (c == 0) c = len[a] < len[b] ? -1 : len[a] > len[b];
        assert_true(c < 0 || (c == 0 && a < b));
        assert_int_equal(oz_sort_key_same(&entry[i], &entry[i + 1]), c == 0);
    }
}

static void test_meta_and_positions(void **state)
{
    (void)state;
    char dir[256];
    scratch_make(dir);
    struct oz_store *store = open_store(dir);
    struct oz_positions pos, read;
    struct oz_buf meta;
    struct oz_error err;
    bool found = true, has_rows = true;
    oz_buf_init(&meta);
    assert_int_equal(oz_positions_init(&pos, PARTITIONS, 2, 3, NULL), OZ_OK);
    assert_int_equal(oz_positions_init(&read, PARTITIONS, 2, 3, NULL), OZ_OK);
    assert_int_equal(oz_store_positions(store, &read, &found, NULL), OZ_OK);
    assert_false(found);
    assert_int_equal(oz_store_meta(store, &meta, NULL), OZ_OK);
    assert_int_equal(meta.len, 0);

    for (int i = 0; i < PARTITIONS * 2; i++) pos.source[i] = i * 1000;
    for (int i = 0; i < PARTITIONS * 3; i++) pos.changelog[i] = i + 5;
    pos.epoch = 12, pos.time_us = 99;
    assert_int_equal(oz_store_set_meta(store, "{\"a\":1}", 7, NULL), OZ_OK);
    assert_int_equal(oz_store_write(store, NULL, 0, &pos, NULL), OZ_OK);
    oz_store_close(store);
    store = open_store(dir);
    assert_int_equal(oz_store_has_rows(store, &has_rows, NULL), OZ_OK);
    assert_false(has_rows);
    assert_int_equal(oz_store_positions(store, &read, &found, NULL), OZ_OK);
    assert_true(found);
    assert_memory_equal(read.source, pos.source, PARTITIONS * 2 * sizeof *pos.source);
    assert_memory_equal(read.changelog, pos.changelog, PARTITIONS * 3 * sizeof *pos.changelog);
    assert_int_equal(read.epoch, 12);
    assert_true(read.time_us == 99);
    assert_int_equal(oz_store_meta(store, &meta, NULL), OZ_OK);
    assert_string_equal(oz_buf_string(&meta), "{\"a\":1}");

    oz_positions_clear(&read); /* asked for another shape */
    assert_int_equal(oz_positions_init(&read, PARTITIONS, 1, 3, NULL), OZ_OK);
    assert_int_equal(oz_store_positions(store, &read, &found, &err), OZ_STATE);
    assert_non_null(strstr(err.message, "2 sources"));
    oz_positions_clear(&read);
    oz_positions_clear(&pos);
    oz_buf_clear(&meta);
    oz_store_close(store);
    scratch_remove(dir);
}

static void test_one_owner(void **state)
{
    (void)state;
    char dir[256], deep[300], pid[32];
    scratch_make(dir);
    snprintf(deep, sizeof deep, "%s/not/there/yet", dir);
    struct oz_store *store = open_store(deep), *second;
    struct oz_error err;
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_int_equal(oz_store_open(deep, MEMORY, false, &second, &err), OZ_STATE);
    assert_non_null(strstr(err.message, pid));
    assert_non_null(strstr(err.message, deep));
    int how;
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "test_store", "open", deep, (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 42);
    oz_store_close(store);
    oz_store_close(open_store(deep));

    assert_int_equal(oz_store_open(dir, MEMORY, false, &second, &err), OZ_STATE); /* holds `not` */
    assert_non_null(strstr(err.message, "'not'"));
    snprintf(deep, sizeof deep, "%s/not/there/yet/ouzel.lock/below", dir);
    assert_int_equal(oz_store_open(deep, MEMORY, false, &second, &err), OZ_ENVIRONMENT);
    assert_int_equal(oz_store_open("", MEMORY, false, &second, &err), OZ_CONFIG);
    scratch_remove(dir);
}

/* What is damaged stays so until somebody may rebuild it; then nothing of it is left. */
static void test_damage(void **state)
{
    (void)state;
    char dir[256];
    scratch_make(dir);
    struct oz_sealed sealed;
    const struct oz_sealed *set = &sealed;
    struct oz_error err;
    oz_sealed_init(&sealed);
    put(&sealed, 0, "k", 0, "value");
    struct oz_store *store = open_store(dir), *second;
    assert_int_equal(oz_store_write(store, &set, 1, NULL, &err), OZ_OK);
    assert_false(oz_store_is_damaged(store));
    oz_store_damaged(store, "part 3 of 'k' is off");
    oz_store_damaged(store, "and more");
    assert_true(oz_store_is_damaged(store));
    oz_store_close(store);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(oz_store_open(dir, MEMORY, false, &second, &err), OZ_STATE);
        assert_non_null(strstr(err.message, "part 3 of 'k' is off"));
        assert_non_null(strstr(err.message, dir));
    }
    assert_int_equal(oz_store_open(dir, MEMORY, true, &store, &err), OZ_OK);
    bool has_rows;
    assert_int_equal(oz_store_has_rows(store, &has_rows, &err), OZ_OK);
    assert_false(has_rows);
    assert_false(oz_store_is_damaged(store));
    assert_int_equal(oz_store_write(store, &set, 1, NULL, &err), OZ_OK);
    oz_store_close(store);
    store = open_store(dir);
    assert_int_equal(oz_store_has_rows(store, &has_rows, &err), OZ_OK);
    assert_true(has_rows);
    oz_store_close(store);
    oz_sealed_clear(&sealed);
    scratch_remove(dir);
}

/* What batch b writes. */
static bool is_in_batch(uint64_t b, int key)
{
    uint64_t seed = b * 1000 + (uint64_t)key;
    return next_random(&seed) % 8 == 0;
}

static void write_batch(struct oz_store *store, uint64_t b)
{
    char key[32], value[600];
    struct oz_sealed sealed[2];
    for (int s = 0; s < 2; s++) {
        oz_sealed_init(&sealed[s]);
        for (int i = s; i < KEYS; i += 2) {
            if (!is_in_batch(b, i)) continue;
            snprintf(key, sizeof key, "key%d", i);
            snprintf(value, sizeof value, "%llu %0400d", (unsigned long long)b, i);
            put(&sealed[s], (uint32_t)i % PARTITIONS, key, 0, value);
        }
    }
    struct oz_positions pos;
    if (oz_positions_init(&pos, PARTITIONS, 1, 1, NULL)) _exit(1);
    for (int p = 0; p < PARTITIONS; p++) pos.source[p] = pos.changelog[p] = (int64_t)b;
    pos.epoch = b;
    const struct oz_sealed *both[] = {&sealed[0], &sealed[1]};
    if (oz_store_write(store, both, 2, &pos, NULL)) _exit(1);
    oz_positions_clear(&pos);
    for (int s = 0; s < 2; s++) oz_sealed_clear(&sealed[s]);
}

/* Opens the store and checks every key against the batch that its positions name. */
static uint64_t check_prefix(const char *dir)
{
    struct oz_store *store = open_store(dir);
    struct oz_positions pos;
    bool found;
    struct oz_error err = {0};
    assert_int_equal(oz_positions_init(&pos, PARTITIONS, 1, 1, NULL), OZ_OK);
    if (oz_store_positions(store, &pos, &found, &err)) fail_msg("%s", err.message);
    for (int p = 0; p < PARTITIONS; p++) {
        assert_int_equal(pos.source[p], found ? (int64_t)pos.epoch : OZ_NO_OFFSET);
        assert_int_equal(pos.changelog[p], pos.source[p]);
    }
    char key[32], value[600];
    for (int i = 0; i < KEYS; i++) {
        uint64_t b = pos.epoch;
        while (b && !is_in_batch(b, i)) b--;
        snprintf(key, sizeof key, "key%d", i);
        snprintf(value, sizeof value, "%llu %0400d", (unsigned long long)b, i);
        expect(store, (uint32_t)i % PARTITIONS, key, 0, b ? value : NULL);
    }
    uint64_t epoch = pos.epoch;
    oz_positions_clear(&pos);
    oz_store_close(store);
    return epoch;
}

/* A child writes until it is killed; says on a pipe how far it certainly came. */
static void child_writes(const char *dir, uint64_t b, int to)
{
    struct oz_store *store;
    if (oz_store_open(dir, MEMORY, false, &store, NULL)) _exit(1);
    for (;; b++) {
        write_batch(store, b);
        if (write(to, &b, sizeof b) != sizeof b) _exit(1);
    }
}

/* Starts this program again as the child that writes. A fork alone would not do: RocksDB's threads
 * may hold a lock at that moment, and the child would wait for it for ever. */
static pid_t start_writer(const char *dir, uint64_t b, int to)
{
    char first[32], pipe_end[32];
    snprintf(first, sizeof first, "%llu", (unsigned long long)b);
    snprintf(pipe_end, sizeof pipe_end, "%d", to);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "test_store", "write", dir, first, pipe_end, (char *)NULL);
        _exit(1);
    }
    return child;
}

static void test_killed(void **state)
{
    (void)state;
    char dir[256];
    scratch_make(dir);
    uint64_t seed = 3, epoch = 0;
    for (int round = 0; round < 20; round++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = start_writer(dir, epoch + 1, pipes[1]);
        close(pipes[1]);
        uint64_t told = epoch, last;
        assert_int_equal(read(pipes[0], &last, sizeof last), sizeof last); /* it has begun */
        told = last;
        usleep((useconds_t)(next_random(&seed) % 60000));
        assert_int_equal(kill(child, SIGKILL), 0);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        while (read(pipes[0], &last, sizeof last) == sizeof last) told = last;
        close(pipes[0]);
        epoch = check_prefix(dir);
        assert_true(epoch >= told); /* a killed process loses nothing that it was told is in */
        assert_true(epoch <= told + 1);
    }
    scratch_remove(dir);
}

static void newest_log(const char *dir, char path[600])
{
    char folder[300];
    snprintf(folder, sizeof folder, "%s/rows", dir);
    DIR *d = opendir(folder);
    char name[256] = "";
    for (struct dirent *e; (e = readdir(d));)
        if (strstr(e->d_name, ".log") && strcmp(e->d_name, name) > 0)
            snprintf(name, sizeof name, "%s", e->d_name);
    closedir(d);
    assert_true(name[0]);
    snprintf(path, 600, "%s/%s", folder, name);
}

/* A machine that loses power loses the end of the log. */
static void test_log_cut(void **state)
{
    (void)state;
    uint64_t seed = 8;
    bool lost_some = false;
    for (int round = 0; round < 6; round++) {
        char dir[256], path[600];
        scratch_make(dir);
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = start_writer(dir, 1, pipes[1]);
        close(pipes[1]);
        for (uint64_t last = 0; last < 20;)
            assert_int_equal(read(pipes[0], &last, sizeof last), sizeof last);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(pipes[0]);
        newest_log(dir, path);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, (off_t)(next_random(&seed) % (uint64_t)st.st_size)), 0);
        lost_some |= check_prefix(dir) < 20;
        scratch_remove(dir);
    }
    assert_true(lost_some);
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "write"))
        child_writes(argv[2], strtoull(argv[3], NULL, 10), atoi(argv[4]));
    if (argc == 3 && !strcmp(argv[1], "open")) {
        struct oz_store *second;
        return oz_store_open(argv[2], MEMORY, false, &second, NULL) == OZ_STATE ? 42 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_later_wins), cmocka_unit_test(test_get_many),
        cmocka_unit_test(test_key_sort),   cmocka_unit_test(test_meta_and_positions),
        cmocka_unit_test(test_one_owner),  cmocka_unit_test(test_damage),
        cmocka_unit_test(test_killed),     cmocka_unit_test(test_log_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
