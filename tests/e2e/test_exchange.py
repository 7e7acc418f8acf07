"""`exchange: topic`: an entity that is not the topics' key, over several processes. What they write together,
and the rows they leave, equal those of one process that holds everything, whatever order the events arrive in on
their way: late, repeated and label events, equal and backward record times, suppressed alerts. So it stays when
processes start one after the other, are killed, lose their folders, and come back.

The input is loaded before, with explicit times; max_idle is long, so that a slow fetch changes no order."""
import collections
import json
import random
import shutil
import signal
import subprocess
import sys
import time

import events
from confluent_kafka.admin import AdminClient, ConfigResource
from harness import ROOT, Pipeline, check, flat, high_watermarks, main, produce, read, same
from test_group import PACE, Member, partitions, wait
from test_run import load

FILE = ROOT / "tests/e2e/pipeline.yaml"
SETTINGS = ["epoch.every=20ms", "epoch.rows=400", "batch.rows=100", "state.flush=60ms", "max_idle=30s",
            "alerts.rules.high.suppress=2h by shop", "kafka.session.timeout.ms=6000",
            "kafka.transaction.timeout.ms=8000",
            "state.retire=0"]  # rows past use would leave at other moments than the other run's
TOPIC = ["exchange=topic"]
FULL = "--full" in sys.argv
EVENTS = 60000 if FULL else 20000
EVENT = 1  # the kind of an exchange record, its sixth byte


def shaken(seed, n, **more):
    """Record times that are equal, often, and go back, now and then: the order of both is the merge rule's. Some
    events have no shop."""
    rng = random.Random(seed)
    records = events.make(seed, n, **more)
    for record in records:
        record["arrival"] -= record["arrival"] % 60000
        if rng.random() < 0.03:
            record["arrival"] -= rng.randrange(1, 4000) * 1000
        if rng.random() < 0.02 and not record["broken"]:
            record["value"] = json.dumps({**record["event"], "shop": None})
    return records


def input_of(broker, folder, name, seed, settings=(), n=EVENTS, file=FILE):
    """The topics, and what one process without an exchange makes of them."""
    topics, sources = load(broker, name, shaken(seed, n))
    whole = Pipeline(broker.address, folder, f"{name}-whole", file, [*sources, *SETTINGS, *settings])
    whole.run_through(topics)
    return topics, sources, whole


def exchanged(broker, folder, name, sources, settings=(), n=3, file=FILE):
    first = Pipeline(broker.address, folder, name, file, [*sources, *SETTINGS, *TOPIC, *settings])
    first.make_topics()
    return first, [Member(first, instance, []) for instance in "abc"[:n]]


def wait_until_through(members, topics, entities=("shop",), seconds=240):
    """Everything is read, and every event has gone its way: what an exchange topic has behind its committed
    offset are marks."""
    a = members[0]
    a.wait_until_read(topics, seconds)
    for entity in entities:
        exchange = f"ouzel.{a.name}.exchange.{entity}"

        def is_through():
            for member in members:
                check(member.process.poll() is None, f"{member.log} ended:\n{member.log_text()[-1500:]}")
            done = a.committed(exchange)
            return all(r.offset < done[r.partition] for r in flat(read(a.address, exchange))
                       if r.value[5] == EVENT)
        wait(f"{exchange} is not through", is_through, seconds)


def equal(got, whole, entities=("card", "shop")):
    """The same records, each once, and the same rows. Scores of one source partition come from several processes."""
    def by_id(output):
        return sorted(output, key=lambda r: (json.loads(r[2])["id"] if r[2] and r[2][:6] == b'{"v":1' else "", repr(r)))
    for a, b, what in zip(got.outputs(), whole.outputs(), ("scores", "alerts", "dead letters")):
        same(by_id(a), by_id(b), what)
    check(got.rows(entities) == whole.rows(entities), "rows of the changelog differ")


def test_one(broker, folder):
    topics, sources, whole = input_of(broker, folder, "one", 41)
    scores, alerts, dead = whole.outputs()
    text = b"".join(r[2] for r in scores)
    check(all(word in text for word in (b'"late":["card"]', b'"late":["shop"]', b'"late":["card","shop"]',
                                        b'"duplicate"')) and alerts and dead, "the input is too plain")
    check(any(json.loads(r[2])["suppressed"] for r in alerts), "no alert is held back")
    first, (a,) = exchanged(broker, folder, "one-topic", sources, n=1)
    a.start()
    wait_until_through([a], topics)
    a.stop()
    equal(first, whole)
    same(a.stored_rows(), whole.stored_rows(), "rows of the folder")
    # Retention counts from the wall clock, not from the events' own time, years ago.
    check(all(r.time_ms > events.START + 365 * events.DAY
              for r in flat(read(broker.address, f"ouzel.{first.name}.exchange.shop"))), "an old record")


