"""What the end-to-end tests share: a real broker, topics loaded with explicit record times by a client
that is not ours, the binary as a process, and outputs read back by a client that is not ours.

The broker is $KAFKA (host:port) when set, else one is started from jars (tests/tools/kafka/broker) and
stopped at the end. Reading is read-committed and goes up to the high watermark that is asked for with
read-uncommitted, since a commit returns before its markers are written."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUZEL = os.environ.get("OUZEL", str(ROOT / "build/release/ouzel"))
BROKER = ROOT / "tests/tools/kafka/broker"
PARTITIONS = 4
# A broker that is not ours keeps its topics: names of a run are its own there.
RUN = f"-{os.getpid()}" if os.environ.get("KAFKA") else ""


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


class Broker:
    """A broker for one test program: `with Broker() as broker: broker.address`."""

    def __enter__(self):
        self.dir = None
        self.address = os.environ.get("KAFKA")
        if not self.address:
            self.dir = tempfile.mkdtemp(prefix="ouzel-kafka-")
            self.start()
        return self

    def start(self):
        """A second start keeps data and port."""
        run = subprocess.run([BROKER, "start", self.dir], stdout=subprocess.PIPE, check=True, text=True)
        self.address = run.stdout.strip()

    def kill(self):
        subprocess.run([BROKER, "kill", self.dir], check=True)

    def __exit__(self, *_):
        if self.dir:
            subprocess.run([BROKER, "stop", self.dir], check=False)
            shutil.rmtree(self.dir, ignore_errors=True)


RUNNING = []  # processes of the test under way: none outlives it


def free_ports(n):
    """Below the kernel's ephemeral range, so that no outgoing connection takes one first."""
    found = set()
    while len(found) < n:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.add(port)
    return list(found)


class Cluster:
    """Brokers of which each replica set and each coordinator spares one: `with Cluster() as cluster`."""

    def __init__(self, n=3):
        self.n = n

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ouzel-kafka-"))
        ports = free_ports(2 * self.n)
        self.voters = ",".join(f"{i + 1}@127.0.0.1:{ports[i]}" for i in range(self.n))
        self.ports = ports[self.n:]
        self.address = ",".join(f"127.0.0.1:{p}" for p in self.ports)
        try:
            for node in range(self.n):
                self.start(node)
            for node in range(self.n):
                self.wait(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, node):
        subprocess.run([BROKER, "start", self.dir / str(node), str(self.ports[node]), "--node", str(node + 1),
                        "--voters", self.voters], stdout=subprocess.DEVNULL, check=True)

    def wait(self, node):
        subprocess.run([BROKER, "wait", self.dir / str(node)], check=True)

    def kill(self, node):
        subprocess.run([BROKER, "kill", self.dir / str(node)], check=True)

    def __exit__(self, *_):
        for node in range(self.n):
            if (self.dir / str(node)).exists():
                subprocess.run([BROKER, "kill", self.dir / str(node)], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


class Folder:
    """Where a test keeps logs and state; removed when it went well."""

    def __init__(self, name):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"ouzel-{name}-"))

    def __enter__(self):
        return self.path

    def __exit__(self, kind, *_):
        for process in RUNNING:
            if process.poll() is None:
                process.kill()
                process.wait()
        RUNNING.clear()
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print(f"kept for a look: {self.path}", file=sys.stderr)


CLIENTS = {}


def client(kind, address, settings):
    """A client that is opened once and used again, as opening one costs more than asking it. It says nothing
    by itself: a broker that has gone is the test's to notice."""
    config = {"bootstrap.servers": address, "log_level": 0, **settings}
    name = (kind, *sorted(config.items()))
    if name not in CLIENTS:
        CLIENTS[name] = kind(config)
    return CLIENTS[name]


def patient(ask, seconds=60):
    """Asks again while the broker says that it is not ready for the question, as one that has just started."""
    until = time.time() + seconds
    while True:
        try:
            return ask()
        except KafkaException:
            if time.time() > until:
                raise
            time.sleep(0.05)


def make_topics(address, names, partitions=PARTITIONS):
    admin = client(AdminClient, address, {})
    for future in admin.create_topics([NewTopic(n, partitions, -1) for n in names]).values():
        future.result()


def produce(address, records):
    """records: (topic, key or None, value or None, time_ms, headers or None), in order: a fresh topic's first
    requests may be sent again, and only an idempotent producer keeps them in their order then."""
    producer = client(Producer, address, {"partitioner": "murmur2_random", "linger.ms": 5,
                                          "enable.idempotence": True,
                                          "queue.buffering.max.messages": 1000000})
    failed = []

    def done(error, _message):
        if error:
            failed.append(error)

    for topic, key, value, time_ms, headers in records:
        while True:
            try:
                producer.produce(topic, value, key, timestamp=time_ms, headers=headers, callback=done)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    check(not failed, f"the load was not taken: {failed[:1]}")


