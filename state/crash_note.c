#include "state/crash_note.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/hash.h"
#include "base/memory.h"

#define NAME  "ouzel.crash"
#define MAGIC "OZCRASH"
enum { VERSION = 1, PATH_BYTES = 4096, LANES_MAX = 1 << 20, REASON_BYTES = 160 };

struct range {
    int64_t first, end; /* end 0: empty */
};
struct condemned {
    uint32_t lane;
    int32_t signo;
    int64_t offset;
};
struct header {
    char magic[8];
    uint32_t version, n_partitions, n_sources;
    volatile int32_t signo; /* the handler's mark */
    uint32_t is_alone;
    /* from here on: what is known of crashes before, with a checksum over it and the suspects */
    uint32_t crc, n_crashes, n_condemned;
    struct condemned condemned[OZ_CONDEMNED_MAX];
};

struct oz_crash_note {
    struct header *header;
    struct range *in_hand, *suspect; /* [n_lanes] */
    size_t n_lanes, bytes;
    uint32_t *touched; /* lanes that have something in hand */
    size_t n_touched;
    struct oz_crash_summary summary;
    char reason[OZ_CONDEMNED_MAX][REASON_BYTES];
};

/* ---- the handler */

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
static struct sigaction before[OZ_COUNT_OF(signals)];
static struct header *volatile marked;

/* Only stores and system calls that are safe here. The mapping is the file's: what is stored in it
 * outlives the process. The action of before then does what it would have done. */
static void on_crash(int signo, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    bool is_sent = info->si_code <= 0;
    if (marked && !marked->signo && (!is_sent || info->si_pid == getpid())) marked->signo = signo;
    for (size_t i = 0; i < OZ_COUNT_OF(signals); i++)
        if (signals[i] == signo) sigaction(signo, &before[i], NULL);
    if (is_sent) raise(signo); /* a fault comes again by itself */
    errno = saved;
}

static void set_handlers(struct header *header)
{
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    marked = header;
    for (size_t i = 0; i < OZ_COUNT_OF(signals); i++) sigaction(signals[i], &action, &before[i]);
}

static void unset_handlers(void)
{
    for (size_t i = 0; i < OZ_COUNT_OF(signals); i++) sigaction(signals[i], &before[i], NULL);
    marked = NULL;
}

/* ---- what is known */

static bool is_empty(struct range r) { return r.first >= r.end; }

static uint32_t checksum(const struct oz_crash_note *note)
{
    const struct header *h = note->header;
    size_t from = offsetof(struct header, n_crashes);
    uint32_t a = oz_crc32c((const char *)h + from, sizeof *h - from);
    return a ^ ~oz_crc32c(note->suspect, note->n_lanes * sizeof *note->suspect);
}

static bool is_whole(const struct oz_crash_note *note, uint32_t n_partitions, uint32_t n_sources)
{
    const struct header *h = note->header;
    return !memcmp(h->magic, MAGIC, sizeof h->magic) && h->version == VERSION &&
           h->n_partitions == n_partitions && h->n_sources == n_sources &&
           h->crc == checksum(note) && h->n_condemned <= OZ_CONDEMNED_MAX;
}

/* What was in hand holds exactly one record: its lane, else -1. */
static int64_t only_lane(const struct oz_crash_note *note)
{
    int64_t lane = -1;
    for (size_t i = 0; i < note->n_lanes; i++) {
        if (is_empty(note->in_hand[i])) continue;
        if (lane >= 0 || note->in_hand[i].first != note->in_hand[i].end - 1) return -1;
        lane = (int64_t)i;
    }
    return lane;
}

static bool condemn(struct oz_crash_note *note, uint32_t lane)
{
    struct header *h = note->header;
    if (h->n_condemned == OZ_CONDEMNED_MAX) return false;
    struct condemned *c = &h->condemned[h->n_condemned++];
    *c = (struct condemned){lane, h->signo, note->in_hand[lane].first};
    h->n_crashes = 0;
    memset(note->suspect, 0, note->n_lanes * sizeof *note->suspect);
    note->summary.is_new = true;
    note->summary.partition = lane / h->n_sources;
    note->summary.source = lane % h->n_sources;
    note->summary.offset = c->offset;
    return true;
}