def test_another_definition(broker, folder):
    """A new feature finds nothing under way but marks, and goes on; `exchange` itself must stay."""
    topics, sources = load(broker, "changed", shaken(50, 2000))
    first, (a,) = exchanged(broker, folder, "changed-topic", sources, n=1)
    a.start()
    wait_until_through([a], topics)
    a.stop()
    scores = len(flat(read(broker.address, first.scores)))
    produce(broker.address, [(topics[0], r["key"], r["value"], r["arrival"], None)
                             for r in events.make(51, 100) if r["source"] == "tx" and not r["broken"]])
    a.start(settings=["features.more=count() by shop over 2d"])
    wait_until_through([a], topics)
    a.stop()
    got = [r.json() for r in flat(read(broker.address, first.scores))]
    check(len(got) > scores + 80 and sum("more" in r["features"] for r in got) == len(got) - scores,
          f"{scores} scores, then {len(got)}")
    a.start(settings=["exchange=process"])
    check(a.process.wait(60) == 5 and "`exchange` was `topic`" in a.log_text(), a.log_text()[-1500:])


def test_three(broker, folder):
    topics, sources, whole = input_of(broker, folder, "three", 42)
    first, members = exchanged(broker, folder, "three-topic", sources)
    for member in members:
        member.start(fault=PACE)
        time.sleep(0.3)
    wait("the partitions are not shared out", lambda: sum(partitions(m) or 0 for m in members) == 4
         and all(partitions(m) for m in members))
    print(f"        partitions {[partitions(m) for m in members]} of 4, {first.lag(topics)} records left")
    check(first.lag(topics) > 0, "the input was read before they shared it")
    wait_until_through(members, topics)
    for member in members:
        member.stop()
    equal(first, whole)


