"""The epoch protocol of state/PROTOCOL.md as a state machine, small enough to read in one sitting.

A state is one `World`: what the broker has, and what each member has in memory and on disk. An action is a
generator at the end of this file that yields (label, next state) for each way in which it can happen; the
labels carry the numbers of the protocol's steps. README.md says what is left out and why that is no harm.

The work: input i of a partition is folded into the partition's row, and its answer is the row behind it. A row
is the tuple of the inputs that went in, so a correct row is (0, 1, .. k-1): one that is missing, doubled or
out of order shows. A changelog record is the whole row, as in the code.

Each wrong variant is one `wrong == "..."` below, at the line where it departs."""
from typing import NamedTuple, Optional

UNDECIDED, COMMITTED, ABORTED = range(3)  # a changelog record is (row, verdict, id of its transaction)


class Setup(NamedTuple):
    partitions: int = 1
    members: int = 1
    inputs: int = 2         # of each partition
    faults: int = 1         # how many of the events marked `fault` may happen
    kinds: str = "crash"    # which: crash power lose stall abort rebalance
    ids: str = "own"        # transactional ids: own (one a member), shared (one for all), fresh (one a start)
    sticky: bool = False    # a rebalance leaves partitions that stay where they are alone
    asked: str = "before the offsets"  # when the changelog's end is asked for step 5's offsets record
    wrong: str = ""         # the wrong variant; none is the protocol


class Tx(NamedTuple):       # a transaction, as its coordinator knows it
    id: int
    owner: int              # member whose producer began it
    accepted: bool          # the commit was accepted: nothing undoes it any more
    answers: tuple          # (partition, input, answer)
    offsets: tuple          # [p] source offset sent, or None
    marks: tuple            # accepted: partitions, and "group", to which the commit marker was not written yet


class Part(NamedTuple):     # a partition that a member holds
    stage: str              # start: fetch -> ask -> replay -> run; or refused
    start: int = 0          # the committed offset that was fetched
    end: int = 0            # the changelog's end that was asked
    row: tuple = ()         # in the cache
    pos: int = 0            # the next input, our own count
    base: int = 0           # the last offset known to be committed
    box: tuple = ()         # answers that wait for the next begin
    sealed: Optional[tuple] = None  # frozen: (row, pos, changelog's end or None)
    due: Optional[tuple] = None     # committed, not in the store: (row, pos, changelog's end)


class Stored(NamedTuple):   # a partition in RocksDB: its row and its offsets record
    row: tuple = ()
    pos: int = 0
    log_pos: int = 0


class Member(NamedTuple):
    up: str                 # down, up, fenced
    gen: int                # the generation that it knows
    step: int               # 0 no transaction, 1 open, 2 sealed, 3 offsets sent, 4 commit sent
    tx: Optional[int]
    queue: tuple            # changelog records produced, on their way to the broker: (partition, row)
    parts: tuple            # [p] Part or None
    disk: tuple             # [p] Stored
    older: tuple            # the same, one write ago: what a loss of power may bring back


class World(NamedTuple):
    logs: tuple             # [p] the changelog
    answers: tuple          # [p] (input, answer) that a read-committed reader gets, or will get
    truth: tuple            # [p] the source offset of the newest accepted commit (nobody in here reads it)
    offsets: tuple          # [p] the group's committed offset, as soon as its marker is written
    txs: tuple
    gen: int
    holder: tuple           # [p] member, by the newest assignment
    members: tuple
    faults: int             # left


def fold(n):
    return tuple(range(n))


def first(setup):
    n = range(setup.partitions)
    disk = tuple(Stored() for _ in n)
    idle = Member("up", 1, 0, None, (), tuple(None for _ in n), disk, disk)
    busy = idle._replace(parts=tuple(Part("run") for _ in n))
    return World(tuple(() for _ in n), tuple(() for _ in n), tuple(0 for _ in n), tuple(0 for _ in n), (), 1,
                 tuple(0 for _ in n), (busy,) + (idle,) * (setup.members - 1), setup.faults)


def done(setup, w):
    return all(offset == setup.inputs for offset in w.offsets)


# ---- small helpers: put one thing into a tuple, find a transaction

def put(items, at, item):
    return items[:at] + (item,) + items[at + 1:]


def with_member(w, m, **changes):
    return w._replace(members=put(w.members, m, w.members[m]._replace(**changes)))


def find(w, tx_id):
    return next((tx for tx in w.txs if tx.id == tx_id), None)