/* The suspects are what was in hand at each of the crashes. */
static void count_crash(struct oz_crash_note *note)
{
    struct header *h = note->header;
    bool common = false, any = false;
    for (size_t i = 0; i < note->n_lanes; i++) {
        struct range a = note->suspect[i], b = note->in_hand[i];
        any |= !is_empty(b);
        common |= OZ_MAX(a.first, b.first) < OZ_MIN(a.end, b.end);
    }
    if (!any) return;
    bool again = h->n_crashes && common;
    for (size_t i = 0; i < note->n_lanes; i++) {
        struct range a = note->suspect[i], b = note->in_hand[i];
        if (again) b = (struct range){OZ_MAX(a.first, b.first), OZ_MIN(a.end, b.end)};
        note->suspect[i] = is_empty(b) ? (struct range){0, 0} : b;
    }
    h->n_crashes = again ? h->n_crashes + 1 : 1;
}

/* What is committed can do no harm any more. */
static void forget_below(struct oz_crash_note *note, const struct oz_positions *next)
{
    struct header *h = note->header;
    uint32_t kept = 0;
    bool any = false;
    for (size_t i = 0; i < note->n_lanes; i++) {
        struct range *r = &note->suspect[i];
        r->first = OZ_MAX(r->first, next->source[i]);
        if (is_empty(*r)) *r = (struct range){0, 0};
        any |= !is_empty(*r);
    }
    if (!any) h->n_crashes = 0;
    for (uint32_t i = 0; i < h->n_condemned; i++)
        if (h->condemned[i].lane < note->n_lanes &&
            h->condemned[i].offset >= next->source[h->condemned[i].lane])
            h->condemned[kept++] = h->condemned[i];
    h->n_condemned = kept;
}

static const char *name_of(int signo)
{
    return signo == SIGSEGV   ? "SIGSEGV"
           : signo == SIGBUS  ? "SIGBUS"
           : signo == SIGFPE  ? "SIGFPE"
           : signo == SIGABRT ? "SIGABRT"
                              : "a signal";
}

static void take_up(struct oz_crash_note *note, const struct oz_positions *next)
{
    struct header *h = note->header;
    note->summary.signo = h->signo;
    if (h->signo) {
        int64_t lane = h->is_alone ? only_lane(note) : -1;
        if (lane < 0 || !condemn(note, (uint32_t)lane)) count_crash(note);
    }
    forget_below(note, next);
    for (uint32_t i = 0; i < h->n_condemned; i++)
        snprintf(note->reason[i], REASON_BYTES,
                 "the process crashed at it (%s), %d times with others in hand and once with it "
                 "alone",
                 name_of(h->condemned[i].signo), OZ_CRASHES_MAX);
    note->summary.n_crashes = h->n_crashes;
    for (size_t i = 0; i < note->n_lanes; i++)
        note->summary.n_suspects +=
            (uint64_t)note->suspect[i].end - (uint64_t)note->suspect[i].first;
}

/* ---- the file */

static enum oz_status map_file(struct oz_crash_note *note, const char *dir, struct oz_error *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/" NAME, dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) OZ_FAIL(err, OZ_IO, "cannot open %s: %s", path, strerror(errno));
    /* All of it is given a place on the disk: a store into a hole of a full one would be fatal. */
    struct stat stat;
    int failed = fstat(fd, &stat) ? errno : 0;
    if (!failed && (size_t)stat.st_size != note->bytes && ftruncate(fd, 0)) failed = errno;
    if (!failed) failed = posix_fallocate(fd, 0, (off_t)note->bytes);
    void *map =
        failed ? MAP_FAILED : mmap(NULL, note->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED && !failed) failed = errno;
    close(fd);
    if (failed) OZ_FAIL(err, OZ_IO, "cannot make %s: %s", path, strerror(failed));
    note->header = map;
    note->in_hand = (struct range *)(note->header + 1);
    note->suspect = note->in_hand + note->n_lanes;
    return OZ_OK;
}

