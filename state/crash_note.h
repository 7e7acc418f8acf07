/* What was in hand when the process crashed: a small file in the state folder, mapped into memory,
 * in which the offset ranges of the batch under way stand, and where a signal handler puts its
 * mark. So that a record at which the process crashes at every start cannot hold the stream up for
 * ever.
 *
 * Counted are SIGSEGV, SIGBUS, SIGFPE and SIGABRT of the process itself. A kill from outside leaves
 * no mark: neither SIGKILL, which has no handler, nor one of the four sent by another process.
 *
 *   crash 1, 2, 3   what was in hand each time; the records in all three are the *suspects*
 *   next start      every suspect is a batch of its own, in an epoch of its own
 *   crash 4         with one record in hand, alone: it is *condemned*
 *   next start      it goes to the dead letters unseen (stage `crash`), the others as ever
 *
 * A crash with none of the suspects in hand begins the count anew.
 *
 * Layout: struct header | in_hand[n_lanes] | suspect[n_lanes]; a lane is a partition of a source, a
 * range [first, end). All in the machine's own byte order: the file is of this machine and this
 * process only. One that is damaged or of another shape is begun anew.
 * Threads: one; the handler runs on any. One note at a time in a process.
 * Errors: OZ_IO when the file cannot be made; its bytes are never trusted, and never an error. */
#ifndef OZ_STATE_CRASH_NOTE_H
#define OZ_STATE_CRASH_NOTE_H
#include "state/store.h"

enum { OZ_CRASHES_MAX = 3, OZ_CONDEMNED_MAX = 64 };

struct oz_crash_note;
/* Takes up what the last process left, forgets what lies below `next`, and sets the handlers. */
enum oz_status oz_crash_note_open(const char *dir, const struct oz_positions *next,
                                  struct oz_crash_note **ret_note,
                                  struct oz_error *err) OZ_MUST_USE;
/* Nothing is in hand any more; the handlers before come back. NULL is fine. */
void oz_crash_note_close(struct oz_crash_note *note);

/* What comes into hand now; what was there before is done. */
void oz_crash_note_begin(struct oz_crash_note *note, bool alone);
void oz_crash_note_add(struct oz_crash_note *note, uint32_t partition, uint32_t source,
                       int64_t offset);

/* Whether anything at or behind these positions is a suspect or condemned. */
bool oz_crash_note_is_ahead(const struct oz_crash_note *note, const struct oz_positions *next);
bool oz_crash_note_suspects(const struct oz_crash_note *note, uint32_t partition, uint32_t source,
                            int64_t offset);
/* NULL, or one sentence that lives as long as the note. */
const char *oz_crash_note_condemned(const struct oz_crash_note *note, uint32_t partition,
                                    uint32_t source, int64_t offset);

struct oz_crash_summary {
    int signo;          /* of the crash that ended the process before; 0: it did not crash */
    uint32_t n_crashes; /* with the suspects in hand; from OZ_CRASHES_MAX on they run alone */
    uint64_t n_suspects;
    bool is_new; /* the last crash condemned a record, the one below */
    uint32_t partition, source;
    int64_t offset;
};
void oz_crash_note_get(const struct oz_crash_note *note, struct oz_crash_summary *ret_summary);
#endif