def put_tx(w, tx):
    """Replaces it, or forgets it when it is over and its owner has taken note."""
    rest = [t for t in w.txs if t.id != tx.id]
    if not tx.accepted or tx.marks or any(me.tx == tx.id for me in w.members):
        rest = sorted(rest + [tx])
    return w._replace(txs=tuple(rest))


def judge(log, tx_id, verdict):
    return tuple((row, verdict, 0) if (v, t) == (UNDECIDED, tx_id) else (row, v, t) for row, v, t in log)


def broker_aborts(w, tx):
    """Its records will be skipped, its offsets are forgotten, and a producer that still uses it is fenced."""
    w = w._replace(logs=tuple(judge(log, tx.id, ABORTED) for log in w.logs),
                   txs=tuple(t for t in w.txs if t.id != tx.id))
    for m, me in enumerate(w.members):
        if me.tx == tx.id:
            w = with_member(w, m, up="fenced", tx=None)
    return w


def write_due(setup, me):
    """The one write batch of step 5: everything that is due, rows and offsets together."""
    if not any(part and part.due for part in me.parts):
        return me
    disk = tuple(Stored(*part.due) if part and part.due else stored for part, stored in zip(me.parts, me.disk))
    parts = tuple(part and part._replace(due=None) for part in me.parts)
    return me._replace(disk=disk, older=me.disk if "power" in setup.kinds else me.older, parts=parts)


def rewind(setup, me):
    """An abort: cached rows are dropped and read from the store again, reading begins at the last commit."""
    if setup.wrong != "abort drops what is due":
        me = write_due(setup, me)
    parts = tuple(Part("run", row=stored.row, pos=part.base, base=part.base, due=part.due)
                  if part and part.stage == "run" else part for part, stored in zip(me.parts, me.disk))
    return me._replace(step=0, tx=None, queue=(), parts=parts)


def assigned(w, m, parts=None):
    """What a member holds by the newest assignment; each partition that is new to it has to be started."""
    return tuple(((parts and parts[p]) or Part("fetch")) if holder == m else None
                 for p, holder in enumerate(w.holder))


# ---- the five steps

def process(setup, w, m, me):
    """Step 1. Answers go into the open transaction, or wait while one is under commit."""
    for p, part in enumerate(me.parts):
        if not part or part.stage != "run" or part.pos == setup.inputs:
            continue
        answer = (p, part.pos, part.row + (part.pos,))
        v = part._replace(row=answer[2], pos=part.pos + 1)
        to = w
        if setup.wrong == "rows reach the disk before the commit":
            to = with_member(to, m, disk=put(me.disk, p, me.disk[p]._replace(row=v.row)))
        if setup.wrong == "answers outside of the transaction":
            to = to._replace(answers=put(to.answers, p, tuple(sorted(to.answers[p] + (answer[1:],)))))
        elif me.step <= 1 or (setup.wrong == "answers after the offsets" and me.step == 3):
            to = add_answers(to, m, (answer,))
        else:
            v = v._replace(box=v.box + (answer,))
        yield f"1 process input {answer[1]} of p{p}", with_member(
            to, m, parts=put(me.parts, p, v), step=max(me.step, 1))


def add_answers(w, m, answers):
    """Produces into the member's transaction, and begins it when there is none."""
    tx = find(w, w.members[m].tx)
    if tx is None:
        used = {t.id for t in w.txs}
        tx = Tx(min(i for i in range(9) if i not in used), m, False, (), (None,) * len(w.logs), ())
        w = with_member(w, m, tx=tx.id)
    return put_tx(w, tx._replace(answers=tx.answers + answers))


def seal(setup, w, m, me):
    """Step 2. The changed rows are frozen, and those very bytes are produced to the changelog."""
    changed = [p for p, part in enumerate(me.parts) if part and part.stage == "run" and part.pos > part.base]
    if me.step > 1 or not changed:
        return
    parts, queue = list(me.parts), ()
    for p in changed:
        part = parts[p]
        end = len(w.logs[p]) if setup.asked == "at the seal" else None
        w = add_answers(w, m, part.box)
        queue += ((p, part.row),)
        parts[p] = part._replace(box=(), sealed=(part.row, part.pos, end))
    yield "2 seal", with_member(w, m, step=2, queue=queue, parts=tuple(parts))


def earlier_pending(w, me):
    """The coordinator lets nothing into a transaction while the producer's last one still writes its markers."""
    tx = find(w, me.tx)
    return any(other.accepted and other.marks and other.owner == tx.owner for other in w.txs)


