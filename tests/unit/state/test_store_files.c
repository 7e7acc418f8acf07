/* A store opened to look at, beside a process that writes it as fast as it can: every view has all
 * that was written before it was opened, has no hole, does not change, and leaves no trace in the
 * folder; a folder that is not one of ours is named. The twin is arithmetic: write b puts the keys
 * of group b modulo GROUPS, so the newest write in a view says what every key of it holds. A
 * memtable is full after a few dozen of the writes: flushes, compactions and the removal of logs go
 * on all the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "base/hash.h"
#include "scratch_folder.h"
#include "state/store.h"
#include "state/store_files.h"

enum { MEMORY = 8 << 20, GROUPS = 200, GROUP_KEYS = 20, VALUE_BYTES = 1000, VIEWS = 60 };
/* A few flushes a second: an engine's store has fewer, and a view that takes long has to fit in. */
enum { WRITE_PAUSE_US = 1000 };

static size_t store_key(uint8_t *to, uint64_t group, int i)
{
    char key[32];
    int n = snprintf(key, sizeof key, "key-%llu-%d", (unsigned long long)group, i);
    return oz_store_key(to, 0, 1, key, (uint32_t)n, 0);
}

static void write_one(struct oz_store *store, struct oz_positions *pos, uint64_t b)
{
    struct oz_sealed sealed;
    const struct oz_sealed *all = &sealed;
    char key[32], value[VALUE_BYTES];
    uint64_t seed = b;
    oz_sealed_init(&sealed);
    for (size_t i = 0; i < sizeof value; i++) value[i] = (char)next_random(&seed);
    memcpy(value, &b, sizeof b);
    for (int i = 0; i < GROUP_KEYS; i++) {
        int n = snprintf(key, sizeof key, "key-%llu-%d", (unsigned long long)(b % GROUPS), i);
        oz_sealed_row(&sealed, 1, 0, key, (uint32_t)n, 5);
        oz_buf_put(oz_sealed_begin(&sealed, 0, NULL), value, sizeof value);
        if (oz_sealed_end(&sealed, NULL)) _exit(1);
    }
    pos->epoch = b;
    pos->source[0] = (int64_t)b;
    if (oz_store_write(store, &all, 1, pos, NULL)) _exit(1);
    oz_sealed_clear(&sealed);
}

/* The child: writes until it is killed, and says each write that is in. */
static void child_writes(const char *dir, int to)
{
    struct oz_store *store;
    struct oz_positions pos;
    if (oz_store_open(dir, MEMORY, false, &store, NULL) || oz_positions_init(&pos, 1, 1, 1, NULL))
        _exit(1);
    for (uint64_t b = 1;; b++) {
        write_one(store, &pos, b);
        if (write(to, &b, sizeof b) != sizeof b) _exit(1);
        usleep(WRITE_PAUSE_US);
    }
}

static struct oz_store *open_view(const char *dir)
{
    struct oz_store *store;
    struct oz_error err = {0};
    if (oz_store_open_read_only(dir, MEMORY, &store, &err)) fail_msg("%s", err.message);
    return store;
}

static uint64_t epoch_of(struct oz_store *store)
{
    struct oz_positions pos;
    bool found;
    assert_int_equal(oz_positions_init(&pos, 1, 1, 1, NULL), OZ_OK);
    assert_int_equal(oz_store_positions(store, &pos, &found, NULL), OZ_OK);
    uint64_t epoch = pos.epoch;
    oz_positions_clear(&pos);
    return epoch;
}

/* Every key holds what the newest write of its group up to the view's own epoch put. */
static void check_view(struct oz_store *store, uint64_t epoch)
{
    struct oz_store_reader *reader;
    uint8_t bytes[OZ_STORE_KEY_BYTES_MAX];
    assert_int_equal(oz_store_reader_new(store, &reader, NULL), OZ_OK);
    for (uint64_t b = epoch; b > 0 && b + GROUPS > epoch; b--)
        for (int i = 0; i < GROUP_KEYS; i++) {
            struct oz_bytes key = {bytes, store_key(bytes, b % GROUPS, i)}, value;
            uint64_t found;
            assert_int_equal(oz_store_get_many(reader, &key, 1, &value, NULL), OZ_OK);
            assert_int_equal(value.len, OZ_PART_HEADER_BYTES + VALUE_BYTES);
            memcpy(&found, value.data + OZ_PART_HEADER_BYTES, sizeof found);
            if (found != b)
                fail_msg("a view of epoch %llu has %llu where %llu belongs",
                         (unsigned long long)epoch, (unsigned long long)found,
                         (unsigned long long)b);
        }
    oz_store_reader_free(reader);
}

/* What the writer has said so far. */
static uint64_t newest_told(int from, uint64_t told)
{
    for (uint64_t b; read(from, &b, sizeof b) == sizeof b;) told = b;
    return told;
}

