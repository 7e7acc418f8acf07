"""Rounds of random faults: `./dev test crash --rounds N --seed S [--faults F]`.

A round loads its input first, then runs one to three processes of a pipeline against a real broker and does
to them, and to the broker, what its seed says: the same seed makes the same plan. Then it lets them finish
and compares all that is left with an undisturbed run (checker.py). Rows that the folders hold are compared
as they are, and once more after a new process has rebuilt them from the changelogs.

Kinds of rounds, by seed: `group` (up to three processes, exactly once), `alone` (one process, an entity that
every partition feeds), `at_least_once` (one process). At least once may repeat an output, with the same bytes;
a row counts nothing twice.

Waits are for what is waited for; a time alone decides nothing but where a fault comes."""
import argparse
import collections
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import checker  # noqa: E402
import events  # noqa: E402
import faults  # noqa: E402
from confluent_kafka import KafkaException  # noqa: E402
from confluent_kafka.admin import AdminClient  # noqa: E402
from harness import ROOT, RUNNING, Broker, Failure, Pipeline, check, client, high_watermarks  # noqa: E402
from test_group import Member, partitions  # noqa: E402
from test_run import load  # noqa: E402

SETTINGS = ["epoch.every=20ms", "epoch.rows=400", "batch.rows=40", "state.flush=60ms", "max_idle=10m"]
SHORT = ["kafka.session.timeout.ms=4000", "kafka.heartbeat.interval.ms=500"]  # a long pause must outlast them
OF_TRANSACTIONS = ["kafka.transaction.timeout.ms=4000"]
FILE = {"group": "cards.yaml", "alone": "pipeline.yaml", "at_least_once": "pipeline.yaml"}
ENTITIES = {"group": ["card"], "alone": ["card", "shop"], "at_least_once": ["card", "shop"]}
PACE = {"group": 160, "alone": 80, "at_least_once": 80}  # ms a batch: the input must outlast the faults
HOLD = 2000  # ms that a point holds the process, so that the broker goes while it is there
EVENTS = 40000
PATIENCE = 300  # s, for what must come
NAMES = ["a", "b", "c", "rebuilt"]
HOPE = 30  # s, for what a round can do without


def settings_of(kind):
    return SETTINGS + (["delivery=at_least_once"] if kind == "at_least_once" else [])


class Inputs:
    """Topics, and what an undisturbed run makes of them, by kind; made once a broker."""

    def __init__(self, broker, folder):
        self.broker, self.folder, self.topics, self.whole = broker, folder, None, {}

    def sources(self):
        if not self.topics:
            self.topics, self.settings = load(self.broker, "rounds", events.make(71, EVENTS))
        return self.topics, self.settings

    def undisturbed(self, kind):
        if kind not in self.whole:
            topics, sources = self.sources()
            name = f"rounds-whole-{kind.replace('_', '-')}"
            pipeline = Pipeline(self.broker.address, self.folder, name, ROOT / "tests/e2e" / FILE[kind],
                                [*sources, *settings_of(kind)])
            pipeline.run_through(topics)
            by_name = {"tx": topics[0], "labels": topics[1]}
            self.whole[kind] = checker.Left(pipeline, [pipeline], by_name, ENTITIES[kind])
        return self.whole[kind]


