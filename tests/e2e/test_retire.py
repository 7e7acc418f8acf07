"""Rows past use leave: their keys are gone from the store, and every part of theirs from the changelog, read by
a client that is not ours; the others stay. What is past use is said by a rule of this file's own. A run that
retires, one that is killed in the middle of it, one that begins again from the changelog alone and one that
never retires give the same outputs, also for keys that come back. With a `state.ttl` windows without an end in
time begin anew after it, whether a row was retired or not."""
import random
import shutil
import time

import events
from harness import RUN, ROOT, Pipeline, check, flat, main, make_topics, produce, read, same

FILE = ROOT / "tests/e2e/retire.yaml"
ENTITIES = ["card", "shop"]
MINUTE, HOUR = events.DAY // 1440, events.HOUR
LATENESS, SUPPRESS, TTL = 10 * MINUTE, 4 * HOUR, 5 * HOUR
# The longest window with its delay, by entity and source.
REACH = {("card", "tx"): 2 * HOUR, ("card", "labels"): 3 * HOUR,
         ("shop", "tx"): 3 * HOUR, ("shop", "labels"): 3 * HOUR}


class Stream:
    """Records whose arrivals are all different, so that the order between partitions is plain."""

    def __init__(self, seed):
        self.rng, self.n, self.arrival, self.records = random.Random(seed), 0, 0, []

    def put(self, source, at, event, arrival):
        self.arrival = max(self.arrival + 1, arrival)
        self.records.append({"source": source, "at": at, "event": {"at": events.iso(at), **event},
                             "arrival": self.arrival})

    def tx(self, at, card, shop, amount=None, late=0):
        self.n += 1
        amount = self.rng.randrange(17000) / 100 if amount is None else amount
        self.put("tx", at - late, {"id": self.n, "card": card, "shop": shop, "amount": amount}, at)

    def label(self, at, card, shop, known):
        self.n += 1
        self.put("labels", at, {"id": self.n, "card": card, "shop": shop, "fraud": True}, known)

    def take(self):
        taken, self.records = self.records, []
        return taken


def grow_old(stream):
    """Thousands of cards within 20 minutes; then six hours in which only a few are seen."""
    at = events.START
    for i in range(4000):
        at += 300
        stream.tx(at, f"c{i}", f"s{i % 300}", amount=190 if i % 10 == 0 else None)
        if i % 40 == 0:
            stream.tx(at, f"c{i}", f"s{i % 300}", amount=195)  # held back
        if i % 3 == 0:
            stream.tx(at, f"c{max(0, i - 5)}", f"s{i % 300}", late=MINUTE)
    for i in range(1500):  # enough for parts besides the main one
        stream.tx(at + i, "hot", f"s{i % 300}")
    begin = at + 1500
    for step in range(73):
        at = begin + step * 5 * MINUTE
        for i in range(40):
            stream.tx(at + i, f"awake{i}", f"open{i % 12}")
        if step == 10:
            for i in range(0, 4000, 7):
                stream.label(events.START + 300 * (i + 1), f"c{i}", f"s{i % 300}", at)
    return at


def come_back(stream, now):
    for i in range(0, 4000, 8):
        stream.tx(now + MINUTE + i, f"c{i}", f"s{i % 311}", amount=190 if i % 40 == 0 else None)
    for i in range(100):
        stream.tx(now + MINUTE + i, "hot", f"s{i}")
    for i in range(0, 4000, 13):  # labels of events that their rows have forgotten
        stream.label(now - 5 * HOUR, f"c{i}", f"s{i % 300}", now + 2 * MINUTE)
    for i in range(40):
        stream.tx(now + 3 * MINUTE + i, f"awake{i}", f"open{i % 12}")


class Source:
    """Two topics that several pipelines read, loaded in steps; and what they have had so far."""

    def __init__(self, broker, name):
        self.broker, self.records = broker, []
        self.topics = {"tx": f"{name}-tx{RUN}", "labels": f"{name}-labels{RUN}"}
        make_topics(broker.address, list(self.topics.values()))

    def load(self, records):
        self.records += records
        produce(self.broker.address, [(self.topics[r["source"]], r["event"]["card"], json_of(r), r["arrival"], None)
                                      for r in records])

    def settings(self):
        return [f"sources.{s}.topic={t}" for s, t in self.topics.items()]


def json_of(record):
    return events.json.dumps(record["event"])