def test_three_legs(broker, folder):
    """Two entities that are not the key: an event is keyed anew twice, and labels go all the way."""
    more = ["entities.one=id", "features.n_one=count() by one over 7d",
            "features.one_fraud=count(labels) by one over 7d where labels.fraud", "alerts.rules.high.suppress=2h by one"]
    topics, sources, whole = input_of(broker, folder, "legs", 43, more, EVENTS // 2)
    first, members = exchanged(broker, folder, "legs-topic", sources, more, n=2)
    for member in members:
        member.start(fault=PACE)
    wait("the partitions are not shared out", lambda: [partitions(m) for m in members] == [2, 2])
    check(first.lag(topics) > 0, "the input was read before they shared it")
    wait_until_through(members, topics, ["shop", "one"])
    for member in members:
        member.stop()
    equal(first, whole, ["card", "shop", "one"])


def test_nothing_on_the_first_leg(broker, folder):
    """No entity is the topics' key: the first leg only decodes."""
    lines = FILE.read_text().replace("{card: card, shop: shop}", "{shop: shop}").replace("n_1h > 2", "shop_n_7d > 50")
    file = folder / "shops.yaml"
    file.write_text("\n".join(line for line in lines.split("\n") if "by card" not in line or "high:" in line))
    topics, sources, whole = input_of(broker, folder, "shops", 48, n=EVENTS // 4, file=file)
    first, members = exchanged(broker, folder, "shops-topic", sources, n=2, file=file)
    for member in members:
        member.start(fault=PACE)
    wait_until_through(members, topics)
    for member in members:
        member.stop()
    equal(first, whole, ["shop"])


def test_stopped(broker, folder):
    """Ends and starts while events are under way: what one sent on, another start takes up."""
    topics, sources, whole = input_of(broker, folder, "stopped", 46, n=EVENTS // 2)
    first, (a, b) = exchanged(broker, folder, "stopped-topic", sources, n=2)
    a.start(fault=PACE)
    a.wait_for("running: 4 of 4")
    for member in (b, a, b):
        if member.__dict__.get("process"):
            member.stop()
        member.start(fault=PACE)
        member.wait_for("running: ")
        time.sleep(0.7)
    check(first.lag(topics) > 0, "the input was read before the last one came back")
    wait_until_through([a, b], topics)
    for member in (a, b):
        member.stop()
    equal(first, whole)


def refused(arguments, code, *words):
    run = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    check(run.returncode == code and all(w in run.stdout for w in words), f"exit {run.returncode}:\n{run.stdout}")


def test_refusals(broker, folder):
    pipeline = Pipeline(broker.address, folder, "refused", FILE, TOPIC)
    refused(pipeline.arguments("check"), 3, "by card", "rows of `shop`")
    pipeline.settings += ["alerts.rules.high.suppress=2h by shop"]
    refused(pipeline.arguments("check", settings=["delivery=at_least_once"]), 3, "exactly_once")
    refused(pipeline.arguments("replay", "--epoch", "1"), 3, "exchange: topic")
    pipeline.make_topics()
    text = subprocess.run(pipeline.arguments("topics"), stdout=subprocess.PIPE, text=True).stdout
    exchange = f"ouzel.{pipeline.name}.exchange.shop"
    check(f"{exchange} " in text and "exchange.card" not in text, text)
    asked = ConfigResource("topic", exchange)
    admin = AdminClient({"bootstrap.servers": broker.address})
    config = admin.describe_configs([asked])[asked].result()
    check((config["cleanup.policy"].value, config["retention.ms"].value) == ("delete", str(7 * events.DAY)),
          "its retention")


def test_an_exchange_of_an_earlier_life(broker, folder):
    """The group and the changelogs are gone, the exchange topic is not: its events would count twice. What a
    transaction left that was never committed is nobody's."""
    topics, sources = load(broker, "earlier", shaken(49, 2000))
    first, (a, b) = exchanged(broker, folder, "earlier-topic", sources, n=2)
    a.start(fault="offsets-start:1=20000", settings=["epoch.every=1s", "epoch.rows=1500"])
    exchange = f"ouzel.{first.name}.exchange.shop"
    wait("it sends nothing on", lambda: sum(high_watermarks(broker.address, exchange).values()) > 0)
    a.kill()
    check(not flat(read(broker.address, exchange)), "it committed")
    a.start()
    wait_until_through([a], topics)
    a.stop()
    admin = AdminClient({"bootstrap.servers": broker.address})
    time.sleep(6.5)  # the session of a static member
    names = [first.changelog("card"), first.changelog("shop")]
    for future in [*admin.delete_consumer_groups([f"ouzel.{first.name}"]).values(), *admin.delete_topics(names).values()]:
        future.result()
    wait("the topics stay", lambda: not set(names) & set(admin.list_topics(timeout=10).topics))
    b.make_topics()
    b.start()
    check(b.process.wait(60) == 5 and f"{exchange} has events" in b.log_text(), b.log_text()[-1500:])


def test_killed(broker, folder):
    """One of three dies at every step of an epoch, in the middle of a replay and just so; one loses its folder;
    one does not come back, and the others have all of it."""
    topics, sources, whole = input_of(broker, folder, "killed", 44)
    first, (a, b, c) = exchanged(broker, folder, "killed-topic", sources)
    rng = random.Random(7)
    for member in (a, b, c):
        member.start(fault=PACE)
    wait("the partitions are not shared out", lambda: all(partitions(m) for m in (a, b, c)))
    for point in ("commit-start:3", "commit-done:4", "store-start:3", "offsets-sent:5", "batch-emit:9", "seal-produce:4"):
        b.kill()
        b.start(fault=f"{PACE},{point}")
        wait(f"{point}: it does not die there", lambda: b.process.poll() is not None)
    b.start(fault=PACE)
    b.wait_for("running:")
    time.sleep(rng.uniform(0.2, 1))
    c.kill()
    shutil.rmtree(c.state)
    c.start(fault=PACE)
    c.wait_for("rebuilt from")
    check(first.lag(topics) > 0, "the input was read before the last one came back")
    time.sleep(rng.uniform(0.2, 1))
    a.kill()
    wait("nobody takes the partitions over", lambda: partitions(b) + partitions(c) == 4)
    wait_until_through([b, c], topics)
    for member in (b, c):
        member.stop()
    equal(first, whole)


def test_at_random(broker, folder):
    """Kills, ends and stalls, of any of three at any time, folders lost now and then."""
    topics, sources, whole = input_of(broker, folder, "random", 47, n=2 * EVENTS)
    first, members = exchanged(broker, folder, "random-topic", sources)
    rng, said = random.Random(8), collections.Counter()
    for member in members:
        member.start(fault=PACE)
    until = time.time() + 600
    while first.lag(topics) > 0 and time.time() < until:
        time.sleep(rng.uniform(0.1, 2.5))
        member, what = rng.choice(members), rng.choice(["kill", "kill", "stop", "stall", "lose"])
        said[what] += 1
        if what == "stall":
            member.process.send_signal(signal.SIGSTOP)
            time.sleep(rng.uniform(1, 9))
            member.process.send_signal(signal.SIGCONT)
            time.sleep(0.5)
        elif what == "stop" and partitions(member):
            member.process.send_signal(signal.SIGTERM)
            member.process.wait(60)
        member.kill()
        if what == "lose":
            shutil.rmtree(member.state, ignore_errors=True)
        member.start(fault=PACE)
    print(f"        {dict(said)}")
    wait_until_through(members, topics)
    for member in members:
        member.stop()
    equal(first, whole)


def test_aborted(broker, folder):
    """Epochs that fail at each step are read again, lanes and all."""
    topics, sources, whole = input_of(broker, folder, "aborted", 45, n=EVENTS // 2)
    first, (a, b) = exchanged(broker, folder, "aborted-topic", sources, n=2)
    a.start(fault=f"{PACE},seal-produce:7=fail,offsets-start:9=fail,commit-start:12=fail")
    b.start(fault=f"{PACE},offsets-sent:8=fail")
    wait_until_through([a, b], topics)
    check("read again" in a.log_text() and "read again" in b.log_text(), "no epoch was aborted")
    for member in (a, b):
        member.stop()
    equal(first, whole)


if __name__ == "__main__":
    main([test_one, test_another_definition, test_three, test_three_legs, test_nothing_on_the_first_leg, test_stopped, test_refusals,
          test_an_exchange_of_an_earlier_life, test_killed, test_aborted] + FULL * [test_at_random])
