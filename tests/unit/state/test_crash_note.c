/* What a crash leaves behind, with children that crash (a real fault on a helper thread among
 * them), are killed, or are sent a fault's signal from outside: which records become suspects, when
 * one is condemned, and that damaged bytes are begun anew. */
#include "state/crash_note.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/workers.h"

enum { PARTITIONS = 3, SOURCES = 2 };
enum end { FAULT, RAISE, ABORT, KILL, FROM_OUTSIDE, CLOSE };

static char dir[64], path[96];
static struct oz_positions next;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/ouzel-crash-note-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/ouzel.crash", dir);
    if (oz_positions_init(&next, PARTITIONS, SOURCES, 0, NULL)) return -1;
    for (int i = 0; i < PARTITIONS * SOURCES; i++) next.source[i] = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    oz_positions_clear(&next);
    unlink(path);
    return rmdir(dir);
}

static void fault_on_helper(void *ctx, unsigned worker)
{
    if (worker == 1) *(volatile char *)ctx = 1;
}

static void end(enum end how, struct oz_crash_note *note)
{
    struct oz_workers *workers;
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    switch (how) {
    case FAULT:
        if (!oz_workers_new(2, &workers, NULL)) oz_workers_run(workers, fault_on_helper, page);
        break;
    case RAISE: raise(SIGFPE); break;
    case ABORT: abort();
    case KILL: raise(SIGKILL); break;
    case FROM_OUTSIDE: pause(); break;
    case CLOSE: oz_crash_note_close(note); _exit(0);
    }
    _exit(99);
}

/* A process that has [first, end) of partition 2 of source 1 in hand when it ends. */
static int child(enum end how, bool alone, int64_t first, int64_t last)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct oz_crash_note *note;
        for (int signo = SIGABRT; signo <= SIGSEGV; signo++) signal(signo, SIG_DFL);
        if (oz_crash_note_open(dir, &next, &note, NULL)) _exit(98);
        oz_crash_note_begin(note, false);
        oz_crash_note_add(note, 0, 0, 5); /* an earlier batch: done */
        oz_crash_note_begin(note, alone);
        for (int64_t at = first; at < last; at++) oz_crash_note_add(note, 2, 1, at);
        end(how, note);
    }
    if (how == FROM_OUTSIDE) {
        usleep(200000);
        kill(pid, SIGSEGV);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 1000 + WEXITSTATUS(status);
}

static struct oz_crash_note *reopen(struct oz_crash_summary *ret_summary)
{
    struct oz_crash_note *note;
    struct oz_error err;
    assert_int_equal(oz_crash_note_open(dir, &next, &note, &err), OZ_OK);
    oz_crash_note_get(note, ret_summary);
    return note;
}

static void test_three_then_one_alone(void **state)
{
    (void)state;
    struct oz_crash_summary s;
    assert_int_equal(child(FAULT, false, 100, 200), SIGSEGV);
    assert_int_equal(child(RAISE, false, 150, 250), SIGFPE);
    assert_int_equal(child(KILL, false, 150, 250), SIGKILL);
    assert_int_equal(child(FROM_OUTSIDE, false, 150, 250), SIGSEGV);
    assert_int_equal(child(ABORT, false, 120, 160), SIGABRT);
    struct oz_crash_note *note = reopen(&s);
    assert_int_equal(s.n_crashes, 3);
    assert_int_equal(s.signo, SIGABRT);
    assert_int_equal(s.n_suspects, 10);
    assert_true(oz_crash_note_suspects(note, 2, 1, 150) && oz_crash_note_suspects(note, 2, 1, 159));
    assert_false(oz_crash_note_suspects(note, 2, 1, 149) ||
                 oz_crash_note_suspects(note, 2, 1, 160));
    assert_false(oz_crash_note_suspects(note, 2, 0, 150) || oz_crash_note_suspects(note, 0, 0, 5));
    assert_true(oz_crash_note_is_ahead(note, &next));
    oz_crash_note_close(note);

    assert_int_equal(child(KILL, true, 154, 155), SIGKILL);
    assert_int_equal(child(FAULT, true, 155, 156), SIGSEGV);
    note = reopen(&s);
    assert_true(s.is_new && s.partition == 2 && s.source == 1 && s.offset == 155);
    assert_non_null(strstr(oz_crash_note_condemned(note, 2, 1, 155), "SIGSEGV"));
    assert_null(oz_crash_note_condemned(note, 2, 1, 154));
    assert_null(oz_crash_note_condemned(note, 2, 0, 155));
    assert_false(oz_crash_note_suspects(note, 2, 1, 156));
    oz_crash_note_close(note);

    /* It stays condemned until its offset is committed. */
    note = reopen(&s);
    assert_false(s.is_new || s.signo);
    assert_non_null(oz_crash_note_condemned(note, 2, 1, 155));
    next.source[2 * SOURCES + 1] = 156;
    assert_false(oz_crash_note_is_ahead(note, &next));
    oz_crash_note_close(note);
    note = reopen(&s);
    assert_null(oz_crash_note_condemned(note, 2, 1, 155));
    oz_crash_note_close(note);
}

