"""What a start refuses, and how it says so: a dead broker, missing topics, a second process on the state, a
second member of the group, a state that does not belong to the group, a file that is wrong; where a new
group begins; and what signals do."""
import shutil
import signal
import subprocess
import time

import events
from harness import (OUZEL, ROOT, RUN, Pipeline, check, flat, main, make_topics, produce, read, same)
from test_run import load

FILE = ROOT / "tests/e2e/pipeline.yaml"


def ends_with(pipeline, code, *words, seconds=60, more=(), settings=()):
    """Starts it and expects it to end by itself."""
    pipeline.start(more=more, settings=settings)
    try:
        got = pipeline.process.wait(seconds)
    except subprocess.TimeoutExpired as late:
        pipeline.kill()
        raise subprocess.SubprocessError(f"{pipeline.name} did not end:\n{pipeline.log_text()}") from late
    text = pipeline.log_text()
    check(got == code, f"{pipeline.name} ended with {got}, not {code}:\n{text[-1500:]}")
    for word in words:
        check(word in text, f"{pipeline.name} does not say `{word}`:\n{text[-1500:]}")
    errors = [l for l in text.split("\n") if " error " in l]
    if errors:
        print(f"        exit {code}: {errors[-1].split(' error ', 1)[1][:200]}")


def test_dead_broker(broker, folder):
    pipeline = Pipeline("127.0.0.1:1", folder, "dead-broker", FILE)
    start = time.time()
    ends_with(pipeline, 4, "127.0.0.1:1", more=["--broker-wait", "3s"])
    check(3 <= time.time() - start < 20, "it did not wait as told")


def test_missing_topics(broker, folder):
    pipeline = Pipeline(broker.address, folder, "no-topics", FILE,
                        [f"sources.tx.topic=nowhere{RUN}", f"sources.labels.topic=nowhere{RUN}-labels"])
    ends_with(pipeline, 4, f"nowhere{RUN}", "ouzel topics --create")


def test_two_processes(broker, folder):
    topics, settings = load(broker, "two", events.make(21, 2000))
    first = Pipeline(broker.address, folder, "two", FILE, settings)
    first.make_topics()
    first.start()
    first.wait_for("ready")
    same_state = Pipeline(broker.address, folder, "two", FILE, settings)
    same_state.log = folder / "second.log"
    ends_with(same_state, 5, "in use by process")
    member = Pipeline(broker.address, folder, "two", FILE,
                      [*settings, "instance=other", f"state.dir={folder}/other-state"])
    member.log = folder / "third.log"
    ends_with(member, 5, "member", "exchange: topic")
    first.wait_until_read(topics)
    first.stop()
    check(len(flat(read(broker.address, first.scores))) > 1500, "the incumbent was disturbed")


def test_state_and_group_belong_together(broker, folder):
    topics, settings = load(broker, "belong", events.make(22, 2000))
    pipeline = Pipeline(broker.address, folder, "belong", FILE, settings)
    pipeline.run_through(topics)
    ends_with(pipeline, 5, "definition", "the time of source `labels`", settings=["sources.labels.time=reported_at"])
    shutil.move(pipeline.state, folder / "away")
    pipeline.start()
    pipeline.wait_for("ready")
    pipeline.stop()
    check("rebuilt from" in pipeline.log_text(), "it does not say that its state was rebuilt")
    rebuilt = pipeline.stored_rows()
    shutil.rmtree(pipeline.state)
    shutil.copytree(folder / "away", pipeline.state)
    same(rebuilt, pipeline.stored_rows(), "rows rebuilt from the changelog")
    shutil.rmtree(pipeline.state)
    other = Pipeline(broker.address, folder, "belong-other", FILE, [*settings, f"state.dir={folder}/away"])
    other.make_topics()
    ends_with(other, 5)
    shutil.move(folder / "away", pipeline.state)
    pipeline.start()
    pipeline.wait_for("ready")
    pipeline.stop()


def test_wrong_files(broker, folder):
    wrong = folder / "wrong.yaml"
    wrong.write_text(FILE.read_text().replace("topic: e2e-tx", "topik: e2e-tx"))
    ends_with(Pipeline(broker.address, folder, "wrong", wrong), 3, "topik", "did you mean `topic`")
    model = folder / "model.yaml"
    model.write_text(FILE.read_text() + "models:\n  m: {file: nothing.ubj}\n")
    ends_with(Pipeline(broker.address, folder, "no-model", model), 4, "nothing.ubj")
    (folder / "nothing.ubj").write_bytes(b"{\x00\x01 this is no model")
    ends_with(Pipeline(broker.address, folder, "bad-model", model), 6, "nothing.ubj")
    ends_with(Pipeline(broker.address, folder, "bad-kafka", FILE, ["kafka.linger.msec=5"]), 3,
              "linger.msec")