class Round:
    def __init__(self, inputs, folder, seed, n):
        self.inputs, self.broker, self.folder = inputs, inputs.broker, folder
        self.kind, begin, self.plan = faults.plan(seed, n)
        self.whole = inputs.undisturbed(self.kind)
        self.topics, sources = inputs.sources()
        self.first = Pipeline(self.broker.address, folder, f"rounds-{seed}", ROOT / "tests/e2e" / FILE[self.kind],
                              [*sources, *settings_of(self.kind), *SHORT,
                               *(OF_TRANSACTIONS if self.kind != "at_least_once" else [])])
        self.members = [Member(self.first, name, []) for name in NAMES[:faults.MEMBERS]]
        self.up, self.done, self.missed, self.restarts = set(begin), [], 0, collections.Counter()
        self.ends, self.cut = None, 0  # faults of the plan that the input's end came before

    # ---- processes

    def trace(self, who):
        return self.folder / f"trace-{who}"

    def say(self, text):
        with open(self.folder / "plan.log", "a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    def spawn(self, who, arm="", pace=True):
        member = self.members[who]
        member.arm = (arm, pace)
        self.trace(who).unlink(missing_ok=True)
        parts = [f"trace={self.trace(who)}", f"batch-start:every={PACE[self.kind]}" if pace else "", arm]
        self.say(f"start {NAMES[who]} {arm}")
        member.start(fault=",".join(p for p in parts if p))
        self.up.add(who)

    def ended(self, who):
        return self.members[who].process.poll()

    def tend(self, but=None):
        """What ended by itself because of the broker or its successor is started again, as a supervisor does."""
        for who in sorted(self.up - {but}):
            code = self.ended(who)
            if code is None:
                continue
            text = self.members[who].log_text()
            check(code == 7, f"{NAMES[who]} ended with {code}:\n{text[-3000:]}")
            self.restarts[text.strip().splitlines()[-1].split(" ", 1)[-1][:160]] += 1
            check(sum(self.restarts.values()) < 100, f"it ends again and again:\n{text[-3000:]}")
            self.say(f"{NAMES[who]} ended with 7")
            arm, pace = self.members[who].arm
            self.spawn(who, arm, pace)

    def wait(self, condition, seconds, but=None):
        until = time.time() + seconds
        while not condition():
            if time.time() > until:
                return False
            self.tend(but)
            time.sleep(0.005)
        return True

    def pause(self, seconds, but=None):
        self.wait(lambda: False, seconds, but)

    # ---- faults

    def note(self, kind, step):
        self.say(f"fault: {kind} in step {step}")
        self.done.append((kind, step))

    def kill(self, who, kind="kill"):
        """A member that has just ended by itself is not there to be killed."""
        step = faults.step_of(self.trace(who))
        there = self.ended(who) is None
        self.members[who].kill()
        if there:
            self.note(kind, step)

    def wait_for_end(self, who):
        """After a SIGTERM; one that comes before the process has looked at anything ends it at once."""
        member = self.members[who]
        try:
            code = member.process.wait(PATIENCE)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"SIGTERM did not end it:\n{member.log_text()[-3000:]}") from late
        check(code in (0, 7) or (code == -signal.SIGTERM and "running: " not in member.log_text()),
              f"SIGTERM ended with {code}:\n{member.log_text()[-3000:]}")

    def term(self, who, kind="term"):
        step = faults.step_of(self.trace(who))
        process = self.members[who].process
        there = process.poll() is None
        process.send_signal(signal.SIGTERM)
        self.wait_for_end(who)
        if there:
            self.note(kind, step)

    def bring_down(self, fault):
        self.pause(fault.delay)
        (self.kill if fault.by == "kill" else self.term)(fault.who)

    def arm(self, fault, effect):
        """Starts the member anew, so that something comes at the fault's point; True when it is there."""
        self.bring_down(fault)
        self.spawn(fault.who, f"{fault.point}:{fault.nth}{effect}")
        return self.wait(lambda: faults.passes_of(self.trace(fault.who)).get(fault.point, (0, 0))[0] >= fault.nth
                         or (self.ended(fault.who) not in (None, 7)), HOPE, but=fault.who)

    def place(self, fault, effect=f"={HOLD}"):
        """Waits for the fault's point or time; the step that the member is in, or None: it did not get there."""
        if not fault.point:
            self.pause(fault.delay)
            return faults.step_of(self.trace(fault.who))
        if self.arm(fault, effect):
            return faults.STEPS[fault.point]
        self.missed += 1
        self.say(f"{fault} is not reached")
        return None

    def do_kill(self, fault):
        self.pause(fault.delay)
        self.kill(fault.who)
        self.spawn(fault.who)

    def do_kill_at(self, fault):
        if self.place(fault, "=kill"):
            process = self.members[fault.who].process
            check(process.wait(PATIENCE) == -signal.SIGKILL, f"{fault}: {process.returncode}\n"
                  + self.members[fault.who].log_text()[-3000:])
            self.note("kill", faults.STEPS[fault.point])
        else:
            self.members[fault.who].kill()
        self.spawn(fault.who)

    def do_term(self, fault):
        self.pause(fault.delay)
        self.term(fault.who)
        self.spawn(fault.who)

    def do_pause(self, fault):
        step = self.place(fault)
        process = self.members[fault.who].process
        if not step or process.poll() is not None:
            return
        process.send_signal(signal.SIGSTOP)
        self.pause(fault.seconds, but=fault.who)
        process.send_signal(signal.SIGCONT)
        self.note(fault.kind, step)

    do_long_pause = do_pause

    def do_broker_kill(self, fault):
        step = self.place(fault)
        if not step:
            return
        self.broker.kill()
        self.pause(fault.seconds)
        self.broker.start()
        self.note(fault.kind, step)

    def do_broker_pause(self, fault):
        step = self.place(fault)
        if not step:
            return
        pid = int((pathlib.Path(self.broker.dir) / "pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            self.pause(fault.seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.note(fault.kind, step)

    def do_outage(self, fault):
        """The broker is killed, then the process, which starts again before the broker is back."""
        step = self.place(fault)
        if not step:
            return
        self.broker.kill()
        self.note("broker_kill", step)
        self.pause(fault.delay)
        self.kill(fault.who)
        self.spawn(fault.who)
        self.pause(fault.seconds)
        self.broker.start()

    def do_refused(self, fault):
        """A call of the epoch fails, as if the broker had said no; half the time it dies in the abort, too."""
        more = ",abort-start:1=kill" if fault.settle else ""
        if not self.place(fault, f"=fail{more}"):
            return
        self.note("refused", faults.STEPS[fault.point])
        if more and self.wait(lambda: self.ended(fault.who) is not None, HOPE, but=fault.who):
            code = self.ended(fault.who)
            check(code == -signal.SIGKILL, f"{fault}: {code}\n" + self.members[fault.who].log_text()[-3000:])
            self.note("kill", "abort")
            self.spawn(fault.who)

    def do_lost_folder(self, fault):
        self.bring_down(fault)
        shutil.rmtree(self.members[fault.who].state, ignore_errors=True)
        self.note(fault.kind, "replay")
        if fault.point:
            self.spawn(fault.who, f"{fault.point}:{fault.nth}=kill")
            if self.wait(lambda: self.ended(fault.who) not in (None, 7), HOPE, but=fault.who):
                check(self.ended(fault.who) == -signal.SIGKILL, f"{fault}: {self.ended(fault.who)}\n"
                      + self.members[fault.who].log_text()[-3000:])
                self.note("kill", "replay")
            else:  # it has got no partition with rows
                self.missed += 1
                self.members[fault.who].kill()
        self.spawn(fault.who)

    def do_join(self, fault):
        self.pause(fault.delay)
        self.note(fault.kind, faults.step_of(self.trace(min(self.up))))
        self.spawn(fault.who)
        if fault.settle:
            self.wait(lambda: partitions(self.members[fault.who]), HOPE)

    def do_leave(self, fault):
        self.pause(fault.delay)
        self.up.discard(fault.who)
        (self.kill if fault.by == "kill" else self.term)(fault.who, fault.kind)
        if fault.settle:
            self.wait(lambda: sum(partitions(self.members[w]) or 0 for w in self.up) == 4, HOPE)

    # ---- the round

    def left(self):
        return self.first.lag(self.topics)

    def is_read(self):
        for topic in self.topics:
            committed = self.first.committed(topic)
            if any(committed[p] < end for p, end in self.ends[topic].items() if end > 0):
                return False
        return True

    def disturb(self):
        self.first.make_topics()
        self.ends = {t: high_watermarks(self.broker.address, t) for t in self.topics}
        for who in sorted(self.up):
            self.spawn(who)
        for fault in self.plan:
            if not self.left():
                self.cut = len(self.plan) - self.plan.index(fault)
                break
            self.tend()
            self.say(f"-- {fault}")
            getattr(self, f"do_{fault.kind}")(fault)

    def finish(self):
        """Those that are up end, and go on without faults and pace; what is left is what counts."""
        members = sorted(self.up)
        for who in members:
            self.tend()
            self.members[who].process.send_signal(signal.SIGTERM)
        for who in members:
            self.wait_for_end(who)
        for who in members:
            self.spawn(who, pace=False)
        check(self.wait(self.is_read, PATIENCE), "the input is not read to its end:\n"
              + "\n".join(self.members[w].log_text()[-2000:] for w in members))
        for who in members:
            self.members[who].stop(PATIENCE)
        self.up.clear()

    def rebuilt(self):
        """A process with no folder takes all of it over."""
        last = Member(self.first, "a", [f"state.dir={self.folder / 'rebuilt'}"])
        last.state = self.folder / "rebuilt"
        self.members.append(last)
        who = len(self.members) - 1
        self.spawn(who, pace=False)
        check(self.wait(lambda: partitions(last) == 4, PATIENCE),
              f"it does not get all partitions:\n{last.log_text()[-2000:]}")
        last.stop(PATIENCE)
        self.up.clear()
        return last

    def verdict(self):
        folders = [m for m in self.members if m.state.exists()]
        order = "exact" if self.kind != "group" else "source"
        sources = {"tx": self.topics[0], "labels": self.topics[1]}
        repeats = self.kind == "at_least_once"
        got = checker.Left(self.first, folders, sources, ENTITIES[self.kind])
        verdict = checker.compare(got, self.whole, order, repeats)
        if not repeats:
            got.folders = [checker.Folder(self.rebuilt())]
            checker.compare_folders(verdict, got.folders, self.whole.folders[0], got.committed)
        return verdict

    def forget(self):
        """Its topics are not needed any more, and a broker that is killed looks at all of them when it starts."""
        names = [self.first.scores, self.first.alerts, self.first.dead, *map(self.first.changelog, ENTITIES[self.kind])]
        for future in client(AdminClient, self.broker.address, {}).delete_topics(names).values():
            future.result()


class Totals:
    def __init__(self):
        self.rounds, self.failed, self.count, self.missed, self.cut = 0, [], collections.Counter(), 0, 0
        self.missing = self.doubled = self.different = self.repeats = 0
        self.restarts = collections.Counter()

    def add(self, done):
        self.rounds += 1
        self.count.update(done.done)
        self.missed += done.missed
        self.cut += done.cut
        self.restarts.update(done.restarts)

    def faults(self):
        return sum(self.count.values())

    def show(self):
        print(f"\n{'fault':14}" + "".join(f"{'step ' * c.isdigit() + c:>10}" for c in faults.COLUMNS) + f"{'all':>10}")
        for kind in sorted({k for k, _ in self.count}):
            row = [self.count[kind, c] for c in faults.COLUMNS]
            print(f"{kind:14}" + "".join(f"{n or '.':>10}" for n in row) + f"{sum(row):>10}")
        row = [sum(n for (_, c), n in self.count.items() if c == column) for column in faults.COLUMNS]
        print(f"{'all':14}" + "".join(f"{n or '.':>10}" for n in row) + f"{sum(row):>10}")
        for why, n in self.restarts.most_common():
            print(f"started again after it had ended with 7, {n} times: {why}")
        of_broker, of_group = (sum(n for (kind, _), n in self.count.items() if kind in kinds)
                               for kinds in (faults.OF_BROKER, faults.OF_GROUP))
        print(f"{self.rounds} rounds, {self.faults()} faults ({of_broker} of the broker, {of_group} pauses, joins and "
              f"leaves); {self.missed} points not reached, {self.cut} faults left out at the input's end\n"
              f"missing {self.missing}, doubled {self.doubled}, different {self.different}, "
              f"repeats {self.repeats} (at least once), rounds that failed {len(self.failed)} {self.failed}", flush=True)


def one(inputs, seed, n, totals):
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"ouzel-round-{seed}-"))
    start, said, bad, done = time.time(), "", "", None
    try:
        done = Round(inputs, folder, seed, n)
        done.disturb()
        done.finish()
        verdict = done.verdict()
        totals.missing += verdict.missing
        totals.doubled += verdict.doubled
        totals.different += verdict.different
        totals.repeats += verdict.repeats
        said, bad = str(verdict), "\n".join(verdict.examples)
        if verdict.is_clean():
            done.forget()
    except Exception as failure:  # a mistake of these programs fails the round, too
        if not isinstance(failure, (Failure, KafkaException)):
            traceback.print_exc(file=sys.stdout)
        said, bad = "not judged", f"{type(failure).__name__}: {failure}"
    finally:
        for process in RUNNING:
            if process.poll() is None:
                process.kill()
                process.wait()
        RUNNING.clear()
    if done:
        totals.add(done)
    kinds = collections.Counter(k for k, _ in done.done) if done else {}
    made = ", ".join(f"{k} {n}" for k, n in sorted(kinds.items()))
    print(f"{'FAILED' if bad else 'ok':7} seed {seed:<6} {faults.kind_of(seed):14} {sum(kinds.values()):3} faults ({made}): "
          f"{said}  {time.time() - start:.0f} s", flush=True)
    if bad:
        totals.failed.append(seed)
        print(f"{bad}\n  kept: {folder}\n  again: ./dev test crash --rounds 1 --seed {seed} --faults {n}", flush=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def run(options):
    seeds = options.seeds or range(options.seed, options.seed + options.rounds)
    totals = Totals()
    with Broker() as broker, tempfile.TemporaryDirectory(prefix="ouzel-rounds-") as folder:
        if not broker.dir:
            print("skipped: $KAFKA is not ours to kill")
            return 0
        inputs = Inputs(broker, pathlib.Path(folder))
        try:
            for seed in seeds:
                one(inputs, seed, options.faults, totals)
        finally:
            totals.show()  # of what there was, when a SIGTERM ends it
    check(totals.faults() >= options.at_least, f"{totals.faults()} faults, {options.at_least} were wanted")
    return 1 if totals.failed else 0


def positive(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return int(text)


def main():
    parser = argparse.ArgumentParser(prog="./dev test crash", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=positive, default=4)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each next round has the next one")
    parser.add_argument("--seeds", type=int, nargs="+", help="these instead")
    parser.add_argument("--faults", type=positive, default=14, help="planned a round")
    parser.add_argument("--at-least", type=int, default=0, help="fewer faults in all are an error")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the broker is stopped
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