def deliver(setup, w, m, me):
    """The client sends when it likes: also after the offsets, but never after the commit, which flushes first."""
    if not me.queue or earlier_pending(w, me):
        return
    logs = w.logs
    for p, row in me.queue:
        if setup.wrong == "the changelog gets the row as it is now":
            row = me.parts[p].row
        logs = put(logs, p, logs[p] + ((row, UNDECIDED, me.tx),))
    yield "2 the changelog records arrive", with_member(w._replace(logs=logs), m, queue=())
    if setup.wrong == "a failed delivery is overlooked":
        yield "2 the changelog records are lost", with_member(w, m, queue=())


def send_offsets(setup, w, m, me):
    """Step 3. The group's coordinator looks at the generation, here and nowhere else."""
    if me.step != 2 or earlier_pending(w, me):
        return
    if me.gen != w.gen and setup.wrong != "offsets without a generation":
        yield "3 offsets are refused, another generation", learn(setup, w, m, me)
        return
    tx = find(w, me.tx)
    offsets = tuple(None if not part or not part.sealed else
                    part.pos if setup.wrong == "offsets as of step 3, not of the seal" else part.sealed[1]
                    for part in me.parts)
    parts = with_ends(w, me) if setup.asked == "before the offsets" else me.parts
    yield "3 offsets", with_member(put_tx(w, tx._replace(offsets=offsets)), m, step=3, parts=parts)


def with_ends(w, me):
    return tuple(part._replace(sealed=part.sealed[:2] + (len(w.logs[p]),)) if part and part.sealed else part
                 for p, part in enumerate(me.parts))


def commit(setup, w, m, me):
    """Step 4. Everything produced has arrived; the coordinator accepts the commit, and from here it is one, whoever
    dies. A request that is lost is no event in here: it is sent again."""
    tx = find(w, me.tx)
    if me.step == 3 and not me.queue:
        marks = tuple(p for p, log in enumerate(w.logs) if any(r[1:] == (UNDECIDED, tx.id) for r in log))
        answers = tuple(tuple(sorted(seen + tuple(a[1:] for a in tx.answers if a[0] == p)))
                        for p, seen in enumerate(w.answers))
        truth = tuple(old if new is None else new for old, new in zip(w.truth, tx.offsets))
        to = with_member(w._replace(answers=answers, truth=truth), m, step=4)
        yield "4 commit", put_tx(to, tx._replace(accepted=True, answers=(), marks=marks + ("group",)))


def answer(setup, w, m, me):
    """Step 4, the answer, much later perhaps. Until there is one the outcome is unknown."""
    lost = me.step in (3, 4) and not me.queue
    if lost and setup.wrong == "no answer is taken for a failure":
        yield "4 no answer, aborted", rewound(setup, w if me.step == 4 else broker_aborts(w, find(w, me.tx)), m, me)
    if me.step == 4 or (lost and setup.wrong == "no answer is taken for a success"):
        parts = with_ends(w, me) if setup.asked == "after the commit" else me.parts
        parts = tuple(part._replace(base=part.sealed[1], sealed=None, due=part.sealed) if part and part.sealed else part
                      for part in parts)
        busy = any(part and part.box for part in parts)
        tx = find(w, me.tx)
        to = with_member(w, m, tx=None, step=1 if busy else 0, parts=parts)
        yield "4 committed" if tx.accepted else "4 no answer, taken for committed", put_tx(to, tx) if tx.accepted else to


def rewound(setup, w, m, me):
    return w._replace(members=put(w.members, m, rewind(setup, me)._replace(up="up")))


def store(setup, w, m, me):
    """Step 5. One write batch, any time after the commit: the process may be epochs ahead by then."""
    if not any(part and part.due for part in me.parts):
        return
    if setup.wrong == "the store gets the row as it is now":
        me = me._replace(parts=tuple(part and part.due and part._replace(due=(part.row,) + part.due[1:]) or part
                                     for part in me.parts))
    if setup.asked == "at the write":
        me = me._replace(parts=tuple(part and part.due and part._replace(due=part.due[:2] + (len(w.logs[p]),)) or part
                                     for p, part in enumerate(me.parts)))
    if setup.wrong == "offsets are written before rows":
        for p, part in enumerate(me.parts):
            if part and part.due and me.disk[p][1:] != part.due[1:]:
                yield f"5 store the offsets of p{p}", with_member(
                    w, m, disk=put(me.disk, p, Stored(me.disk[p].row, *part.due[1:])))
                return
    yield "5 store", w._replace(members=put(w.members, m, write_due(setup, me)))


