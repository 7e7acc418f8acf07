#!/usr/bin/env python3
"""Writes codec_vectors.txt: records and what a decoder must make of them, by Python's own json, re and
datetime. Run it in this folder; the same bytes come out each time.

A line: the record (bytes outside of printable ASCII, blanks and % as %XX), the stage (ok, bad, key,
time), how many numbers were out of range, and one cell per field of the schema, separated by tabs.
Cells: null, long and timestamp in decimal, double by float.hex(), boolean, text with % escapes and a
leading apostrophe. The first half are whole records, written with odd blanks, escapes and orders; the
second half are such records with damage, most of which must be refused."""
import datetime
import json
import random
import re

SEED = 20261124
N_WHOLE, N_DAMAGED = 160, 240
NOW_US = 1577836800_000000  # 2020-01-01
MAX_FUTURE_US = 60_000000
FIELDS = [("k", "string"), ("t", "iso"), ("l", "long"), ("d", "double"), ("b", "boolean"),
          ("s", "string"), ("ts", "seconds"), ("tm", "millis"), ("tu", "micros"), ("naïve \"key\"", "long")]
UNIT_US = {"seconds": 1_000_000, "millis": 1000, "micros": 1}
EPOCH = datetime.datetime(1970, 1, 1)
FIRST_US = -62135596800_000000
LAST_US = 253402300800_000000 - 1


class Bad(Exception):
    pass


class Number(str):
    """A number's own text."""


def to_us(moment):
    return (moment - EPOCH) // datetime.timedelta(microseconds=1)


ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:?\d\d)?)?",
                 re.ASCII)


def read_iso(text):
    m = ISO.fullmatch(text)
    if not m:
        raise Bad(text)
    y, mo, d, h, mi, s, f, zone = m.groups()
    try:
        us = to_us(datetime.datetime(int(y), int(mo), int(d), int(h or 0), int(mi or 0), int(s or 0)))
    except ValueError:
        raise Bad(text)
    us += int((f or "0")[:6].ljust(6, "0"))
    if zone and zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        if hours > 23 or minutes > 59:
            raise Bad(text)
        us -= (1 if zone[0] == "+" else -1) * (hours * 60 + minutes) * 60_000000
    if not FIRST_US <= us <= LAST_US:
        raise Bad(text)
    return us


def read_cell(kind, v):
    """The cell and whether its number was out of range."""
    if v is None:
        return None, 0
    if kind == "string":
        if type(v) is not str:
            raise Bad(v)
        return v, 0
    if kind == "boolean":
        if type(v) is not bool:
            raise Bad(v)
        return v, 0
    if kind == "iso":
        if type(v) is not str:
            raise Bad(v)
        return read_iso(v), 0
    if type(v) is not Number:
        raise Bad(v)
    if kind == "double":
        x = float(v)
        return (x, 0) if abs(x) < 2.0**94 else (None, 1)
    if not re.fullmatch(r"-?\d+", v, re.ASCII):
        raise Bad(v)
    n = int(v)
    if kind == "long":
        if not -2**63 < n < 2**63:
            raise Bad(v)
        return n, 0
    n *= UNIT_US[kind]
    if not FIRST_US <= n <= LAST_US:
        raise Bad(v)
    return n, 0


def refuse(what):
    raise Bad(what)


def pairs(items):
    return tuple(items)


def check_text(v):
    """Python lets single surrogates pass; they are no text."""
    if type(v) is str:
        v.encode("utf-8")
    elif type(v) in (list, tuple):
        for x in v:
            check_text(x)


def decode(record):
    """Stage, numbers out of range, cells."""
    try:
        text = record.decode("utf-8")
        items = json.loads(text, object_pairs_hook=pairs, parse_int=Number, parse_float=Number,
                           parse_constant=refuse)
        check_text(items)
        if not text.lstrip(" \t\r\n").startswith("{"):
            raise Bad("no object")
        known = {name for name, _ in FIELDS}
        names = [name for name, _ in items if name in known]
        if len(set(names)) < len(names):
            raise Bad("twice")
        values = dict(items)
        cells = [read_cell(kind, values.get(name)) for name, kind in FIELDS]
    except (Bad, ValueError, RecursionError):
        return "bad", 0, None
    out_of_range = sum(n for _, n in cells)
    cells = [cell for cell, _ in cells]
    if cells[0] is None:
        return "key", out_of_range, None
    if cells[1] is None or cells[1] > NOW_US + MAX_FUTURE_US:
        return "time", out_of_range, None
    return "ok", out_of_range, cells


rnd = random.Random(SEED)
ALPHABET = "aZ09 _-./\"\\\t\n\x00\x1f\x7fé€ß漢𝄞😀'%&/"


def some_text():
    return "".join(rnd.choice(ALPHABET) for _ in range(rnd.choice((0, 1, 3, 8, 17, 40))))


def escaped(text):
    """JSON text, every character written in one of the ways that JSON has."""
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "/": "\\/"}
    out = []
    for c in text:
        units = c.encode("utf-16-be")
        long = "".join("\\u%04x" % int.from_bytes(units[i:i + 2], "big") for i in range(0, len(units), 2))
        ways = [long, long.upper().replace("\\U", "\\u")]
        if c in short:
            ways += [short[c]] * 3
        if c >= " " and c not in '"\\':
            ways += [c] * 12
        out.append(rnd.choice(ways))
    return '"' + "".join(out) + '"'