def high_watermarks(address, topic):
    consumer = client(Consumer, address, {"group.id": "e2e-ends", "isolation.level": "read_uncommitted"})

    def ask():  # from the leaders on: they move
        found = consumer.list_topics(topic, 5).topics[topic]
        if found.error:
            raise KafkaException(found.error)
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), 5)[1] for p in found.partitions}
    return patient(ask)


class Record:
    def __init__(self, message):
        self.topic, self.partition, self.offset = message.topic(), message.partition(), message.offset()
        self.key, self.value, self.time_ms = message.key(), message.value(), message.timestamp()[1]
        self.headers = message.headers() or []

    def json(self):
        return json.loads(self.value)


def read(address, topic, isolation="read_committed"):
    """Every record of the topic, by partition, in order."""
    ends = high_watermarks(address, topic)
    consumer = client(Consumer, address, {"group.id": "e2e-read", "isolation.level": isolation,
                                          "enable.partition.eof": True, "enable.auto.commit": False,
                                          "fetch.wait.max.ms": 10})
    consumer.list_topics(topic, 10)  # a topic that it does not know yet would cost it a second
    consumer.assign([TopicPartition(topic, p, 0) for p in ends])
    records = {p: [] for p in ends}
    open_partitions = {p for p, end in ends.items() if end > 0}
    until = time.time() + 60
    while open_partitions:
        check(time.time() < until, f"{topic}: the end is not reached within 60 s")
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            if message.offset() >= ends[message.partition()]:
                open_partitions.discard(message.partition())
            continue
        records[message.partition()].append(Record(message))
    consumer.unassign()
    return records


def flat(records):
    return [r for p in sorted(records) for r in records[p]]


def last_values(address, topic):
    """What a compacted topic says: (partition, key) -> value, without the empty key (meta records, lanes of an
    exchange) and deletes."""
    rows = {}
    for record in flat(read(address, topic)):
        if record.key[:2] == b"\0\0":
            continue
        if record.value is None:
            rows.pop((record.partition, record.key), None)
        else:
            rows[(record.partition, record.key)] = record.value
    return rows


