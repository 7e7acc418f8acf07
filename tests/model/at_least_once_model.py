"""At least once, from the same page: the cycle without a transaction, for the one process that it needs. The store
follows the acknowledgements and is ahead of the group; a start goes on at the store's own offset. Read
epoch_model.py first: inputs, rows, faults and labels are the same."""
from typing import NamedTuple, Optional

from epoch_model import Setup, Stored, fold  # Setup's `wrong` and `faults` count, the rest is fixed


class World(NamedTuple):
    answers: tuple              # (input, answer) that arrived, sorted; repeats once
    group: int                  # the group's committed offset
    up: bool
    row: tuple
    pos: int
    box: tuple                  # answers not yet produced
    flight: tuple               # produced and not acknowledged
    sealed: Optional[Stored]
    due: Optional[Stored]       # acknowledged, not in the store
    disk: Stored
    older: Stored
    faults: int


def first(setup):
    return World((), 0, True, (), 0, (), (), None, None, Stored(), Stored(), setup.faults)


def done(setup, w):
    return w.disk.pos == setup.inputs


def arrived(w):
    return tuple(sorted(set(w.answers + w.flight)))


def running(setup, w):
    if w.pos < setup.inputs:
        row = w.row + (w.pos,)
        yield f"1 process input {w.pos}", w._replace(row=row, pos=w.pos + 1, box=w.box + ((w.pos, row),))
    if w.box and not w.sealed:
        sealed = Stored(w.row, w.pos)
        due = sealed if setup.wrong == "stored before it is acknowledged" else w.due
        yield "2 seal", w._replace(sealed=sealed, due=due, flight=w.box, box=())
    if w.sealed:
        yield "2 all is acknowledged", w._replace(answers=arrived(w), flight=(), due=w.sealed, sealed=None)
    if w.due and setup.wrong == "rows are written before offsets" and w.disk.row != w.due.row:
        yield "5 store the rows", w._replace(disk=Stored(w.due.row, w.disk.pos))
    elif w.due:
        yield "5 store", w._replace(disk=w.due, older=w.disk, due=None)
    if w.group < w.disk.pos:
        yield "the group's offsets are committed", w._replace(group=w.disk.pos)


def actions(setup, w):
    if not w.up:
        pos = w.group if setup.wrong == "a start at the group's offset" else w.disk.pos
        yield "A start", w._replace(up=True, row=w.disk.row, pos=pos)
        return
    for label, to in running(setup, w):
        yield f"A {label}", to
    if w.faults:
        gone = w._replace(up=False, row=(), pos=0, box=(), flight=(), sealed=None, due=None, faults=w.faults - 1)
        yield "A crash", gone
        if w.flight:
            yield "A crash, what is on its way arrives", gone._replace(answers=arrived(w))
        yield "A loses power, and the store's last write", gone._replace(disk=w.older)


def answers_at_least_once(setup, w):
    """Nobody's offset is behind an input that has no answer, and a repeated answer is the same one."""
    for i in range(max(w.group, w.disk.pos)):
        if i not in [a for a, _ in w.answers]:
            return f"input {i} is done with and has no answer"
    for i, answer in w.answers + w.flight:
        if answer != fold(i + 1):
            return f"input {i} is answered from the row {answer}"
    return None


def counted_once(setup, w):
    """The store's row is the fold of the inputs up to its offset."""
    if w.disk.row != fold(w.disk.pos):
        return f"the store is at {w.disk.pos} and has the row {w.disk.row}"
    return None


INVARIANTS = {"answers": answers_at_least_once, "rows": counted_once}
