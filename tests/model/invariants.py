"""What must hold in every state of epoch_model.py. Each check gives the sentence of what is wrong, or None. The
fourth, that the end can be reached from everywhere, is in explore.py, as it is about the whole graph."""
from epoch_model import COMMITTED, UNDECIDED, find, fold, name


def answers_once(setup, w):
    """A read-committed reader has exactly one answer of every committed input, and it is the right one."""
    for p, seen in enumerate(w.answers):
        inputs = [i for i, _ in seen]
        for i in range(setup.inputs):
            if inputs.count(i) > 1:
                return f"input {i} of p{p} is answered {inputs.count(i)} times"
            if i < w.truth[p] and i not in inputs:
                return f"input {i} of p{p} is committed and has no answer"
        for i, answer in seen:
            if answer != fold(i + 1):
                return f"input {i} of p{p} is answered from the row {answer}"
    return None


def rows_right(setup, w):
    """The newest committed row of the changelog is the fold of the committed inputs."""
    for p, log in enumerate(w.logs):
        rows = [r[0] for r in log if is_committed(w, r)]
        newest = rows[-1] if rows else ()
        if newest != fold(w.truth[p]):
            return f"p{p} is committed up to {w.truth[p]}, and its changelog says {newest}"
    return None


def store_follows(setup, w):
    """Every store is a committed prefix, and the changelog from its offset on has all that it lacks."""
    for m, me in enumerate(w.members):
        for p, stored in enumerate(me.disk):
            n = len(stored.row)
            if stored.row != fold(n) or n > w.truth[p] or stored.pos > n:
                return f"{name(m)}'s store of p{p} is no committed prefix: {tuple(stored)}, committed {w.truth[p]}"
            tail = any(is_committed(w, r) for r in w.logs[p][stored.log_pos:])
            if not tail and n != w.truth[p]:
                return f"{name(m)}'s store of p{p} lacks what no tail has: {tuple(stored)}, committed {w.truth[p]}"
    return None


def is_committed(w, record):
    return record[1] == COMMITTED or (record[1] == UNDECIDED and find(w, record[2]).accepted)


INVARIANTS = {"answers": answers_once, "rows": rows_right, "store": store_follows}
