#!/usr/bin/env python3
"""Writes the fixtures of broken pipeline files: NAME.yaml and NAME.expected, and the canonical hash.

The cases are written by hand below, each mistake as «message» right where it must be reported; a marker
is taken out of the file, and the line, the column, the excerpt and the caret come from where it was.
So what is expected is known without running the program. Needs nothing but Python.
Run it in this folder after changing a case: python3 make_fixtures.py
"""
import hashlib
import json
import pathlib
import re

SOURCE = """sources:
  s:
    topic: t
    fields: {id: long, at: timestamp, k: string, v: double}
    key: k
    time: at
"""
VALID = "pipeline: p\n" + SOURCE
NAME = "is no name: expected letters, digits and `_`, no digit first"
WORD = "is a word of the expression language: choose another name"
TYPES = "`long`, `double`, `boolean`, `string`, `timestamp` or `timestamp(s|ms|us)`"
DURATION = "a duration such as `250ms`, `10m` or `1h30m`"

CASES = {
    "unknown-key": """pipeline: p
sources:
  «`s` lacks `topic`: The topic that is read.»s:
    «unknown key `topc`: did you mean `topic`?»topc: t
    fields: {id: long, at: timestamp, k: string}
    key: k
    time: at
«unknown key `bach`: did you mean `batch`?»bach: {rows: 1}
«unknown key `zzz`»zzz: 1
""",
    "several": """pipeline: «expected 1 to 48 of a-z, 0-9 and `-`, found `Card Fraud`»Card Fraud
sources:
  s:
    topic: «expected a Kafka topic: 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`, found `a b`»a b
    fields: {id: «expected TYPES, found `int`»int, at: timestamp, k: string, v: «expected TYPES, found `doubel`: did you mean `double`?»doubel}
    key: k
    time: at
    lateness: «expected DURATION, found `ten`»ten
batch: {rows: «expected 1 to 65536, found `70000`»70000, max_wait: «expected DURATION, found `2`»2}
delivery: «expected `exactly_once` or `at_least_once`, found `exactly_onec`: did you mean `exactly_once`?»exactly_onec
epoch: {every: «expected 1ms to 1m, found `2m`»2m, rows: «expected a whole number, found `many`»many}
state: {memory: «expected 32MiB to 64TiB, found `1MiB`»1MiB, flush: «expected 0s to 1m, found `1h`»1h, max_row_events: «expected 1 to 1000000000, found `0`»0}
workers: «expected 1 to 256, found `0`»0
start: «expected `earliest`, `latest` or a time such as `2026-01-31T00:00:00Z`, found `soon`»soon
max_idle: «expected a duration such as `10m`, found a list»[1s]
""".replace("TYPES", TYPES).replace("DURATION", DURATION),
    "missing": """«the pipeline lacks `pipeline`: The pipeline's name: part of its topics, group and ids.»«the pipeline lacks `sources`: The topics that are read, by names of your choice.»batch: {rows: 10}
""",
    "missing-below": """pipeline: p
sources:
  «`a` lacks `topic`: The topic that is read.»«`a` lacks `fields`: The fields of a record that are used, each with its type.»«`a` lacks `key`: The field that the topic is partitioned by.»«`a` lacks `time`: The field that says when the event happened.»a: {}
  «`b` lacks `topic`: The topic that is read.»«`b` lacks `fields`: The fields of a record that are used, each with its type.»«`b` lacks `key`: The field that the topic is partitioned by.»«`b` lacks `time`: The field that says when the event happened.»b:
    score: false
models:
  «`m` lacks `file`: The model's file; a relative path starts at the pipeline file's folder.»m: {device: cpu}
outputs: {«`scores` lacks `topic`: The topic.»scores: {features: true}}
«`alerts` lacks `topic`: The topic of the alerts.»alerts:
  rules:
    «`r` lacks `when`: The condition.»r: {suppress: 1m by «`k` is not an entity»k}
""",
    "not-yet": VALID.replace("    key: k\n", "    format: «`avro` is not served yet: expected `json`»avro\n    key: k\n")
    .replace("v: double", "v: «`decimal(n)` is not served yet: expected `long` or `double`»decimal(2)") + """«`tables` is not served yet: leave it out»tables:
  profile: {topic: customer-profiles, key: customer, format: json, fields: {limit: double}}
entities: {k: k}
models:
  a: {file: a.ubj, device: «`cuda` is not served yet: expected `auto` or `cpu`»cuda, «`codes` is not served yet: leave it out»codes: {k: {a: 1}}}
  b: {file: b.ubj, device: «`gpu` is not served yet: expected `auto` or `cpu`»gpu, «`fallback` is not served yet: leave it out»fallback: 0.5}
alerts:
  topic: alerts
  lane: «`fast` is not served yet: expected `epoch`»fast
  rules:
    r: {when: a >= 0.8, «`reasons` is not served yet: leave it out»reasons: 3, suppress: 10m by k}
«`drift` is not served yet: leave it out»drift:
  topic: fraud-drift
  profile: fraud.profile.yaml
""",
    "exchange": VALID + """delivery: «`exchange: topic` needs `delivery: exactly_once`: what an event repeats on its way would be counted twice»at_least_once
exchange: topic
""",
    "exchange-word": VALID + """exchange: «expected `process` or `topic`, found `topics`: did you mean `topic`?»topics
""",
    "kinds": """pipeline: «expected a name, found a list»[a]
kafka: «expected keys below `kafka`, found `localhost:9092`»localhost:9092
sources: «expected names with their values below `sources`, found a list»[s]
features:
  a: «expected an expression, found nothing»~
  b: «expected an expression, found keys with values»{x: 1}
  c: "«expected an expression, found `  `»  "
  «`d d` NAME»d d: 1
  «`9d` NAME»9d: 1
  «`over` WORD»over: 1
  "«`` is no name: it is empty»": 1
batch: «expected keys below `batch`, found `5`»5
outputs:
  scores: {topic: o, features: «expected `true` or `false`, found `yes`»yes}
""".replace("NAME", NAME).replace("WORD", WORD),
    "fields": """pipeline: p
sources:
  s:
    topic: t
    fields: {id: double, at: long, k: boolean, amount: double, «`last` WORD»last: long, x: «expected a field's type such as `long`, found nothing», y: «expected a field's type such as `long`, found a list»[long]}
    id: «`id` must be a long or a string, and field `id` is double»id
    key: «`key` must be a long or a string, and field `k` is boolean»k
    time: «`time` must be a timestamp, and field `at` is long»at
    arrival: «`amuont` is not a field of source `s`: did you mean `amount`?»amuont
entities:
  e: «what identifies an entity must be a long or a string, and field `amount` is double»amount
  f: «`kk` is not a field of source `s`: did you mean `k`?»kk
  g: «`a b` NAME»a b
alerts:
  topic: alerts
  fields: [amount, «`mount` is not a field of source `s`: did you mean `amount`?»mount, «field `amount` is listed twice»amount, «expected a name, found nothing»~]
  rules:
    r: {when: amount > 1, suppress: 10m by «`d` is not an entity: did you mean `e`?»d}
    q: {when: amount > 1, suppress: «expected a duration and an entity such as `10m by customer`, found `10m`»10m}
    t: {when: amount > 1, suppress: «expected a duration and an entity such as `10m by customer`, found `10m by e e`»10m by e e}
    u: {when: amount > 1, suppress: "10m   by   «`zebra` is not an entity»zebra"}
    v: {when: amount > 1, suppress: «expected 1ms to 3650d, found `0s by e`»0s by e}
""".replace("WORD", WORD).replace("NAME", NAME),
    "entity-types": """pipeline: p
sources:
  s:
    topic: t
    fields: {at: timestamp, k: string}
    key: k
    time: at
  other:
    topic: u
    fields: {at: timestamp, «field `k` of entity `k` is long here and string in source `s`: both must be the same»k: long}
    key: k
    time: at
    score: false
  third: # knows nothing of the entity
    topic: w
    fields: {at: timestamp, j: long}
    key: j
    time: at
    score: false
entities: {k: k}
""",
    "two-scored": """pipeline: p
sources:
  a: {topic: t, fields: {at: timestamp, k: string}, key: k, time: at}
  «sources `a` and `b` are both scored: write `score: false` into all but one»b: {topic: u, fields: {at: timestamp, k: string}, key: k, time: at, score: true}
  c: {topic: w, fields: {at: timestamp, k: string}, key: k, time: at, score: false}
""",
    "none-scored": """pipeline: p
«no source is scored: leave `score: false` out of one»sources:
  a: {topic: t, fields: {at: timestamp, k: string}, key: k, time: at, score: false}
""",
    "topics": VALID + """outputs:
  scores: {topic: «topic `t` is that of a source (4:12) already: every topic has one use»t}
  dead_letters: {topic: «topics that begin with `ouzel.p.` are Ouzel's own: choose another name»ouzel.p.changelog.k}
alerts:
  topic: «topic `t` is that of a source (4:12) already: every topic has one use»t
  rules: {r: {when: v > 1}}
""",
    "names": VALID + """entities:
  k: k
  «entity `v` has the name of a field, but is identified by `k`: choose another name»v: k
features:
  id: id
  k: k
  «`at` is the name of a field of the scored source (5:24) already: only the field itself may be a feature of its name»at: hour(at)
  fraud: v + 1
models:
  «`fraud` is the name of a feature (15:3) already: choose another name»fraud: {file: a.ubj}
  «`id` is the name of a field of the scored source (5:14) already: choose another name»id: {file: a.ubj}
""",
    "model-inputs": VALID.replace("k: string", "k: string, city: string, w: double") + """entities: {k: k}
features:
  a: v
  total: v + 1
models:
  one: {file: a.onnx, inputs: [a, «`totl` is not a feature: did you mean `total`?»totl, city, «`w` is a field and no feature: define one, `w: w`»w]}
  two: {file: a.onnx, inputs: [a, total, «feature `a` is listed twice (14:32)»a]}
  three: {file: a.onnx, inputs: {x: [a, «expected the name of a feature, found a list»[b]], y: «expected a list of features such as `[a, b]`, found an empty one»[], z: «expected a list of features such as `[a, b]`, found keys with values»{q: a}, w: total}}
  four: {file: a.onnx, inputs: «expected a list of features such as `[a, b]`, or inputs with theirs such as `{x: [a, b]}`, found nothing»}
  five: {file: a.onnx, inputs: {x: [a], «duplicate key `x`: it stands at 17:33 already»x: [total]}}
""",
    "model-outputs": VALID + """features:
  a: v
  total: v + 1
models:
  one: {file: a.onnx, outputs: {one: y, «`total` is the name of a feature (10:3) already: choose another name»total: z, «`2x` """ + NAME + """»2x: w}}
  two: {file: a.onnx, outputs: {risk: y, other: «output `y` is a score already (13:39)»y, «`one` is the name of a model (12:3) already: choose another name»one: q}}
  three: {file: a.onnx, outputs: {«`risk` is the name of a score (13:33) already: choose another name»risk: y, none: «expected a text, found nothing»}}
  four: {file: a.onnx, «`outputs` has 0 entries: expected at least 1»outputs: {}}
""",
    "source-names": VALID.replace("  s:", "  «`v` is the name of a field of the scored source (5:50) already: choose another name»v:"),
    "duplicates": """pipeline: p
sources:
  s:
    topic: t
    fields: {id: long, at: timestamp, «duplicate key `id`: it stands at 5:14 already»id: string, k: string}
    key: k
    «duplicate key `topic`: it stands at 4:5 already»topic: u
    time: at
«duplicate key `pipeline`: it stands at 1:1 already»pipeline: {a: [b, c]}
batch: {rows: «expected a whole number, found `x`»x}
""",
    "merge-and-tags": """pipeline: «tag `tag:yaml.org,2002:str`: tags are not served, leave it out»!!str p
sources:
  s: &base
    topic: t
    fields: «tag `!mine`: tags are not served, leave it out»!mine {id: long, at: timestamp, k: string}
    key: k
    time: at
  z:
    «merge keys (`<<`) are not served: write the keys out, or alias the whole value»<<: *base
    topic: u
    fields: {at: timestamp, k: string}
    key: k
    time: at
    score: false
""",
    "syntax": """pipeline: p
sources:
  s:
    topic: t
   «not YAML: did not find expected key while parsing a block mapping that began at line 3»fields: {id: long}
""",
    "syntax-bracket": """pipeline: p
batch: {rows: 1
workers«not YAML: did not find expected ',' or '}' while parsing a flow mapping that began at line 2»: 1
""",
    "syntax-tab": """pipeline: p
batch:
«not YAML: found character that cannot start any token while scanning for the next token»\trows: 1
""",
    "alias-unknown": """pipeline: «alias `*nobody`: there is no anchor `&nobody` before it»*nobody
""",
    "alias-itself": """pipeline: p
kafka: &me
  a: «an alias inside the value that it stands for»*me
""",
    "documents": VALID + """«a second document (`---`): one file is one pipeline»---
pipeline: q
""",
    "list-on-top": """«expected `key: value` lines, found a list»- a
- b
""",
    "text-on-top": """«expected `key: value` lines, found `just a text`»just a text
""",
    "list-as-key": """pipeline: p
«a key must be a name, not a list or a mapping»[a, b]: c
""",
    "quoted-and-wide": """«the pipeline lacks `sources`: The topics that are read, by names of your choice.»pipeline: p
# Columns are characters: é and 漢 are one each, and a tab in the line is kept above the caret.
"«unknown key `bé`»b\\u00e9": 1
'«unknown key `ключ`»ключ': {é: 1, 漢: 2}
batch: {rows: "«expected a whole number, found `é漢`»é漢",\tmax_wait: '«expected a duration such as `250ms`, `10m` or `1h30m`, found `it's`»it''s'}
""",
    "folded": """pipeline: p
sources:
  s:
    topic: t
    fields: {at: timestamp, k: string, v: double}
    key: k
    time: at
entities: {k: k}
alerts:
  topic: a
  rules:
    plain:
      when: v > 1
      suppress: 10m
        by
          «`nobody` is not an entity»nobody
    block: {when: v > 1, suppress: "10m\\x20by  \\
      «`é` is not an entity»\\u00e9"}
    folded:
      when: v > 1
      suppress: >
        10m by

        «`who` is not an entity»who
""",
    "substitution": VALID + """kafka:
  a: «the environment variable `OUZEL_TEST_UNSET` is not set: set it, or write `${OUZEL_TEST_UNSET:-default}`»${OUZEL_TEST_UNSET}
  b: x «`${` without `}` (a dollar sign is `$$`)»${OUZEL_TEST_SET
  c: "$$ and $ and «expected `${NAME}`, `${NAME:-default}` or `${file:/path}` (a dollar sign is `$$`)»${not a name}"
  d: «cannot read `/nonexistent/ouzel`: No such file or directory»${file:/nonexistent/ouzel}
  e: «cannot read `/dev/zero`: not a regular file»${file:/dev/zero}
  f: ${OUZEL_TEST_SET} «the environment variable `OUZEL_TEST_UNSET` is not set: set it, or write `${OUZEL_TEST_UNSET:-default}`»${OUZEL_TEST_UNSET}
workers: «expected a whole number, found `from-environment` (from `${OUZEL_TEST_SET}`)»${OUZEL_TEST_SET}
""",
    "secrets": VALID + """kafka:
  sasl.password: hunter2
  «duplicate key `sasl.password`: it stands at 9:3 already»sasl.password: HIDDEN
  ssl.key.pem: «expected a text for `ssl.key.pem`, found a list»[a]
""",
    "limits-none": VALID + """state: {min_free: «expected a share up to `50%` or a size such as `2GiB`, found `51%`»51%}
errors: {stop_above: «expected a share or a number per time such as `1% per 1m` or `500 per 1m`, found `1%`»1%}
""",
    "limits-zero": VALID + """state: {min_free: «expected a share up to `50%` or a size such as `2GiB`, found `0%`»0%}
errors: {stop_above: «expected a share or a number per time such as `1% per 1m` or `500 per 1m`, found `0% per 1m`»0% per 1m}
""",
    "limits-text": VALID + """state: {min_free: «expected a share up to `50%` or a size such as `2GiB`, found `much`»much}
errors: {stop_above: «expected a share or a number per time such as `1% per 1m` or `500 per 1m`, found `101% per 1m`»101% per 1m}
""",
    "limits-sign": VALID + """state: {min_free: «expected a share up to `50%` or a size such as `2GiB`, found `-1%`»-1%}
errors: {stop_above: «expected a share or a number per time such as `1% per 1m` or `500 per 1m`, found `1% per 1m 2m`»1% per 1m 2m}
""",
    "limits-count": VALID + """state: {min_free: «expected a share up to `50%` or a size such as `2GiB`, found `1.5GiB x`»1.5GiB x}
errors: {stop_above: «expected a share or a number per time such as `1% per 1m` or `500 per 1m`, found `0 per 1m`»0 per 1m}
""",
    "limits-time": VALID + """state: {min_free: «expected a share up to `50%` or a size such as `2GiB`, found `x%`»x%}
errors: {stop_above: «expected 1s to 1d, found `5 per 1ms`»5 per 1ms}
""",
    "alert-rules": VALID + """alerts:
  topic: a
  «`rules` has 0 entries: expected at least 1»rules: {}
""",
}

