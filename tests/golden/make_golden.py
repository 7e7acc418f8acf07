#!/usr/bin/env python3
"""Makes what stands in this folder: a pipeline, its model, a tiny input, and the bytes that must come out.

Usage: make_golden.py          writes pipeline.yaml and the *.golden files beside itself
       make_golden.py --train  trains stump.ubj anew first (needs xgboost; its hash changes the files)

Nothing here asks the engine. Outputs are written down as README.md describes them, scores are what the
trainer predicted (stump.golden.csv), and rows are encoded by the few functions below from the description
at the top of features/row_codec.h and features/block_codec.h. tests/e2e/test_golden.py runs the binary
over the same input and compares bytes."""
import csv
import hashlib
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
PARTITIONS = 4
START = 1522576800000  # 2018-04-01T10:00:00Z in ms
MINUTE, HOUR, DAY = 60000, 3600000, 86400000

# Scalars as they stand in the file. ${SUFFIX} keeps names apart on a broker that is not the test's own.
PIPELINE = {
    "pipeline": "golden${SUFFIX:-}",
    "kafka": {"bootstrap.servers": "${BROKER}"},
    "sources": {
        "tx": {
            "topic": "golden${SUFFIX:-}-tx", "format": "json",
            "fields": {"id": "long", "at": "timestamp", "card": "string", "shop": "string", "amount": "double"},
            "id": "id", "key": "card", "time": "at", "lateness": "10m"},
        "labels": {
            "topic": "golden${SUFFIX:-}-labels", "format": "json",
            "fields": {"id": "long", "at": "timestamp", "card": "string", "shop": "string", "fraud": "boolean"},
            "id": "id", "key": "card", "time": "at", "lateness": "45d", "score": "false"},
    },
    "entities": {"card": "card", "shop": "shop"},
    "features": {
        "amount": "amount",
        "n_1h": "count() by card over 1h",
        "mean_1d": "mean(amount) by card over 1d",
        "shop_fraud": "count(labels) by shop over 7d where labels.fraud",
    },
    "models": {"stump": {"file": "stump.ubj"}},
    "outputs": {
        "scores": {"topic": "golden${SUFFIX:-}-scores", "features": "true"},
        "dead_letters": {"topic": "golden${SUFFIX:-}-dead"},
    },
    "alerts": {
        "topic": "golden${SUFFIX:-}-alerts",
        "fields": ["amount", "shop"],
        "rules": {"high": {"when": "amount > 400", "suppress": "2h by card"}, "often": {"when": "n_1h > 2"}},
    },
    "state": {"dir": "${STATE}", "memory": "128MiB"},
    "instance": "one",
    "start": "earliest",
    "max_idle": "300ms",
}


def yaml(value, indent=0):
    """Block mappings, flow lists, plain scalars."""
    lines = []
    for key, below in value.items():
        if isinstance(below, dict):
            lines += [" " * indent + f"{key}:", yaml(below, indent + 2)]
        else:
            text = "[" + ", ".join(below) + "]" if isinstance(below, list) else below
            lines.append(" " * indent + f"{key}: {text}")
    return "\n".join(lines)