class Expected:
    """Which rows must be there, by their newest events and the alerts that they hold back."""

    def __init__(self, source, partition_of, ttl=None):
        self.newest, self.clock, self.fired, self.held, self.ttl = {}, {}, {}, {}, ttl
        for record in source.records:
            event, at = record["event"], record["at"]
            for entity in ENTITIES:
                key = (entity, event[entity])
                self.newest.setdefault(key, {}).setdefault(record["source"], 0)
                self.newest[key][record["source"]] = max(at, self.newest[key][record["source"]])
                if record["source"] == "tx":
                    place = (entity, partition_of[key])
                    self.clock[place] = max(at, self.clock.get(place, 0))
            if record["source"] == "tx" and event["amount"] > 180:
                self.alert(event["card"], at)
        self.partition_of = partition_of

    def alert(self, card, at):
        fired = self.fired.get(card)
        if fired is not None and at - fired < SUPPRESS:
            self.held[card] = self.held.get(card, 0) + 1
            return
        self.fired[card], self.held[card] = at, 0

    def is_past_use(self, key):
        entity, name = key
        sure = self.clock[entity, self.partition_of[key]] - LATENESS  # nothing older is still to come
        newest = self.newest[key]
        if self.ttl:
            return max(newest.values()) <= sure - self.ttl
        past = all(at <= sure - REACH[entity, source] for source, at in newest.items())
        if entity == "card" and name in self.fired:
            past &= self.fired[name] <= sure - SUPPRESS and not self.held[name]
        return past

    def rows(self):
        return {key for key in self.newest if not self.is_past_use(key)}


def row_key(bytes_):
    n = int.from_bytes(bytes_[:2], "big")
    return bytes_[2:2 + n].decode()


def changelog_records(pipeline):
    """(entity, record) of every part that was ever written."""
    return [(e, r) for e in ENTITIES for r in flat(read(pipeline.address, pipeline.changelog(e)))
            if r.key[:2] != b"\0\0"]


def parts_now(records):
    parts = {}
    for entity, record in records:
        place = (entity, record.partition, record.key)
        if record.value is None:
            parts.pop(place, None)
        else:
            parts[place] = record.value
    return parts


def wait_until_gone(pipeline, expected, seconds=120):
    """Until the changelog holds the rows that it must hold, and no part of another."""
    until = time.time() + seconds
    while True:
        parts = parts_now(changelog_records(pipeline))
        got = {(entity, row_key(key)) for entity, _, key in parts}
        if got == expected:
            return parts
        check(pipeline.process.poll() is None, "the engine has ended:\n" + pipeline.log_text()[-2000:])
        check(time.time() < until, f"{len(got - expected)} rows are still there, {len(expected - got)} are missing: "
              f"{sorted(got - expected)[:4]} {sorted(expected - got)[:4]}")
        time.sleep(0.5)


def partitions(pipeline):
    """Where each row lives, as the changelog says."""
    return {(entity, row_key(record.key)): record.partition for entity, record in changelog_records(pipeline)}


def check_store(pipeline, parts):
    pipeline.stop()
    stored = {(e, p, k): v for e, rows in pipeline.stored_parts().items() for (p, k), v in rows.items()}
    check(stored == parts, f"the store has {len(stored)} parts, the changelog {len(parts)}")


def start(pipeline):
    pipeline.make_topics()
    pipeline.start()


def load_more(pipeline, source, topics, stream, now):
    """While nobody reads: the order is the logs' own then, as it is for who reads all of it later."""
    pipeline.stop()
    come_back(stream, now)
    source.load(stream.take())
    pipeline.start()
    pipeline.wait_until_read(topics)