MARK = re.compile("«([^»]*)»")


def fixture(name, marked):
    plain, mistakes, at = "", [], 0
    for mark in MARK.finditer(marked):
        plain += marked[at:mark.start()]
        at = mark.end()
        mistakes.append((len(plain), mark.group(1)))
    plain += marked[at:]
    expected = ""
    for offset, what in mistakes:
        line = plain.count("\n", 0, offset) + 1
        start = plain.rfind("\n", 0, offset) + 1
        text = plain[start:].split("\n")[0]
        before = plain[start:offset]
        column = len(before) + 1
        first, cut = 1, ("", "")
        if len(text) > 96:
            first = max(1, min(column - 60, len(text) - 95))
            cut = ("..." if first > 1 else "", "..." if first + 95 < len(text) else "")
        shown = text[first - 1:first + 95] if len(text) > 96 else text
        pad = "".join("\t" if c == "\t" else " " for c in before[first - 1:])
        expected += f"{name}.yaml:{line}:{column}: {what}\n{line:5} | {cut[0]}{shown}{cut[1]}\n"
        expected += f"      | {' ' * len(cut[0])}{pad}^\n"
    return plain, expected


def main():
    here = pathlib.Path(__file__).parent
    for name, marked in CASES.items():
        plain, expected = fixture(name, marked)
        # The value of a secret is in the file and not in the answer.
        plain = plain.replace("HIDDEN", "swordfish")
        expected = expected.replace("HIDDEN", "***")
        (here / f"{name}.yaml").write_text(plain)
        (here / f"{name}.expected").write_text(expected)
    tree = {"pipeline": "p", "kafka": {"bootstrap.servers": "${KAFKA:-localhost:9092}", "a": "1"},
            "sources": {"s": {"topic": "t", "fields": {"at": "timestamp", "k": "string"},
                              "key": "k", "time": "at"}},
            "alerts": {"topic": "al", "rules": {"r": {"when": "k == 'é' and v > \"\""}},
                       "fields": ["k", "at"]}, "batch": None}
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (here / "canonical.sha256").write_text(hashlib.sha256(text.encode()).hexdigest() + "\n")


main()