def config_hash():
    """Of the canonical text: JSON, keys sorted, no blanks, every scalar a string as it is written."""
    text = json.dumps(PIPELINE, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def model_hash():
    return hashlib.sha256((HERE / "stump.ubj").read_bytes()).hexdigest()[:16]


def train():
    import numpy as np
    import xgboost as xgb
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.integers(1, 60000, 400) / 100, rng.integers(1, 6, 400)])
    y = (x[:, 0] > 350) & (x[:, 1] > 1)
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1, "seed": 1},
                        xgb.DMatrix(x, y, feature_names=["amount", "n_1h"]), 2)
    booster.save_model(HERE / "stump.ubj")
    rows = [(412.5, 1), (None, 2), (500, 3), (0.1, 1), (123456.789, 1), (20, 1), (7.25, None), (1e22, 1)]
    values = np.array([[np.nan if v is None else v for v in row] for row in rows], np.float32)
    scores = booster.predict(xgb.DMatrix(values, feature_names=["amount", "n_1h"]))
    with open(HERE / "stump.golden.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["amount", "n_1h", "output"])
        for row, score in zip(rows, scores):
            out.writerow(["" if v is None else v for v in row] + [np.format_float_positional(score, unique=True)])


def predictions():
    with open(HERE / "stump.golden.csv", newline="") as file:
        return {(r["amount"], r["n_1h"]): r["output"] for r in csv.DictReader(file)}


# ---- the input: (source, partition, key, value, time in ms, headers), in the order of the times

def murmur2(data):
    """Of Java's clients: a key's partition is this, its sign cut off, modulo the partitions."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if data[whole:]:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key):
    return (murmur2(key) & 0x7FFFFFFF) % PARTITIONS


def iso(ms, micros=0):
    minutes, rest = divmod(ms - START, MINUTE)
    fraction = f"{rest % 1000:03d}" + (f"{micros:03d}" if micros else "")
    return f"2018-04-01T{10 + minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{fraction}Z"


QUOTED = 'c "2"\n\x01é'  # a name that JSON has to escape


def tx(number, at, card, shop, amount):
    return {"id": number, "at": at, "card": card, "shop": shop, "amount": amount}


def made_input():
    records, clock = [], iter(range(START, START + DAY, 1000))

    def add(source, event, key=True, headers=None, partition=None):
        value = event if event is None or isinstance(event, bytes) else json.dumps(event).encode()
        if key is True:
            key = event["card"].encode()
        if partition is None:
            partition = partition_of(key)
        records.append((source, partition, key, value, next(clock), headers))

    add("tx", tx(1, iso(START), "c1", "s1", 412.5))
    add("tx", tx(2, iso(START + MINUTE), "c1", "s1", None))
    add("labels", {"id": 1, "at": iso(START), "card": "c1", "shop": "s1", "fraud": True})
    add("tx", tx(3, iso(START + 2 * MINUTE), "c1", "s1", 500))
    add("tx", tx(4, iso(START + 2 * MINUTE, 7), QUOTED, "s2", 0.1))
    add("tx", tx(3, iso(START + 2 * MINUTE), "c1", "s1", 500))              # a repeat
    add("tx", tx(5, iso(START + 3 * HOUR), "c1", "s1", 123456.789))
    add("tx", tx(6, iso(START), "c1", "s1", 7.25))                         # too late
    add("tx", None, key=b"c1")                                             # a tombstone
    add("tx", tx(7, iso(START), "c3", "s3", 1e22), key=None, partition=1)  # no key of its own
    add("tx", b'{"id": 8, "at": "2018-04-01T10', key=b"\x00\xffkey",
        headers=[("trace", b"\x00\xff"), ("none", None), ("trace", b"again")])
    add("tx", b'{"id": 9, "at": "2018-04-01T10:00:00Z", "shop": "s1", "amount": 1}', key=None, partition=2)
    add("tx", b'{"id": 10, "at": "2118-04-01T10:00:00Z", "card": "c1", "shop": "s1", "amount": 1}', key=b"c1")
    return records


# ---- what comes out

def offsets_of(records):
    """The offset that each record gets in its source's partition."""
    seen, out = {}, []
    for source, partition, *_ in records:
        out.append(seen.get((source, partition), 0))
        seen[source, partition] = out[-1] + 1
    return out


def text(value):
    """As JSON; control characters all as \\u00xx."""
    return json.dumps(value, ensure_ascii=False).replace("\\n", "\\u000a")


# For each scored input record: features as text, late entities, flags, alerts as (rule, held back).
ANSWERS = {
    0: (("412.5", "1", "412.5", "0"), [], [], [("high", 0)]),
    1: (("null", "2", "412.5", "0"), [], [], []),
    3: (("500", "3", "456.25", "1"), [], [], [("often", 0)]),       # high: held back
    4: (("0.1", "1", "0.1", "0"), [], [], []),
    5: (("500", "3", "456.25", "1"), [], ["duplicate"], [("often", 0)]),  # high: held back again
    6: (("123456.789", "1", "41456.42966666667", "1"), [], [], [("high", 2)]),
    7: (("7.25", "null", "null", "null"), ["card", "shop"], [], []),
    9: (("1e22", "1", "1e22", "0"), [], [], [("high", 0)]),
}
DEAD = {
    10: ("decode", "not valid JSON: text is not closed before byte 30, the end"),
    11: ("key", 'field "card": the key of the record is missing'),
    12: ("time", 'field "at": its time 2118-04-01T10:00:00.000Z is more than 1m (max_future) ahead of the clock'),
}


def outputs():
    """Scores, alerts, dead letters: {name: [(partition, key, value, time, headers)]}."""
    records, scores, alerts, dead = made_input(), [], [], []
    score_of = predictions()
    models = f'"models":{{"stump":"{model_hash()}"}},"config":"{config_hash()}"'
    for i, (record, offset) in enumerate(zip(records, offsets_of(records))):
        source, partition, key, value, time, headers = record
        identity = f"golden/golden-tx/{partition}/{offset}"
        to = partition if key is None else partition_of(key)
        if i in ANSWERS:
            values, late, flags, fired = ANSWERS[i]
            event = json.loads(value)
            names = list(PIPELINE["features"])
            features = ",".join(f"{text(n)}:{v}" for n, v in zip(names, values))
            score = score_of["" if event["amount"] is None else str(event["amount"]),
                             "" if values[1] == "null" else values[1]]
            what = f'"event":"{event["id"]}","time":"{event["at"]}","key":{text(event["card"])}'
            tail = models + (f',"late":{json.dumps(late, separators=(",", ":"))}' if late else "")
            tail += f',"flags":{json.dumps(flags)}' if flags else ""
            scored = f'"scores":{{"stump":{score}}}'
            scores.append((to, key, f'{{"v":1,"id":"{identity}",{what},{scored},{tail},'
                           f'"features":{{{features}}}}}'.encode(), time, []))
            for rule, held in fired:
                entities = f'"entities":{{"card":{text(event["card"])},"shop":"{event["shop"]}"}}'
                fields = f'"fields":{{"amount":{values[0]},"shop":"{event["shop"]}"}}'
                alerts.append((to, key, f'{{"v":1,"id":"{identity}/{rule}","rule":"{rule}",{what},{entities},'
                               f'{scored},"features":{{{features}}},{fields},{tail},"suppressed":{held}}}'
                               .encode(), time, []))
        if i in DEAD:
            stage, why = DEAD[i]
            own = [("ouzel.v", "1"), ("ouzel.id", identity), ("ouzel.pipeline", "golden"),
                   ("ouzel.stage", stage), ("ouzel.status", "record"), ("ouzel.error", why),
                   ("ouzel.source.topic", "golden-tx"), ("ouzel.source.partition", str(partition)),
                   ("ouzel.source.offset", str(offset)), ("ouzel.source.timestamp", str(time))]
            dead.append((to, key, value, time, (headers or []) + [(k, v.encode()) for k, v in own]))
    return {"scores": scores, "alerts": alerts, "dead_letters": dead}


# ---- rows

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def framed(payload, layout):
    body = struct.pack("<HH", 1, layout) + payload
    return struct.pack("<I", crc32c(body)) + body


def part_key(key, part=0):
    return struct.pack(">H", len(key)) + key + struct.pack(">I", part)


def varint(x):
    out = bytearray()
    while x >= 128:
        out.append(x & 127 | 128)
        x >>= 7
    return bytes(out) + bytes([x])


def zigzag(x):
    return varint(x << 1 if x >= 0 else (-x << 1) - 1)


def times(at_us):
    unit = next(u for u in (1000000, 1000, 1) if all(t % u == 0 for t in at_us))
    steps = [b - a for a, b in zip(at_us, at_us[1:])]
    return (bytes([{1000000: 2, 1000: 1, 1: 0}[unit]]) + zigzag(at_us[0] // unit)
            + b"".join(varint(s // unit) for s in steps))


def ids(numbers):
    return b"".join(zigzag(b - a) for a, b in zip([0] + numbers, numbers))


def amounts(values):
    """Mode 1: cents, others as their eight bytes."""
    out = b"\x01"
    for v in values:
        if v is None:
            out += b"\x03"
        elif abs(v) < 2 ** 43 and round(v * 100) / 100 == v:
            cents = round(v * 100)
            out += varint((cents << 1 if cents >= 0 else (-cents << 1) - 1) << 1)
        else:
            out += b"\x01" + struct.pack("<d", v)
    return out


def block(events, *columns):
    if not events:
        return b"\x00"
    return varint(len(events)) + times([t for t, _ in events]) + ids([n for _, n in events]) + b"".join(columns)


def ring(source, reach_us, *values):
    """A source's events in an entity's rows: how far back they are kept, and what of each."""
    return {"source": source, "id_bytes": 8, "reach_us": reach_us, "settle_us": 0, "last": 0,
            "all_time": False, "all_time_last": False,
            "values": [{"text": f"{kind} {text}", "kind": kind, "nullable": True, "uses": uses}
                       for kind, text, uses in values]}


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


COUNT, SUM = 1, 2
LATE_US = 10 * MINUTE * 1000  # of the scored source: a late event sees its window whole
RINGS = {"card": [ring("tx", LATE_US + DAY * 1000, ("double", "tx.amount", COUNT | SUM))],
         "shop": [ring("tx", LATE_US + 1),
                  ring("labels", LATE_US + 7 * DAY * 1000, ("mark", "where labels.fraud", COUNT))]}
LAYOUTS = {"card": {"rings": RINGS["card"], "rules": ["high"]}, "shop": {"rings": RINGS["shop"], "rules": []}}
LAYOUT = {name: int.from_bytes(hashlib.sha256(compact(layout)).digest()[:2], "big")
          for name, layout in LAYOUTS.items()}


def meta():
    """The record that the changelogs and the state folder are known by."""
    sources = [{"name": n, "key": "card string", "time": "at timestamp", "id": "id long", "scored": n == "tx"}
               for n in ("tx", "labels")]
    entities = [{"name": n, "keys": [f"tx.{n} string", f"labels.{n} string"], "layout": LAYOUT[n],
                 "layouts": [{"layout": LAYOUT[n], "from": 0, **LAYOUTS[n]}]} for n in ("card", "shop")]
    return compact({"v": 2, "pipeline": "golden", "partitions": PARTITIONS, "sources": sources, "entities": entities})


def row(newest_us, rings, suppressions=(), trimmed=()):
    """Version 1; flag 2: a newest scored time is there; the next part is 2: no chunk yet. Flag 4 of a ring: some of
    its events were let go."""
    head = b"\x01\x02" + zigzag(newest_us) if newest_us is not None else b"\x01\x00"
    tag = b"".join(varint(slot) + zigzag(at) + varint(held) for slot, at, held in suppressions)
    tags = b"\x02" + varint(len(tag)) + tag if tag else b""
    return head + b"\x02" + tags + b"\x00" + b"".join((b"\x04" if i in trimmed else b"\x00") + ring
                                                     for i, ring in enumerate(rings))


def rows():
    """{entity: [(partition, key, value)]}: what a reader of the whole changelog is left with."""
    us = 1000
    t0, t1, t2 = START * us, (START + MINUTE) * us, (START + 2 * MINUTE) * us
    t5, other = (START + 3 * HOUR) * us, t2 + 7
    c1 = row(t5, [block([(t0, 1), (t1, 2), (t2, 3), (t5, 5)], amounts([412.5, None, 500, 123456.789])), ],
             [(0, t5, 0)])
    c2 = row(other, [block([(other, 4)], amounts([0.1]))])
    c3 = row(t0, [block([(t0, 7)], amounts([1e22]))], [(0, t0, 0)])
    label = block([(t0, 1)], b"\x02\x01")  # a mark that is there
    # No window reads a shop's transactions: those that are too old to be repeated are gone.
    s1 = row(t5, [block([(t5, 5)]), label], trimmed=[0])
    s2 = row(other, [block([(other, 4)]), block([])])
    s3 = row(t0, [block([(t0, 7)]), block([])])
    quoted = QUOTED.encode()
    # c3's record has no key of its own and was put into partition 1: its row is where the record is.
    cards = [(partition_of(b"c1"), b"c1", c1), (partition_of(quoted), quoted, c2), (1, b"c3", c3)]
    shops = [(partition_of(k), k, v) for k, v in ((b"s1", s1), (b"s2", s2), (b"s3", s3))]
    return {name: sorted((p, part_key(k), framed(v, LAYOUT[name])) for p, k, v in entity)
            for name, entity in (("card", cards), ("shop", shops))}


META_KEY = part_key(b"", 0)


def positions(sources, changelogs, epoch, time_us):
    """An offsets record of the state folder: next offsets of one partition, by source and by entity."""
    return framed(struct.pack("<IIIQq", PARTITIONS, len(sources), len(changelogs), epoch, time_us)
                  + struct.pack(f"<{len(sources) + len(changelogs)}q", *sources, *changelogs), 254)


# ---- files

def shown(data):
    if data is None:
        return "none"
    try:
        plain = data.decode()
        if plain.isprintable() and not plain.startswith(("hex ", "none")):
            return plain
    except UnicodeDecodeError:
        pass
    return "hex " + data.hex()


def records_text(records):
    out = []
    for partition, key, value, time, headers in sorted(records, key=lambda r: (r[0], r[3], r[2] or b"")):
        out += [f"partition {partition}", f"key {shown(key)}", f"time {time}"]
        out += [f"header {name} {shown(value)}" for name, value in headers]
        out += [f"value {shown(value)}", ""]
    return "\n".join(out)


def rows_text(entities):
    out = []
    for name, parts in sorted(entities.items()):
        for partition, key, value in sorted(parts):
            out += [f"entity {name} partition {partition}", f"key {key.hex()}", f"value {value.hex()}", ""]
    return "\n".join(out)


def files():
    """Everything that is committed beside this script and made by it."""
    made = {f"{name}.golden": records_text(records) for name, records in outputs().items()}
    made["changelog.golden"] = rows_text(rows())
    made["meta.golden"] = f"key {META_KEY.hex()}\nvalue {meta().decode()}\n"
    made["positions.golden"] = ("sources 18841 -1 changelogs 77 12 epoch 812 time 1532513472000000\nvalue "
                                + positions([18841, -1], [77, 12], 812, 1532513472000000).hex() + "\n")
    made["pipeline.yaml"] = ("# What the golden bytes come from. Made by make_golden.py.\n" + yaml(PIPELINE) + "\n")
    return made


if __name__ == "__main__":
    if sys.argv[1:] == ["--train"]:
        train()
    for file_name, content in files().items():
        (HERE / file_name).write_text(content)