def some_iso():
    us = rnd.randrange(-2_000_000_000, 1_577_800_000) * 10**6 + rnd.choice((0, 0, rnd.randrange(10**6)))
    if rnd.random() < 0.05:
        us = rnd.choice((FIRST_US, LAST_US, NOW_US + MAX_FUTURE_US, NOW_US + MAX_FUTURE_US + 1))
    m = EPOCH + datetime.timedelta(microseconds=us)
    text = m.strftime("%Y").zfill(4) + m.strftime("-%m-%d")
    if rnd.random() < 0.1:
        return text
    text += rnd.choice("TTT ") + m.strftime("%H:%M")
    if m.second or m.microsecond or rnd.random() < 0.8:
        text += m.strftime(":%S")
        if m.microsecond or rnd.random() < 0.1:
            text += m.strftime(".%f")[:rnd.randrange(2, 8)] + rnd.choice(("", "000", "999"))
    return text + rnd.choice(("Z", "Z", "Z", "", "+02:00", "-0730", "+00:00"))


def some_long():
    return str(rnd.choice((0, -1, 7, rnd.randrange(10**6), rnd.randrange(-2**63 + 1, 2**63), 2**63 - 1,
                           -2**63 + 1))) if rnd.random() < 0.95 else rnd.choice(
        ("-0", str(2**63), str(-2**63), "5.0", "5e0", "1" * 40))


def some_double():
    x = rnd.choice((rnd.uniform(-1000, 1000), rnd.random() * 10.0**rnd.randrange(-320, 30), 0.0, 57.16))
    return rnd.choice((repr(x), "%.2f" % x if abs(x) < 1e20 else "1e20", "%.17e" % x, "%.25g" % x,
                       str(rnd.randrange(10**12)), "-0.0", "-0", "1E+2", "1e-400", "1e400", "-1e99999",
                       "19807040628566084398385987584", "19807040628566082000000000000",
                       "0.1e9999999999999999999999", "123456789012345678901234567890e-10"))


def some_value(kind):
    if rnd.random() < 0.06:
        return "null"
    if kind == "string":
        return escaped(some_text())
    if kind == "boolean":
        return rnd.choice(("true", "false"))
    if kind == "iso":
        return escaped(some_iso()) if rnd.random() < 0.1 else '"' + some_iso() + '"'
    if kind == "long":
        return some_long()
    if kind == "double":
        return some_double()
    return str(rnd.randrange(-10**9, 1_577_000_000) * (10**6 // UNIT_US[kind]) + rnd.randrange(10)
               if rnd.random() < 0.95 else rnd.choice((LAST_US, LAST_US + 1, 2**63 - 1, FIRST_US - 1)))


def some_unknown(depth=0):
    ways = [some_long, some_double, lambda: escaped(some_text()), lambda: rnd.choice(("true", "false", "null"))]
    if depth < 4:
        ways += [lambda: "[" + ",".join(blank() + some_unknown(depth + 1) for _ in range(rnd.randrange(3))) + "]",
                 lambda: "{" + ",".join(escaped(some_text()) + blank() + ":" + some_unknown(depth + 1)
                                        for _ in range(rnd.randrange(3))) + "}"]
    return rnd.choice(ways)()


def blank():
    return rnd.choice(("",) * 12 + (" ", "  ", "\t", "\r\n", "\n "))


def record():
    items = [(escaped(name) if rnd.random() < 0.1 else json.dumps(name, ensure_ascii=False), some_value(kind))
             for name, kind in FIELDS if rnd.random() < (0.99 if name in "kt" else 0.8)]
    for _ in range(rnd.choice((0, 0, 1, 2))):
        items.insert(rnd.randrange(len(items) + 1), (escaped("u" + some_text()), some_unknown()))
    if rnd.random() < 0.3:
        rnd.shuffle(items)
    if rnd.random() < 0.02:
        items.append(rnd.choice(items))
    body = ",".join(blank() + k + blank() + ":" + blank() + v + blank() for k, v in items)
    return (blank() + "{" + body + "}" + blank()).encode("utf-8")


def damaged(good):
    b = bytearray(good)
    for _ in range(rnd.choice((1, 1, 1, 2, 3))):
        at = rnd.randrange(len(b))
        way = rnd.randrange(6)
        if way == 0:
            b[at] = rnd.randrange(256)
        elif way == 1:
            del b[at]
        elif way == 2:
            b.insert(at, rnd.choice(b'{}[],:"\\0129.eE-+ntf \x00\xff'))
        elif way == 3:
            b[at] ^= 1 << rnd.randrange(8)
        elif way == 4:
            del b[at:at + rnd.randrange(1, 8)]
        else:
            del b[at:]
            break
        if not b:
            break
    return bytes(b)


def shown(raw):
    return "".join(chr(c) if 32 < c < 127 and c != 37 else "%%%02X" % c for c in raw)


def cell(kind, v):
    if v is None:
        return "null"
    if kind == "string":
        return "'" + shown(v.encode("utf-8"))
    if kind == "double":
        return v.hex()
    return str(v).lower()


with open("codec_vectors.txt", "w") as out:
    for i in range(N_WHOLE + N_DAMAGED):
        r = record() if i < N_WHOLE else damaged(record())
        stage, out_of_range, cells = decode(r)
        row = [shown(r), stage, str(out_of_range)]
        if cells:
            row += [cell(kind, v) for (_, kind), v in zip(FIELDS, cells)]
        out.write("\t".join(row) + "\n")