static enum oz_status open_note(struct oz_crash_note *note, const char *dir,
                                const struct oz_positions *next, struct oz_error *err)
{
    note->n_lanes = (size_t)next->n_partitions * next->n_sources;
    OZ_ASSERT(note->n_lanes > 0 && note->n_lanes <= LANES_MAX && !marked);
    note->bytes = sizeof *note->header + 2 * note->n_lanes * sizeof *note->in_hand;
    note->touched = oz_calloc(note->n_lanes, sizeof *note->touched);
    if (!note->touched) return oz_no_memory(err);
    OZ_TRY(map_file(note, dir, err));
    struct header *h = note->header;
    if (is_whole(note, next->n_partitions, next->n_sources))
        take_up(note, next);
    else
        memset(note->header, 0, note->bytes);
    memcpy(h->magic, MAGIC, sizeof h->magic);
    h->version = VERSION;
    h->n_partitions = next->n_partitions;
    h->n_sources = next->n_sources;
    memset(note->in_hand, 0, note->n_lanes * sizeof *note->in_hand);
    h->signo = 0;
    h->crc = checksum(note);
    set_handlers(h);
    return OZ_OK;
}

enum oz_status oz_crash_note_open(const char *dir, const struct oz_positions *next,
                                  struct oz_crash_note **ret_note, struct oz_error *err)
{
    struct oz_crash_note *note = oz_calloc(1, sizeof *note);
    if (!note) return oz_no_memory(err);
    enum oz_status status = open_note(note, dir, next, err);
    if (status == OZ_OK)
        *ret_note = note;
    else
        oz_crash_note_close(note);
    return status;
}

void oz_crash_note_close(struct oz_crash_note *note)
{
    if (!note) return;
    if (note->header && marked == note->header) {
        unset_handlers();
        oz_crash_note_begin(note, false);
    }
    if (note->header) munmap(note->header, note->bytes);
    oz_free(note->touched);
    oz_free(note);
}

/* ---- in hand */

void oz_crash_note_begin(struct oz_crash_note *note, bool alone)
{
    while (note->n_touched) note->in_hand[note->touched[--note->n_touched]] = (struct range){0, 0};
    note->header->is_alone = alone;
}

void oz_crash_note_add(struct oz_crash_note *note, uint32_t partition, uint32_t source,
                       int64_t offset)
{
    uint32_t lane = partition * note->header->n_sources + source;
    struct range *r = &note->in_hand[lane];
    if (is_empty(*r)) {
        note->touched[note->n_touched++] = lane;
        r->first = offset;
    }
    r->end = offset + 1;
}

/* ---- queries */

bool oz_crash_note_is_ahead(const struct oz_crash_note *note, const struct oz_positions *next)
{
    const struct header *h = note->header;
    for (uint32_t i = 0; i < h->n_condemned; i++)
        if (h->condemned[i].offset >= next->source[h->condemned[i].lane]) return true;
    for (size_t i = 0; h->n_crashes >= OZ_CRASHES_MAX && i < note->n_lanes; i++)
        if (!is_empty(note->suspect[i]) && note->suspect[i].end > next->source[i]) return true;
    return false;
}

bool oz_crash_note_suspects(const struct oz_crash_note *note, uint32_t partition, uint32_t source,
                            int64_t offset)
{
    const struct header *h = note->header;
    struct range r = note->suspect[partition * h->n_sources + source];
    return h->n_crashes >= OZ_CRASHES_MAX && offset >= r.first && offset < r.end;
}

const char *oz_crash_note_condemned(const struct oz_crash_note *note, uint32_t partition,
                                    uint32_t source, int64_t offset)
{
    const struct header *h = note->header;
    for (uint32_t i = 0; i < h->n_condemned; i++)
        if (h->condemned[i].lane == partition * h->n_sources + source &&
            h->condemned[i].offset == offset)
            return note->reason[i];
    return NULL;
}

void oz_crash_note_get(const struct oz_crash_note *note, struct oz_crash_summary *ret_summary)
{
    *ret_summary = note->summary;
}