def test_rows_leave(broker, folder):
    stream, source = Stream(1), Source(broker, "retire")
    topics = list(source.topics.values())
    pipeline = Pipeline(broker.address, folder, "retire", FILE, source.settings())
    now = grow_old(stream)
    source.load(stream.take())
    start(pipeline)
    pipeline.wait_until_read(topics)
    partition_of = partitions(pipeline)
    expected = Expected(source, partition_of)
    kept = expected.rows()
    held = {k for k in kept if expected.held.get(k[1])}
    check(len(expected.newest) - len(kept) > 3000 and len(held) > 50, f"{len(kept)} rows are to stay, {len(held)} held")
    parts = wait_until_gone(pipeline, kept)
    deletes = [r for _, r in changelog_records(pipeline) if r.value is None]
    check(any(int.from_bytes(r.key[-4:], "big") >= 2 for r in deletes), "no chunk was deleted")
    check(len(parts) == len(kept), f"{len(parts)} parts of {len(kept)} rows")
    load_more(pipeline, source, topics, stream, now)
    parts = wait_until_gone(pipeline, Expected(source, partitions(pipeline)).rows())
    check_store(pipeline, parts)
    shutil.rmtree(pipeline.state)  # from the changelog alone
    pipeline.start()
    pipeline.wait_for("ready")
    check_store(pipeline, parts)

    whole = Pipeline(broker.address, folder, "retire-never", FILE, [*source.settings(), "state.retire=0"])
    whole.run_through(topics)
    check(not [r for _, r in changelog_records(whole) if r.value is None and r.key[-4:] == b"\0\0\0\0"],
          "a run that never retires has deleted rows")
    for got, want, what in zip(pipeline.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        same(got, want, what)
    print(f"        {len(partition_of)} rows, {len(deletes)} parts deleted, {len(parts)} left in the end")


def test_killed_in_the_middle(broker, folder):
    stream, source = Stream(2), Source(broker, "retire-kill")
    topics = list(source.topics.values())
    pipeline = Pipeline(broker.address, folder, "retire-kill", FILE, [*source.settings(), "state.retire=1000"])
    now = grow_old(stream)
    source.load(stream.take())
    start(pipeline)
    pipeline.wait_until_read(topics)
    kept = Expected(source, partitions(pipeline)).rows()
    cut = []
    for _ in range(4):
        until, before = time.time() + 60, sum(r.value is None for _, r in changelog_records(pipeline))
        while sum(r.value is None for _, r in changelog_records(pipeline)) < before + 200:
            check(time.time() < until, f"no row leaves, {before} parts have")
        pipeline.kill()
        left = {(e, row_key(k)) for e, _, k in parts_now(changelog_records(pipeline))} - kept
        cut.append(len(left))
        pipeline.start()
        pipeline.wait_for("ready")
        if not left:
            break
    check(cut[0] > 0, "the kill came when every row had left")
    wait_until_gone(pipeline, kept)
    load_more(pipeline, source, topics, stream, now)
    parts = wait_until_gone(pipeline, Expected(source, partitions(pipeline)).rows())
    check_store(pipeline, parts)
    whole = Pipeline(broker.address, folder, "retire-kill-never", FILE, [*source.settings(), "state.retire=0"])
    whole.run_through(topics)
    for got, want, what in zip(pipeline.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        same(got, want, what)
    print(f"        killed with {cut} rows still to leave")


def test_ttl(broker, folder):
    """Counts over all time: they begin anew after the ttl, and neither retirement nor a start changes when."""
    stream, source = Stream(3), Source(broker, "retire-ttl")
    topics = list(source.topics.values())
    settings = [*source.settings(), "features.n_ever=count() by card", "features.shop_ever=count() by shop",
                f"state.ttl={TTL // HOUR}h"]
    pipeline = Pipeline(broker.address, folder, "retire-ttl", FILE, settings)
    now = grow_old(stream)
    source.load(stream.take())
    start(pipeline)
    pipeline.wait_until_read(topics)
    wait_until_gone(pipeline, Expected(source, partitions(pipeline), TTL).rows())
    load_more(pipeline, source, topics, stream, now)
    pipeline.stop()
    whole = Pipeline(broker.address, folder, "retire-ttl-never", FILE, [*settings, "state.retire=0"])
    whole.run_through(topics)
    for got, want, what in zip(pipeline.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        same(got, want, what)
    got = {r.json()["event"]: r.json()["features"] for r in flat(read(broker.address, pipeline.scores))}
    times, again = {}, 0
    for record in source.records:
        if record["source"] != "tx":
            continue
        event, at = record["event"], record["at"]
        for entity, feature in (("card", "n_ever"), ("shop", "shop_ever")):
            seen = times.setdefault((entity, event[entity]), [])
            if seen and at - max(seen) >= TTL:
                again += 1
                seen.clear()
            seen.append(at)
            want = sum(t <= at for t in seen)
            check(got[str(event["id"])][feature] == want,
                  f"{feature} of {event}: {got[str(event['id'])][feature]}, expected {want}")
    check(again > 500, f"{again} rows began anew")
    print(f"        {again} rows began anew after {TTL // HOUR} h")


if __name__ == "__main__":
    main([test_rows_leave, test_killed_in_the_middle, test_ttl])