def evict(setup, w, m, me):
    """A row that the store has may leave memory and is read again: nothing changes, as the two are the same."""
    for p, part in enumerate(me.parts):
        clean = part and part.stage == "run" and part.pos == part.base
        if clean and (not part.due or setup.wrong == "a row leaves memory before it is stored"):
            yield f"1 evict the row of p{p}", with_member(
                w, m, parts=put(me.parts, p, part._replace(row=me.disk[p].row)))


# ---- start and assignment, each partition by itself

def fetch(setup, w, m, me):
    """Start 2. The committed offset, stable: not while a transaction that has one of the partition's is undecided."""
    end_first = setup.wrong == "the end is asked before the offsets"
    for p, part in enumerate(me.parts):
        if not part or part.stage != ("asked" if end_first else "fetch"):
            continue
        pending = any(tx.offsets[p] is not None and (not tx.accepted or "group" in tx.marks) for tx in w.txs)
        if pending and setup.wrong != "offsets are fetched without waiting":
            continue
        to = Part("replay" if end_first else "ask", start=w.offsets[p], end=part.end)
        if setup.wrong == "a store that is there is taken as it is" and me.disk[p].log_pos:
            to = Part("run", row=me.disk[p].row, pos=w.offsets[p], base=w.offsets[p])
        yield f"start 2: offset of p{p} is {w.offsets[p]}", with_member(w, m, parts=put(me.parts, p, to))


def ask(setup, w, m, me):
    """Start 4. The changelog's end, read uncommitted, after the offsets."""
    end_first = setup.wrong == "the end is asked before the offsets"
    for p, part in enumerate(me.parts):
        if not part or part.stage != ("fetch" if end_first else "ask"):
            continue
        end = len(w.logs[p])
        if setup.wrong == "the replay ends at the last stable offset":
            end = next((i for i, record in enumerate(w.logs[p]) if record[1] == UNDECIDED), end)
        to = part._replace(stage="asked" if end_first else "replay", end=end)
        yield f"start 4: end of p{p} is {end}", with_member(w, m, parts=put(me.parts, p, to))


def replay(setup, w, m, me):
    """Start 5 and 6. Committed records up to the end go into the store one by one, with the changelog's offset;
    the source offset comes last. An undecided record is waited for."""
    for p, part in enumerate(me.parts):
        if not part or part.stage != "replay":
            continue
        stored = me.disk[p]
        if stored.pos > part.start:
            yield f"start 5: p{p} is refused, the store is ahead of the group", with_member(
                w, m, parts=put(me.parts, p, Part("refused")))
        elif stored.log_pos < part.end:
            row, verdict, _ = w.logs[p][stored.log_pos]
            if verdict == UNDECIDED and setup.wrong != "the replay reads uncommitted records":
                continue
            row = stored.row if verdict == ABORTED else row
            yield f"start 6: replay record {stored.log_pos} of p{p}", with_member(
                w, m, disk=put(me.disk, p, Stored(row, stored.pos, stored.log_pos + 1)))
        else:
            yield f"start 7: p{p} runs from {part.start}", with_member(
                w, m, disk=put(me.disk, p, stored._replace(pos=part.start)),
                parts=put(me.parts, p, Part("run", row=stored.row, pos=part.start, base=part.start)))


def start(setup, w, m, me):
    """Start 1. Initialising the producer ends what its transactional id left open, and fences whoever has it."""
    if me.up == "up" or (me.up == "fenced" and setup.ids == "shared" and m not in w.holder):
        return  # two of one id that both came back at once would fence each other for ever
    mine = [tx for tx in w.txs if setup.ids == "shared" or (setup.ids == "own" and tx.owner == m)]
    if any(tx.accepted and tx.marks for tx in mine):
        return  # the broker answers when the markers are written
    for tx in mine:
        if not tx.accepted:
            w = broker_aborts(w, tx)
    for other, member in enumerate(w.members):
        if other != m and member.up == "up" and setup.ids == "shared":
            w = with_member(w, other, up="fenced", tx=None)
    yield "start 1", with_member(w, m, up="up", gen=w.gen, step=0, tx=None, queue=(), parts=assigned(w, m))