def test_unreadable_settings(broker, folder):
    """Each is answered at once, before any broker is asked."""
    for code, word, settings, file in (
            (4, "cannot read `/nowhere.yaml`", [], "/nowhere.yaml"),
            (4, "Is a directory", [], folder),
            (3, "NOT_SET_HERE", ["instance=${NOT_SET_HERE}"], FILE),
            (3, "cannot read `/nowhere`", ["kafka.sasl.password=${file:/nowhere}"], FILE),
            (3, "ssl.ca.location", ["kafka.security.protocol=ssl", "kafka.ssl.ca.location=/nowhere"], FILE),
            (3, "expected a duration", ["epoch.every=fast"], FILE),
            (3, "unknown key `nothing`", ["nothing.here=1"], FILE),
            (2, "expected key=value", ["epoch.every"], FILE)):
        ends_with(Pipeline(broker.address, folder, "unreadable", file, settings), code, word, seconds=5)


def test_security_settings_pass_through(broker, folder):
    """TLS and SASL settings reach the client: it tries to speak TLS to a broker that does not."""
    pipeline = Pipeline(broker.address, folder, "tls", FILE,
                        ["kafka.security.protocol=SASL_SSL", "kafka.sasl.mechanisms=PLAIN",
                         "kafka.sasl.username=me", "kafka.sasl.password=secret-word"])
    ends_with(pipeline, 4, "SSL", more=["--broker-wait", "3s"])
    check("secret-word" not in pipeline.log_text(), "a password was printed")


def test_where_a_new_group_begins(broker, folder):
    records = [("tx", f"c{i}", f'{{"id": {i}, "at": "{events.iso(events.START + i)}", "card": "c{i}", '
                f'"shop": "s", "amount": 1}}', events.START + i * 1000) for i in range(100)]
    topics = [f"begin{RUN}-tx", f"begin{RUN}-labels"]
    make_topics(broker.address, topics)
    produce(broker.address, [(topics[0], k, v, t, None) for _, k, v, t in records])
    settings = [f"sources.tx.topic={topics[0]}", f"sources.labels.topic={topics[1]}"]
    for start, expected in (("earliest", 100), ("latest", 0), (events.iso(events.START + 60000), 40)):
        name = f"begin-{expected}"
        pipeline = Pipeline(broker.address, folder, name, FILE, [*settings, f"start={start}"])
        pipeline.make_topics()
        pipeline.start()
        pipeline.wait_for("ready")
        pipeline.wait_until_read(topics)
        pipeline.stop()
        got = len(flat(read(broker.address, pipeline.scores)))
        check(got == expected, f"start: {start} scored {got} of 100, not {expected}")
    print("        earliest 100, latest 0, a time 40 of 100")


def test_signals(broker, folder):
    """The first ends it well, also while it waits for a broker; the second at once, and that is a crash."""
    topics, settings = load(broker, "signal", events.make(23, 500))
    pipeline = Pipeline(broker.address, folder, "signal", FILE, settings)
    pipeline.make_topics()
    pipeline.start()
    pipeline.wait_for("ready")
    pipeline.process.send_signal(signal.SIGINT)
    check(pipeline.process.wait(30) == 0, "SIGINT does not end it well")
    # It takes 20 s to drain, as the store is slow.
    pipeline.start(fault="store-start:every=20000")
    pipeline.wait_for("ready")
    pipeline.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    check(pipeline.process.poll() is None, "the drain did not wait for the store")
    pipeline.process.send_signal(signal.SIGTERM)
    check(pipeline.process.wait(2) == 128 + signal.SIGTERM, "a second SIGTERM does not end it at once")
    pipeline.start()
    pipeline.wait_until_read(topics)
    pipeline.stop()
    unreachable = Pipeline("127.0.0.1:1", folder, "signal-start", FILE)
    unreachable.start()
    unreachable.wait_for("no broker answers")
    unreachable.process.send_signal(signal.SIGTERM)
    check(unreachable.process.wait(20) == 0, "SIGTERM while it waits for a broker")
    check(subprocess.run([OUZEL, "run"], check=False, stderr=subprocess.DEVNULL).returncode == 2, "usage")


if __name__ == "__main__":
    main([test_dead_broker, test_missing_topics, test_two_processes, test_state_and_group_belong_together,
          test_wrong_files, test_unreadable_settings, test_security_settings_pass_through,
          test_where_a_new_group_begins, test_signals])
