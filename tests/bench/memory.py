#!/usr/bin/env python3
"""Resident memory against state.memory, for inputs that are made to break it, by the real binary on a real
broker: `memory.py [case...] [--scale X]`. Prints, for each input, the peak of the process's own memory
(RssAnon, sampled; files that are mapped do not count), beside the same for a tiny input, which is what the
process needs whatever the input: threads, clients, batches.

  hot     one card has all events, so that its row outgrows every bound on a row in memory
  keys    every event has a card of its own
  large   records as large as a record may be
  labels  labels of a few cards, all within their lateness, so that none of their rows can close
"""
import argparse
import json
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from confluent_kafka import Producer  # noqa: E402
from events import START, iso  # noqa: E402
from harness import ROOT, Broker, Folder, Pipeline, make_topics  # noqa: E402

FILE = ROOT / "tests/e2e/pipeline.yaml"
MEMORY_MIB = 64
MIB = 1 << 20
SETTINGS = []


def tx(i, card, at, pad=""):
    more = f',"pad":"{pad}"' if pad else ""
    return (f'{{"id":{i},"at":"{iso(at)}","card":"{card}","shop":"s{i % 50}","amount":{i % 997}.5{more}}}', card, at)


def tiny(_scale):
    for i in range(2000):
        yield "tx", *tx(i, f"c{i % 50}", START + i * 1000)


def hot(scale):
    for i in range(int(1500000 * scale)):
        yield "tx", *tx(i, "hot", START + i * 20)


def keys(scale):
    for i in range(int(1500000 * scale)):
        yield "tx", *tx(i, f"card-{i * 7919 % 100000007}", START + i * 20)


def large(scale):
    pad = "x" * 900000
    for i in range(int(800 * scale)):
        yield "tx", *tx(i, f"c{i % 50}", START + i * 1000, pad)


def labels(scale):
    n = int(300000 * scale)
    for i in range(n):
        at = START + i * 1000
        if i % 10 == 0:
            yield "tx", *tx(i, f"c{i % 7}", at)
        event = {"id": i, "at": iso(at), "reported_at": iso(at), "card": f"c{i % 7}", "shop": f"s{i % 3}",
                 "fraud": i % 2 == 0}
        yield "labels", json.dumps(event), event["card"], at + 1


CASES = {"tiny": tiny, "hot": hot, "keys": keys, "large": large, "labels": labels}


def load(address, name, records):
    topic = {"tx": f"{name}-tx", "labels": f"{name}-labels"}
    make_topics(address, list(topic.values()))
    producer = Producer({"bootstrap.servers": address, "partitioner": "murmur2_random", "enable.idempotence": True,
                         "linger.ms": 20, "compression.type": "lz4", "log_level": 0,
                         "queue.buffering.max.kbytes": 200000})
    n = size = 0
    for source, value, key, at in records:
        while True:
            try:
                producer.produce(topic[source], value, key, timestamp=at)
                break
            except BufferError:
                producer.poll(0.1)
        n, size = n + 1, size + len(value)
        if n % 1000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0
    return list(topic.values()), [f"sources.{s}.topic={t}" for s, t in topic.items()], n, size


class Sampler(threading.Thread):
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.anon, self.all = pid, 0, 0

    def run(self):
        try:
            while True:
                status = dict(line.split(":", 1) for line in open(f"/proc/{self.pid}/status"))
                self.anon = max(self.anon, int(status["RssAnon"].split()[0]) // 1024)
                self.all = max(self.all, int(status["VmRSS"].split()[0]) // 1024)
                time.sleep(0.02)
        except (OSError, KeyError):
            return


def measure(address, folder, name, scale):
    """Anonymous and all resident memory at their peaks, in MiB; records; their bytes; seconds."""
    topics, sources, n, size = load(address, f"mem-{name}", CASES[name](scale))
    pipeline = Pipeline(address, folder, f"mem-{name}", FILE, [
        *sources, f"state.memory={MEMORY_MIB}MiB", "workers=2", "epoch.every=100ms", "epoch.rows=20000",
        "state.flush=1s", "max_idle=10s", *SETTINGS])
    pipeline.make_topics()
    start = time.time()
    sampler = Sampler(pipeline.start().pid)
    sampler.start()
    pipeline.wait_until_read(topics, 400)
    took = time.time() - start
    pipeline.stop()
    sampler.join(5)
    return sampler.anon, sampler.all, n, size, took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", nargs="*")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--set", action="append", default=SETTINGS, help="more settings of the pipeline")
    options = parser.parse_args()
    cases = options.case or [c for c in CASES if c != "tiny"]
    print(f"state.memory is {MEMORY_MIB} MiB\n{'input':8} {'records':>9} {'MiB':>6} {'s':>5}  own  beyond tiny   all", flush=True)
    base = 0
    with Broker() as broker:
        for name in ["tiny", *cases]:
            with Folder(f"memory-{name}") as folder:
                anon, everything, n, size, took = measure(broker.address, folder, name, options.scale)
            base = base or anon
            print(f"{name:8} {n:9} {size / MIB:6.0f} {took:5.0f}  {anon:3}  {anon - base:11}   {everything:3}", flush=True)


main()