static pid_t start_writer(const char *dir, int to)
{
    char pipe_end[32];
    snprintf(pipe_end, sizeof pipe_end, "%d", to);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed check ends this program, and it */
        execl("/proc/self/exe", "test_store_files", "write", dir, pipe_end, (char *)NULL);
        _exit(1);
    }
    return child;
}

static void test_beside_a_writer(void **state)
{
    (void)state;
    char dir[256];
    int pipes[2], how;
    scratch_make(dir);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = start_writer(dir, pipes[1]);
    close(pipes[1]);
    uint64_t told, first;
    assert_int_equal(read(pipes[0], &told, sizeof told), sizeof told);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    first = told;
    struct oz_store *old = open_view(dir);
    uint64_t old_epoch = epoch_of(old);
    for (int i = 0; i < VIEWS; i++) {
        told = newest_told(pipes[0], told);
        struct oz_store *store = open_view(dir);
        uint64_t epoch = epoch_of(store);
        assert_true(epoch >= told);
        check_view(store, epoch);
        oz_store_close(store);
    }
    assert_int_equal(epoch_of(old), old_epoch); /* its files are gone by name since long */
    check_view(old, old_epoch);
    oz_store_close(old);
    assert_int_equal(waitpid(child, &how, WNOHANG), 0); /* undisturbed */
    uint64_t before = newest_told(pipes[0], told);
    usleep(100000);
    assert_true(newest_told(pipes[0], before) > before && before > first + GROUPS);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    told = newest_told(pipes[0], before);
    close(pipes[0]);
    struct oz_store *store = open_view(dir); /* nobody holds it: its log is read all the same */
    assert_true(epoch_of(store) >= told);
    check_view(store, epoch_of(store));
    oz_store_close(store);
    scratch_remove(dir);
}

/* Names, sizes, times and contents of all files. */
static void fingerprint(const char *dir, char ret[65])
{
    char command[512];
    char text[1 << 14];
    snprintf(command, sizeof command,
             "cd %s && find . -printf '%%p %%s %%i %%T@ %%C@\\n' | sort && cat rows/* | cksum",
             dir);
    FILE *out = popen(command, "r"); /* NOLINT */
    assert_non_null(out);
    size_t n = fread(text, 1, sizeof text, out);
    assert_int_equal(pclose(out), 0);
    assert_true(n > 100 && n < sizeof text);
    oz_sha256_hex(text, n, ret);
}

static void test_leaves_no_trace(void **state)
{
    (void)state;
    char dir[256], before[65], after[65];
    struct oz_store *store;
    struct oz_positions pos;
    struct oz_error err = {0};
    scratch_make(dir);
    assert_int_equal(oz_store_open(dir, MEMORY, false, &store, NULL), OZ_OK);
    assert_int_equal(oz_positions_init(&pos, 1, 1, 1, NULL), OZ_OK);
    for (uint64_t b = 1; b <= 130; b++) write_one(store, &pos, b);
    oz_store_close(store);
    fingerprint(dir, before);
    store = open_view(dir);
    check_view(store, epoch_of(store));
    uint64_t n = oz_store_estimate_records(store);
    assert_true(n > 130 * GROUP_KEYS / 2 && n < 130 * GROUP_KEYS * 2);
    const struct oz_sealed *none = NULL;
    assert_int_equal(oz_store_write(store, &none, 0, &pos, &err), OZ_IO); /* refused */
    oz_store_close(store);
    fingerprint(dir, after);
    assert_string_equal(before, after);
    assert_true(oz_store_disk_bytes(dir) > 130 * GROUP_KEYS * VALUE_BYTES / 2);
    oz_positions_clear(&pos);
    scratch_remove(dir);
}

static void refused(const char *dir, enum oz_status want, const char *word)
{
    struct oz_store *store;
    struct oz_error err = {0};
    assert_int_equal(oz_store_open_read_only(dir, MEMORY, &store, &err), want);
    if (!strstr(err.message, word)) fail_msg("no word of '%s' in: %s", word, err.message);
}

static void test_no_folder_of_ours(void **state)
{
    (void)state;
    char dir[256], path[300];
    struct stat st;
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/not-there", dir);
    refused(path, OZ_ENVIRONMENT, "No such file");
    assert_int_equal(stat(path, &st), -1); /* and it is not made */
    refused(dir, OZ_STATE, "is empty");
    snprintf(path, sizeof path, "%s/ouzel.lock", dir);
    fclose(fopen(path, "w"));
    refused(dir, OZ_STATE, "holds no rows");
    unlink(path);
    snprintf(path, sizeof path, "%s/letters.txt", dir);
    fclose(fopen(path, "w"));
    refused(dir, OZ_STATE, "letters.txt");
    scratch_remove(dir);
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "write")) child_writes(argv[2], atoi(argv[3]));
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_beside_a_writer),
                                       cmocka_unit_test(test_leaves_no_trace),
                                       cmocka_unit_test(test_no_folder_of_ours)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
