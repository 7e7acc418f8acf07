"""Three brokers, each killed in turn under a run: partitions get other leaders, the group and the transactions
other coordinators, in the middle of whatever is under way. The run goes on with two, by itself, and in the end
outputs and rows equal an undisturbed run's."""
import pathlib
import sys
import time

from confluent_kafka.admin import AdminClient

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import ROOT, Cluster, Pipeline, check, client, main, patient  # noqa: E402
from test_kill import PACE, SETTINGS, equal, undisturbed  # noqa: E402

FILE = ROOT / "tests/e2e/pipeline.yaml"
COORDINATORS = {"__consumer_offsets": "ouzel.{}", "__transaction_state": "ouzel.{}.one"}
FULL = "--full" in sys.argv


def java_hash(text):
    h = 0
    for c in text:
        h = (31 * h + ord(c)) & 0xFFFFFFFF
    return h & 0x7FFFFFFF


def coordinators(cluster, pipeline):
    """Which node coordinates the group, and which its transactions: the leader of the id's partition."""
    admin = client(AdminClient, cluster.address, {})
    leaders = {}
    for topic, name in COORDINATORS.items():
        partitions = patient(lambda t=topic: admin.list_topics(t, 10)).topics[topic].partitions
        leaders[topic] = partitions[java_hash(name.format(pipeline.name)) % len(partitions)].leader - 1
    return leaders


def comes_on(pipeline, topics, before, n, what):
    """Whoever is not killed goes on: so many more records are committed."""
    until = time.time() + 120
    while pipeline.lag(topics) > before - n:
        check(pipeline.process.poll() is None, f"{what}: it ended with {pipeline.process.returncode}:\n"
              + pipeline.log_text()[-3000:])
        check(time.time() < until, f"{what}: it does not go on:\n" + pipeline.log_text()[-3000:])
        time.sleep(0.05)


def test_each_broker_is_killed(cluster, folder):
    topics, sources, whole = undisturbed(cluster, folder, "brokers", 61, 60000, SETTINGS)
    pipeline = Pipeline(cluster.address, folder, "brokers-killed", FILE, [*sources, *SETTINGS])
    pipeline.make_topics()
    pipeline.start(fault=PACE)
    pipeline.wait_for("ready")
    moved = dict.fromkeys(COORDINATORS, 0)
    for node in [*range(cluster.n)] * (3 if FULL else 1):
        comes_on(pipeline, topics, pipeline.lag(topics), 200, "before a kill")
        was = coordinators(cluster, pipeline)
        left = pipeline.lag(topics)
        check(left > 2000, f"{left} records left: too little input for the kills")
        cluster.kill(node)
        comes_on(pipeline, topics, left, 1000, f"without broker {node}")
        now = coordinators(cluster, pipeline)
        for topic, leader in was.items():
            check(now[topic] != node, f"{topic} is led by a broker that is dead")
            moved[topic] += leader == node
        print(f"        broker {node} killed at {left} records left, it coordinated "
              + (", ".join(t for t in was if was[t] == node) or "nothing"))
        cluster.start(node)
        cluster.wait(node)
    check(min(moved.values()) > 0, f"a coordinator never moved: {moved}")
    pipeline.wait_until_read(topics, 120)
    pipeline.stop()
    equal(pipeline, whole)
    print(f"        coordinators moved: {moved}; outputs and rows as undisturbed")


if __name__ == "__main__":
    main([test_each_broker_is_killed], Cluster)