def learn(setup, w, m, me):
    """A member hears of a newer generation: it drops the epoch and gives up what it no longer holds."""
    if setup.wrong == "the epoch goes on over a rebalance" and me.step:
        return with_member(w, m, gen=w.gen)
    tx = find(w, me.tx)
    w = broker_aborts(w, tx) if tx else w
    me = rewind(setup, me)._replace(up="up", gen=w.gen)
    keeps = setup.sticky and (w.members[m].gen == w.gen - 1 or setup.wrong == "a missed generation is overlooked")
    return w._replace(members=put(w.members, m, me._replace(parts=assigned(w, m, keeps and me.parts))))


def revoke(setup, w, m, me):
    """May come at any time but one: a commit that is under way is brought to its end."""
    if me.gen != w.gen and me.step <= 3:
        yield "revoke and assign", learn(setup, w, m, me)


# ---- the broker

def mark(setup, w):
    """The commit markers reach each partition, and the group's offsets, in any order."""
    for tx in w.txs:
        for at in tx.marks:
            if at == "group":
                to = w._replace(offsets=tuple(old if new is None else new
                                              for old, new in zip(w.offsets, tx.offsets)))
            else:
                to = w._replace(logs=put(w.logs, at, judge(w.logs[at], tx.id, COMMITTED)))
            where = "the group's offsets" if at == "group" else f"changelog p{at}"
            yield f"broker marks {where}", put_tx(to, tx._replace(marks=tuple(a for a in tx.marks if a != at)))


def time_out(setup, w):
    """An open transaction of nobody is aborted after transaction.timeout.ms; somebody's too if it stalls so long."""
    for tx in w.txs:
        orphan = w.members[tx.owner].tx != tx.id
        if tx.accepted or (orphan and setup.wrong == "nobody times transactions out"):
            continue
        if orphan:
            yield f"broker times {name(tx.owner)}'s transaction out", broker_aborts(w, tx)
        elif fault(setup, w, "stall"):
            yield f"{name(tx.owner)} stalls, its transaction is timed out", broker_aborts(spend(w), tx)


# ---- faults, each of which uses one up

def fault(setup, w, kind):
    return w.faults > 0 and kind in setup.kinds


def spend(w):
    return w._replace(faults=w.faults - 1)


def crash(setup, w, m, me):
    """Memory is gone. With power lost the store comes back as of one write earlier, with `lose` not at all."""
    if me.up == "down":
        if fault(setup, w, "lose") and any(s != Stored() for s in me.disk):
            fresh = tuple(Stored() for _ in me.disk)
            yield "loses its folder", with_member(spend(w), m, disk=fresh, older=fresh)
        return
    gone = me._replace(up="down", gen=0, step=0, tx=None, queue=(), parts=(None,) * len(me.parts))
    if fault(setup, w, "crash"):
        yield "crash", w._replace(members=put(w.members, m, gone), faults=w.faults - 1)
    if fault(setup, w, "power") and me.older != me.disk:
        yield "loses power, and the store's last write", w._replace(
            members=put(w.members, m, gone._replace(disk=me.older)), faults=w.faults - 1)


def abort(setup, w, m, me):
    """An error that says: abort the epoch."""
    if 1 <= me.step <= 3 and fault(setup, w, "abort"):
        tx = find(w, me.tx)
        yield "abort", rewound(setup, broker_aborts(spend(w), tx) if tx else spend(w), m, me)


def rebalance(setup, w):
    """The group's coordinator gives partitions to others. Members hear of it later, or never."""
    if not fault(setup, w, "rebalance"):
        return
    for p, holder in enumerate(w.holder):
        for m in range(len(w.members)):
            if m != holder:
                yield f"rebalance: p{p} goes to {name(m)}", spend(w)._replace(
                    gen=w.gen + 1, holder=put(w.holder, p, m))


STEPS = [process, seal, deliver, revoke, send_offsets, commit, answer, store, evict, fetch, ask, replay, abort]
ANY_TIME = [start, crash]
BROKER = [mark, time_out, rebalance]


def name(m):
    return "ABC"[m]


def actions(setup, w):
    """Everything that may happen next: (label, state)."""
    for m, me in enumerate(w.members):
        for action in (STEPS if me.up == "up" else ()):
            for label, to in action(setup, w, m, me):
                yield f"{name(m)} {label}", to
        for action in ANY_TIME:
            for label, to in action(setup, w, m, me):
                yield f"{name(m)} {label}", to
    for action in BROKER:
        yield from action(setup, w)