static void test_other_batches_begin_anew(void **state)
{
    (void)state;
    struct oz_crash_summary s;
    assert_int_equal(child(ABORT, false, 10, 20), SIGABRT);
    assert_int_equal(child(ABORT, false, 10, 20), SIGABRT);
    assert_int_equal(child(ABORT, false, 20, 30), SIGABRT);
    struct oz_crash_note *note = reopen(&s);
    assert_int_equal(s.n_crashes, 1);
    assert_false(oz_crash_note_suspects(note, 2, 1, 20));
    oz_crash_note_close(note);
    next.source[2 * SOURCES + 1] = 25; /* some of it is committed since */
    assert_int_equal(child(CLOSE, false, 25, 30), 1000);
    assert_int_equal(child(ABORT, false, 25, 40), SIGABRT);
    assert_int_equal(child(ABORT, false, 25, 40), SIGABRT);
    note = reopen(&s);
    assert_int_equal(s.n_crashes, 3);
    assert_int_equal(s.n_suspects, 5);
    oz_crash_note_close(note);
    next.source[2 * SOURCES + 1] = 30; /* all of it */
    note = reopen(&s);
    assert_int_equal(s.n_crashes, 0);
    oz_crash_note_close(note);
}

static void test_nothing_in_hand(void **state)
{
    (void)state;
    struct oz_crash_summary s;
    for (int i = 0; i < 4; i++) assert_int_equal(child(ABORT, false, 7, 7), SIGABRT);
    struct oz_crash_note *note = reopen(&s);
    assert_int_equal(s.signo, SIGABRT);
    assert_int_equal(s.n_crashes, 0);
    oz_crash_note_close(note);
}

static void test_damaged_files(void **state)
{
    (void)state;
    struct oz_crash_summary s;
    for (int i = 0; i < 3; i++) assert_int_equal(child(ABORT, false, 1, 3), SIGABRT);
    struct oz_crash_note *note = reopen(&s);
    assert_int_equal(s.n_crashes, 3);
    oz_crash_note_close(note);
    uint8_t whole[8192], bytes[8192];
    int fd = open(path, O_RDWR);
    ssize_t size = read(fd, whole, sizeof whole);
    assert_true(size > 100 && (size_t)size < sizeof whole);
    srand(1);
    for (int round = 0; round < 300; round++) {
        memcpy(bytes, whole, sizeof bytes);
        for (int i = 0; i <= round % 4; i++) bytes[rand() % size] ^= (uint8_t)(1 + rand() % 255);
        if (round % 5 == 0) memset(bytes, rand(), (size_t)size);
        assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
        assert_int_equal(ftruncate(fd, round % 7 ? size : size / 2), 0);
        note = reopen(&s);
        (void)oz_crash_note_is_ahead(note, &next);
        assert_true(s.n_crashes <= 4);
        oz_crash_note_close(note);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_three_then_one_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_batches_begin_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_in_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
