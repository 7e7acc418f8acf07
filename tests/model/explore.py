"""Visits every state that a setup of the model can reach, nearest first, and says what is wrong with the first
bad one: so the trace to it is a shortest one.

The fourth invariant needs the whole graph: from every state the end, at which all inputs are committed, can be
reached without another fault of the model's choosing. A start that is refused for ever, or a reader that waits
for ever, has no such way."""
from collections import deque
from typing import Callable, NamedTuple, Optional

import at_least_once_model as at_least_once
import epoch_model as epoch
import invariants


class Protocol(NamedTuple):
    first: Callable       # setup -> state
    actions: Callable     # setup, state -> (label, state)...
    done: Callable        # setup, state -> all is committed
    invariants: dict      # name -> check(setup, state), the sentence of what is wrong


EPOCH = Protocol(epoch.first, epoch.actions, epoch.done, invariants.INVARIANTS)
AT_LEAST_ONCE = Protocol(at_least_once.first, at_least_once.actions, at_least_once.done, at_least_once.INVARIANTS)


TOO_MANY = "too many states"


class Result(NamedTuple):
    states: int
    invariant: Optional[str]  # the one that is broken, TOO_MANY, or None when all hold
    what: str
    trace: list               # labels from the first state to the bad one


def trace_to(came_from, at):
    labels = []
    while came_from[at] is not None:
        at, label = came_from[at]
        labels.append(label)
    return labels[::-1]


def explore(setup, leave_out=(), protocol=EPOCH, states_max=1_000_000):
    checks = [(key, check) for key, check in protocol.invariants.items() if key not in leave_out]
    states = [protocol.first(setup)]
    number = {states[0]: 0}
    came_from = [None]        # of each state: (number of the state before it, label)
    before = [[]]             # of each state: all states that lead to it
    queue = deque([0])
    while queue:
        at = queue.popleft()
        for label, to in protocol.actions(setup, states[at]):
            n = number.get(to)
            if n is not None:
                before[n].append(at)
                continue
            n = number[to] = len(states)
            states.append(to)
            came_from.append((at, label))
            before.append([at])
            for key, check in checks:
                if what := check(setup, to):
                    return Result(len(states), key, what, trace_to(came_from, n))
            if n >= states_max:
                return Result(n, TOO_MANY, "a smaller setup is needed", [])
            queue.append(n)
    if "end" not in leave_out:
        stuck = first_stuck(setup, protocol, states, before)
        if stuck is not None:
            return Result(len(states), "end", "from here the inputs can never all be committed",
                          trace_to(came_from, stuck))
    return Result(len(states), None, "", [])


def first_stuck(setup, protocol, states, before):
    """The state nearest to the beginning from which no way leads to the end."""
    good = bytearray(len(states))
    todo = [n for n, w in enumerate(states) if protocol.done(setup, w)]
    for n in todo:
        good[n] = 1
    while todo:
        for n in before[todo.pop()]:
            if not good[n]:
                good[n] = 1
                todo.append(n)
    at = good.find(0)
    return at if at >= 0 else None
