#!/usr/bin/env python3
"""A backfill's table is what its definition says, and the same, with the same rows, however it is cut into
batches and workers, packed, and short of memory; its memory does not grow with the history; what is wrong
with a file is said with its place; and no half table and no scratch folder is left behind.

How: files of the demo's generator (some records broken or repeated), a twin in plain Python, and runs that
are compared with each other byte by byte, tables and stored rows. `full` as an argument: the large sizes."""
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import backfill_twin

ROOT = pathlib.Path(__file__).resolve().parents[3]
OUZEL = os.environ.get("OUZEL", str(ROOT / "build/release/ouzel"))
PIPELINE = ROOT / "pipelines/examples/card-fraud/pipeline.yaml"
FULL = "full" in sys.argv[1:]
RECORD_BYTES_MAX = 1 << 20


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def generate(folder, days, customers, terminals=None, seed=3):
    folder.mkdir()
    subprocess.run([OUZEL, "demo", "fraud", "--write", folder, "--days", str(days), "--seed", str(seed),
                    "--customers", str(customers), "--terminals", str(terminals or 2 * customers)], check=True,
                   stderr=subprocess.DEVNULL)
    return folder


def unpacked(path):
    return subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout


def packed(content):
    return subprocess.run(["zstd", "-qc"], input=content, check=True, stdout=subprocess.PIPE).stdout


def command(data, out, settings=(), more=(), target=True):
    found = {name: next(iter(data.glob(f"{name}.jsonl*")), data / f"{name}.jsonl.zst")
             for name in ("transactions", "labels")}
    return [OUZEL, "backfill", str(PIPELINE), "-o", str(out), *(["--target", "labels.fraud"] if target else []),
            *(x for name, path in found.items() for x in ("--from", f"{name}={path}")),
            *(x for setting in settings for x in ("--set", setting)), *map(str, more)]


def scratch_of(folder):
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return scratch


def nothing_left(folder):
    left = list(scratch_of(folder).iterdir()) + list(folder.glob("*.part"))
    check(not left, f"left behind: {left}")