class Pipeline:
    """One run of a pipeline under a name of its own: its outputs, its state, its log. What is loaded before is
    read in its order however slow the machine is: no partition is passed over that is not at its end."""

    def __init__(self, address, folder, name, file, settings=()):
        name += RUN
        self.address, self.folder, self.name, self.file = address, folder, name, str(file)
        self.scores, self.alerts, self.dead = f"{name}-scores", f"{name}-alerts", f"{name}-dead"
        self.state, self.log = folder / f"{name}-state", folder / f"{name}.log"
        self.settings = [f"pipeline={name}", f"kafka.bootstrap.servers={address}",
                         f"outputs.scores.topic={self.scores}", f"alerts.topic={self.alerts}",
                         f"outputs.dead_letters.topic={self.dead}", f"state.dir={self.state}",
                         "start=earliest", "max_idle=10m", *settings]

    def arguments(self, verb, *more, settings=()):
        sets = [x for s in [*self.settings, *settings] for x in ("--set", s)]
        return [OUZEL, verb, *more, *sets, self.file]

    def make_topics(self):
        subprocess.run(self.arguments("topics", "--create"), check=True, stdout=subprocess.DEVNULL)

    def start(self, fault=None, settings=(), more=(), environment=()):
        env = {**os.environ, **dict(environment)}
        env.pop("OUZEL_FAULT", None)
        if fault:
            env["OUZEL_FAULT"] = fault
        self.log_at = self.log.stat().st_size if self.log.exists() else 0
        self.process = subprocess.Popen(self.arguments("run", *more, settings=settings),
                                        stderr=open(self.log, "ab"), env=env)
        RUNNING.append(self.process)
        return self.process

    def log_text(self):
        """What this start has said so far."""
        with open(self.log, "rb") as file:
            file.seek(self.log_at)
            return file.read().decode(errors="replace")

    def wait_for(self, words, seconds=60):
        until = time.time() + seconds
        while not re.search(words, self.log_text()):
            check(self.process.poll() is None,
                  f"{self.name} ended with {self.process.returncode} before it said `{words}`:\n"
                  + self.log_text()[-2000:])
            check(time.time() < until, f"{self.name} does not say `{words}`:\n" + self.log_text()[-2000:])
            time.sleep(0.05)

    def committed(self, topic, partitions=PARTITIONS, isolation="read_committed"):
        """By partition. Read-committed, it waits for a transaction that is open on the offsets."""
        consumer = client(Consumer, self.address,
                          {"group.id": f"ouzel.{self.name}", "isolation.level": isolation})
        asked = [TopicPartition(topic, p) for p in range(partitions)]
        got = patient(lambda: consumer.committed(asked, 20))
        return {tp.partition: tp.offset for tp in got}

    def lag(self, topics):
        """Records that are in the topics and not committed; a killed process may have left a transaction open."""
        committed = {t: self.committed(t, isolation="read_uncommitted") for t in topics}
        return sum(end - max(0, committed[t].get(p, 0))
                   for t in topics for p, end in high_watermarks(self.address, t).items())

    def wait_until_read(self, topics, seconds=90):
        """Until everything that is in the topics now is read and committed."""
        ends = {t: high_watermarks(self.address, t) for t in topics}
        until = time.time() + seconds
        while any(self.committed(t).get(p, 0) < end for t in topics for p, end in ends[t].items()
                  if end > 0):
            check(self.process.poll() is None,
                  f"{self.name} ended with {self.process.returncode}:\n" + self.log_text()[-2000:])
            check(time.time() < until, f"{self.name} is not through:\n" + self.log_text()[-2000:])
            time.sleep(0.02)

    def listens(self):
        """Whether it has come as far as to catch a SIGTERM; true of one that has ended, too."""
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return True
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.M)
        return not caught or int(caught[1], 16) >> (signal.SIGTERM - 1) & 1 == 1

    def stop(self, seconds=30):
        until = time.time() + 30
        while self.process.poll() is None and not self.listens() and time.time() < until:
            time.sleep(0.01)
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        check(code == 0, f"{self.name}: SIGTERM ended with {code}:\n" + self.log_text()[-2000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def run_through(self, topics, settings=()):
        self.make_topics()
        self.start(settings=settings)
        self.wait_until_read(topics)
        self.stop()

    def outputs(self):
        """Scores, alerts and dead letters as (partition, key, value, time, headers), in order, without
        what differs between two runs by intent: the pipeline's name and its settings' hash."""
        return [[self.plain(r) for r in flat(read(self.address, t))]
                for t in (self.scores, self.alerts, self.dead)]

    def plain(self, record):
        name = self.name.encode()
        value = record.value
        if value is not None:
            value = re.sub(rb'"config":"[0-9a-f]{16}"', b'"config":""', value)
            value = value.replace(b'"id":"' + name + b"/", b'"id":"NAME/')
        headers = {k: v for k, v in record.headers}
        if "ouzel.id" in headers:
            check(headers["ouzel.pipeline"] == name and headers["ouzel.id"].startswith(name + b"/"),
                  f"headers {headers}")
            del headers["ouzel.pipeline"]
            headers["ouzel.id"] = headers["ouzel.id"][len(name):]
        headers = sorted(headers.items())
        return (record.partition, record.key, value, record.time_ms, tuple(headers))

    def rows(self, entities):
        return {e: last_values(self.address, self.changelog(e)) for e in entities}

    def changelog(self, entity):
        return f"ouzel.{self.name}.changelog.{entity}"

    def state_lines(self, *options):
        """What `ouzel state` says of the folder, as JSON lines."""
        run = subprocess.run(self.arguments("state", *options), stdout=subprocess.PIPE, check=True, text=True)
        return [json.loads(line) for line in run.stdout.splitlines()]

    def stored_parts(self):
        """entity -> what last_values() says of its changelog, but from the state folder."""
        found = {}
        for line in self.state_lines("--parts"):
            if "key" in line:
                key = line["key"].encode()
                key = len(key).to_bytes(2, "big") + key + line["part"].to_bytes(4, "big")
                found.setdefault(line["entity"], {})[(line["partition"], key)] = bytes.fromhex(line["value"])
        return found

    def stored_rows(self):
        """Every part that the state folder holds, without positions and times."""
        return [line for line in self.state_lines("--parts") if "key" in line]


def same(got, want, what):
    if got == want:
        return
    for i, (g, w) in enumerate(zip(got, want)):
        if g != w:
            raise Failure(f"{what}: {len(got)} and {len(want)}; the first that differs is {i}:\n"
                          f"  got  {g}\n  want {w}")
    raise Failure(f"{what}: {len(got)} instead of {len(want)}")


def main(tests, make_broker=Broker):
    """Runs the test functions, each with (broker address, folder); says how each went."""
    only = [name for name in sys.argv[1:] if not name.startswith("--")]
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the broker is stopped
    with make_broker() as broker:
        for test in tests:
            if only and test.__name__ not in only:
                continue
            start = time.time()
            try:
                with Folder(test.__name__) as folder:
                    test(broker, folder)
                print(f"ok      {test.__name__}  {time.time() - start:.1f} s", flush=True)
            except (Failure, KafkaException, subprocess.SubprocessError, OSError) as failure:
                failed += 1
                print(f"FAILED  {test.__name__}  {time.time() - start:.1f} s\n{failure}", flush=True)
    sys.exit(failed > 0)