def peak_of(pid):
    """MiB. What wait4 tells will not do: it counts the Python that was there before the program was."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found.group(1)) / 1024 if found else 0


def run(folder, arguments, code=0, stdout=subprocess.DEVNULL):
    """Peak resident MiB and what was said."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(arguments, stderr=log, stdout=stdout,
                                   env={**os.environ, "TMPDIR": str(scratch_of(folder))})
        peak = 0
        while process.poll() is None:
            peak = peak_of(process.pid) or peak
            time.sleep(0.01)
        log.seek(0)
        text = log.read().decode(errors="replace")
    check(process.returncode == code, f"ended with {process.returncode}, not {code}:\n{text[-1500:]}")
    nothing_left(folder)
    return peak, text


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def parts_of(state):
    """Without the records that are no rows, which have the time in them."""
    command = [OUZEL, "state", str(PIPELINE), "--parts", "--set", f"state.dir={state}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as look:
        yield from (line for line in look.stdout if not line.startswith(b'{"record"'))
    check(look.returncode == 0, f"ouzel state ended with {look.returncode}")


def rows_of(state):
    return b"".join(parts_of(state))


def digest_of_rows(state):
    """Of so many that they are not held."""
    found, n = hashlib.sha256(), 0
    for line in parts_of(state):
        found.update(line)
        n += 1
    check(n, "no rows are stored")
    return found.hexdigest()


def cell_is(cell, want):
    if want is None or isinstance(want, str):
        return cell == (want or "")
    return cell != "" and float(cell) == want


def test_by_definition(folder):
    data, out = generate(folder / "data", 60, 500), folder / "out.csv"
    _, text = run(folder, command(data, out))
    transactions = unpacked(data / "transactions.jsonl.zst").splitlines()
    twin = backfill_twin.table(transactions, unpacked(data / "labels.jsonl.zst").splitlines())
    lines = out.read_text().splitlines()
    header = backfill_twin.HEADER + [backfill_twin.TARGET]
    check(lines[0].split(",") == header, f"another header: {lines[0]}")
    n = with_target = at_risk = 0
    for n, want in enumerate(twin, 1):
        cells = lines[n].split(",") if n < len(lines) else []
        wrong = [name for name, cell, value in zip(header, cells, want) if not cell_is(cell, value)]
        check(len(cells) == len(header) and not wrong, f"line {n + 1}, {wrong}: {cells}\nnot {want}")
        with_target += want[-1] is not None
        at_risk += want[header.index("terminal_risk_7d")] > 0
    check(n == len(lines) - 1, f"{len(lines) - 1} lines, not {n}")
    dead, repeats = len(transactions) - n, n - len({line.split(",", 1)[0] for line in lines[1:]})
    check(dead and repeats and with_target and at_risk, "the files are too good to show anything")
    for words in (f"{n} lines", f"{with_target} with a target", f"{dead} records not taken", f"{repeats} repeats"):
        check(words in text, f"it does not say `{words}`:\n{text}")
    print(f"        {n} lines of {len(header)} columns are the twin's, {at_risk} at a risky terminal, {with_target} "
          f"with a target; {dead} broken, {repeats} repeated")


def test_any_cut(folder):
    """So few terminals that their rows have many chunks, and so long that they drop the oldest."""
    data, first = generate(folder / "data", 100, 200, terminals=10), None
    cuts = [(rows, workers, "2GiB") for rows in (4096, 7, 1) for workers in (1, 2, 4)]
    for rows, workers, memory in cuts + [(512, 3, "64MiB")]:
        out, state = folder / "out.csv", folder / f"state-{rows}-{workers}"
        run(folder, command(data, out, [f"batch.rows={rows}", f"workers={workers}", f"state.memory={memory}"],
                            ["--state", state]))
        dump = rows_of(state)
        first = first or (digest(out), dump)
        check(digest(out) == first[0], f"batches of {rows}, {workers} workers: another table")
        check(dump == first[1], f"batches of {rows}, {workers} workers: other rows")
    numbers = {json.loads(line)["part"] for line in first[1].splitlines()}
    check(max(numbers) > 9 and 2 not in numbers, f"rows have parts {sorted(numbers)}: no chunks, or none dropped")
    _, text = run(folder, command(data, out, more=["--state", state]), 5)
    check("in use" in text, f"a used state folder: {text}")

    for name in ("a.csv.zst", "b.csv.zst"):
        run(folder, command(data, folder / name))
    check(digest(folder / "a.csv.zst") == digest(folder / "b.csv.zst"), "twice, and not the same bytes")
    with open(folder / "stdout.csv", "wb") as stdout:
        run(folder, command(data, "-"), stdout=stdout)
    for name in ("transactions", "labels"):
        plain = data / f"{name}.jsonl"
        plain.write_bytes(unpacked(data / f"{name}.jsonl.zst"))
        (data / f"{name}.jsonl.zst").unlink()
    run(folder, command(data, folder / "plain.csv"))
    subprocess.run(["gzip", "-q", data / "transactions.jsonl", data / "labels.jsonl"], check=True)
    run(folder, command(data, folder / "gzip.csv"))
    same = {hashlib.sha256(unpacked(folder / "a.csv.zst")).hexdigest(),
            *(digest(folder / f"{name}.csv") for name in ("stdout", "plain", "gzip"))}
    check(same == {first[0]}, "packed, to standard output, from plain files or gzip: another table")
    print(f"        {len(cuts) + 1} cuts, 2 packed, 1 to standard output, 2 from other files: the same "
          f"{out.read_bytes().count(10) - 1} lines; the same {first[1].count(10)} parts")


def test_bad_lines(folder):
    """What is wrong with a line costs that line: the others give what they give without it."""
    data, out = generate(folder / "data", 3, 100), folder / "x.csv"
    source = data / "transactions.jsonl.zst"
    lines = [x for x in unpacked(source).splitlines() if backfill_twin.taken(x)]
    source.write_bytes(packed(b"\n".join(lines) + b"\n"))
    run(folder, command(data, folder / "good.csv"))

    def bad_at(place):
        """They carry the time of their place, or none: a file that is not sorted is another matter."""
        near = lines[min(place, len(lines) - 1)]
        return {
            "a line beyond the limit": b'{"tx_id":1,"x":"' + b"y" * RECORD_BYTES_MAX + b'"}',
            "nesting without end": b"[" * 100000,
            "no UTF-8": near.replace(b'"customer":"', b'"customer":"\xff\xfe'),
            "bytes of no kind": bytes(range(128, 256)) + b"\0\0",
            "another type": b'[1,2,3]',
            "an id that is no long": near.replace(b'"tx_id":', b'"tx_id":1e99,"y":'),
            "cut": near[:-9],
        }

    for place in (0, 50, len(lines)):
        bad = bad_at(place)
        mixed = lines[:place] + list(bad.values()) + lines[place:]
        source.write_bytes(packed(b"\n".join(mixed) + b"\n"))
        _, text = run(folder, command(data, out))
        check(f"{len(bad)} records not taken" in text, f"not every bad line was found:\n{text}")
        check(f"transactions.jsonl.zst:{place + 1}: not taken" in text, f"no place is said:\n{text}")
        check(digest(out) == digest(folder / "good.csv"), f"bad lines at {place} change other lines")
    source.write_bytes(packed(b"\n" * 5 + b"\r\n".join(lines)))
    run(folder, command(data, out))
    check(digest(out) == digest(folder / "good.csv"), "blank lines, CRLF or no end of the last line matter")
    print(f"        {', '.join(bad)}: {len(bad)} lines not taken, the others as without them")


def test_bad_files(folder):
    data, out = generate(folder / "data", 3, 100), folder / "x.csv"
    source, labels = data / "transactions.jsonl.zst", data / "labels.jsonl.zst"
    good, good_labels = source.read_bytes(), labels.read_bytes()
    lines, label_lines = unpacked(source).split(b"\n"), unpacked(labels).split(b"\n")

    def refused(code, *words, more=(), arguments=None):
        _, text = run(folder, arguments or command(data, out, more=more), code)
        for word in words:
            check(word in text, f"it does not say `{word}`:\n{text[-800:]}")
        check(out.exists() == (code == 0), "a table")
        out.unlink(missing_ok=True)
        last = [line for line in text.splitlines() if line][-1]
        print(f"        exit {code}: {last.split('Z ', 1)[-1].replace(str(folder) + '/', '')[:130]}")

    source.write_bytes(b"\n".join(lines[:50] + lines[10:11] + lines[50:]))
    refused(1, "transactions.jsonl.zst:51", "not sorted")
    labels.write_bytes(b"\n".join(label_lines[9:10] + label_lines))
    source.write_bytes(good)
    refused(1, "labels.jsonl.zst:2", "not sorted")
    labels.write_bytes(b"")
    refused(0, " 0 with a target")
    labels.unlink()
    refused(4, "labels.jsonl.zst")
    labels.write_bytes(good_labels)
    source.write_bytes(b"")
    refused(0, "0 lines")
    source.write_bytes(good[:len(good) // 2])
    refused(4, "transactions.jsonl.zst", "cut short")
    source.write_bytes(good[:2000] + bytes(200) + good[2200:])
    refused(4, "transactions.jsonl.zst", "damaged")
    source.unlink()
    source.mkdir()
    refused(4, "transactions.jsonl.zst")
    source.rmdir()
    source.write_bytes(good)
    refused(2, "nobody", more=["--from", f"nobody={source}"])
    refused(2, "one file a source", more=["--from", f"labels={labels}"])
    refused(2, "labels.customer", more=["--target", "labels.customer"])
    refused(2, "labels.nothing", more=["--target", "labels.nothing"])
    refused(4, "nowhere", arguments=command(data, folder / "nowhere/x.csv"))


def test_no_room(folder):
    """Output that cannot be written, or that nobody reads any more, ends the run."""
    data = generate(folder / "data", 10, 500)
    with open("/dev/full", "wb") as full:
        _, text = run(folder, command(data, "-"), 7, stdout=full)
    check("No space left" in text, text)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        run(folder, command(data, "-"), 7, stdout=pipe)
    check(not pathlib.Path("/dev/null.part").exists() and pathlib.Path("/dev/null").is_char_device(), "/dev/null")


def test_stopped(folder):
    data, out = generate(folder / "data", 200, 2000), folder / "stopped.csv"
    for name in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(command(data, out), stderr=subprocess.DEVNULL,
                                   env={**os.environ, "TMPDIR": str(scratch_of(folder))})
        part, until = folder / "stopped.csv.part", time.time() + 30
        while not (part.exists() and part.stat().st_size) and time.time() < until:
            time.sleep(0.01)
        process.send_signal(name)
        code = process.wait(20)
        check(code == 7, f"{name}: ended with {code}, not 7")
        check(not out.exists(), "a half table")
        nothing_left(folder)


def test_memory_does_not_grow(folder):
    """240 days: the rows are full then, with 45 days of lateness behind windows of 37 days."""
    customers, short_days, long_days = (5000, 120, 1200) if FULL else (1000, 240, 1200)
    settings, peak = ["state.memory=64MiB", "workers=2"], {}
    for days in (short_days, long_days):
        data = generate(folder / f"days-{days}", days, customers)
        peak[days], text = run(folder, command(data, folder / "out.csv", settings, target=False))
        print(f"        {customers} customers, {days} days: {peak[days]:.0f} MiB resident at most; "
              f"{re.search(r'[0-9]+ rows evicted.*', text).group()}")
    growth = peak[long_days] / peak[short_days] - 1
    print(f"        {long_days // short_days} times the history: {growth:+.1%}")
    check(abs(growth) < 0.10, "memory grows with the history")


def write_many_keys(path, keys):
    """Each key five times in two rounds and a half, far apart, so that no cache holds it until then."""
    with open(path, "w", encoding="ascii") as out:
        for first in range(0, keys * 5 // 2, 8):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1522540800 + first // 8))
            out.write("".join(
                f'{{"tx_id":{i},"at":"{at}","customer":"c{i * 7919 % keys}",'
                f'"terminal":"t{i * 104729 % keys}","amount":{i % 20000 / 100}}}\n' for i in range(first, first + 8)))


def test_many_keys(folder):
    """Most rows do not fit: they go to the store and come back as they were."""
    keys = 1000000 if FULL else 100000
    data = folder / "data"
    data.mkdir()
    write_many_keys(data / "transactions.jsonl", keys)
    (data / "labels.jsonl").write_text("")
    peak = {}
    for memory in ("64MiB", "8GiB"):
        start = time.time()
        peak[memory], text = run(folder, command(data, folder / f"{memory}.csv", [f"state.memory={memory}"],
                                                 ["--state", folder / memory], target=False))
        evicted, again = map(int, re.search(r"(\d+) rows evicted, (\d+) read again", text).groups())
        print(f"        {keys} customers and terminals, {memory} of state: {peak[memory]:.0f} MiB resident at most, "
              f"{evicted} rows evicted, {again} read again, {time.time() - start:.0f} s")
        check((evicted > keys and again > keys) == (memory == "64MiB"), "rows evicted and read again")
    check(peak["64MiB"] < 64 + 120, "memory is not bounded by state.memory")
    check(digest(folder / "64MiB.csv") == digest(folder / "8GiB.csv"), "short of memory: another table")
    check(digest_of_rows(folder / "64MiB") == digest_of_rows(folder / "8GiB"), "short of memory: other rows")


def main():
    failed = 0
    tests = [test_memory_does_not_grow, test_many_keys]
    if not FULL:
        tests = [test_by_definition, test_any_cut, test_bad_lines, test_bad_files, test_no_room, test_stopped, *tests]
    for test in tests:
        start = time.time()
        with tempfile.TemporaryDirectory(prefix="ouzel-backfill-test-") as folder:
            try:
                test(pathlib.Path(folder))
                print(f"ok      {test.__name__}  {time.time() - start:.1f} s", flush=True)
            except (AssertionError, subprocess.SubprocessError, OSError) as failure:
                failed += 1
                print(f"FAILED  {test.__name__}\n{failure}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
