#!/usr/bin/env python3
"""Writes *_vectors.inc beside itself: what Python's standard library says about the values that
base/ reads, writes and hashes. The answer is the same on every run.

    python3 make_vectors.py

Where each expectation comes from:
  numbers   repr(), float() and exact fractions; laid out from the decimal digits
  instants  datetime (an own reading of the calendar), fromisoformat for texts
  strings   bytes.decode("utf-8", "replace")
  hashes    hashlib, zlib, and CRC-32C bit by bit
"""
import datetime
import hashlib
import os
import random
import struct
import zlib
from decimal import Decimal
from fractions import Fraction

rng = random.Random(20180725)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def bits_of_double(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def double_of_bits(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def float_of_bits(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def c_bytes(data):
    """Every byte as an octal escape: no reader can take them for anything else."""
    return '"' + "".join("\\%03o" % b for b in data) + '"'


def write(name, *tables):
    """tables: (struct, array, rows), a row being its initializers' texts."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "w", encoding="ascii") as out:
        out.write("/* Made by make_vectors.py; do not edit. */\n")
        for kind, array, rows in tables:
            out.write(f"static const struct {kind} {array}[] = {{\n")
            for row in rows:
                out.write("    {" + ", ".join(row) + "},\n")
            out.write("};\n")


def laid_out(text):
    """The digits of a decimal text, as ECMAScript lays a number out, without the plus sign."""
    sign, digits, exponent = Decimal(text).as_tuple()
    digits = "".join(map(str, digits)).lstrip("0")
    head = "-" if sign else ""
    if not digits:
        return head + "0"
    stripped = digits.rstrip("0")
    exponent += len(digits) - len(stripped)
    digits = stripped
    point = len(digits) + exponent  # digits before the point
    if 0 < point <= 21:
        if exponent >= 0:
            return head + digits + "0" * exponent
        return head + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return head + "0." + "0" * -point + digits
    rest = "." + digits[1:] if len(digits) > 1 else ""
    return f"{head}{digits[0]}{rest}e{point - 1}"


def double_rows():
    values = [0.0, -0.0, 1.0, -1.0, 25.0, 0.1, 0.3, 412.5, 1e5, 123456.0, 1e15, 1e16, 1e20, 1e21,
              1e22, 123456789012345680000.0, 1e-5, 1e-6, 1.5e-6, 1e-7, 1.5e-7, 9.999999e-7,
              5e-324, 1.7976931348623157e308, 2.2250738585072014e-308, 9007199254740991.0,
              9007199254740992.0, 9007199254740994.0, 0.9314642, 1 / 3, 2 / 3, 1e23, 9.5e-7,
              4503599627370496.5, 999999999999999900000.0, 0.000001234567890123]
    values += [rng.choice([1, -1]) * rng.randrange(10 ** 9) / 100 for _ in range(40)]
    values += [rng.uniform(-1, 1) for _ in range(40)]
    values += [float(rng.randrange(-2 ** 62, 2 ** 62)) for _ in range(20)]
    while len(values) < 300:
        x = double_of_bits(rng.getrandbits(64))
        if x == x and abs(x) != float("inf"):
            values.append(x)
    return [(f"UINT64_C({bits_of_double(x):#018x})", f'"{laid_out(repr(x))}"') for x in values]


def shortest_float(x):
    """The fewest digits that read back as the same float."""
    for n in range(1, 10):
        text = "%.*e" % (n - 1, x)
        try:
            if struct.pack("<f", float(text)) == struct.pack("<f", x):
                return text
        except OverflowError:
            pass  # rounded up beyond the largest float
    raise AssertionError(x)


def float_rows():
    bits = [0x3f6e7471, 0x3dcccccd, 0x40490fdb, 0x7f7fffff, 0x00000003, 0x447a0000, 0x4b7fffff,
            0x4b189680, 0x60ad78ec, 0x35863dcd, 0xbf19999a, 0x5a0e1bca]
    while len(bits) < 200:
        b = rng.getrandbits(32)
        # The interval around a power of two is lopsided, and the search above does not know it.
        if (b >> 23 & 255) != 255 and b & 0x7fffff:
            bits.append(b)
    return [(f"{b:#010x}u", f'"{laid_out(shortest_float(float_of_bits(b)))}"') for b in bits]


def parse_double_rows():
    texts = ["0", "-0", "0.0", "1e0", "1E5", "1e+5", "1e-5", "123", "0.1", "1e22", "1e23", "-1e23",
             "9007199254740993", "9007199254740992.9999999", "9007199254740993.0000000001",
             "2.2250738585072011e-308", "2.4703282292062327e-324", "2.4703282292062328e-324",
             "1.7976931348623157e308", "1.7976931348623158e308", "1e-400", "-1e-400", "0e999999999",
             "123456789012345678901234567890", "0." + "0" * 400 + "1", "1" + "0" * 300,
             "0." + "3" * 60, "1e-30", "8.5e-7", "89255e-22", "6.631236846766476e-316",
             "3.2378839133029012895883524125015321748630094e-319", "0.5e-1", "1e00022", "1e-0022"]
    for _ in range(250):
        digits = "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 26)))
        text = (digits.lstrip("0") or "0")
        if rng.random() < 0.7:
            text += "." + "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 20)))
        if rng.random() < 0.6:
            text += "e%d" % rng.randrange(-330, 300)
        value = float(text)
        if value != float("inf"):
            texts.append(text)
    return [(f'"{t}"', f"UINT64_C({bits_of_double(float(t)):#018x})") for t in texts]


def nearest_float_bits(x):
    """The float nearest to the fraction x >= 0, ties to even, by bisection over all of them."""
    low, high = 0, 0x7f7fffff  # a float's bits grow with its value
    while low < high:
        middle = (low + high + 1) // 2
        if Fraction(float_of_bits(middle)) <= x:
            low = middle
        else:
            high = middle - 1
    if low == 0x7f7fffff:
        return low
    below = x - Fraction(float_of_bits(low))
    above = Fraction(float_of_bits(low + 1)) - x
    return low + (above < below or (above == below and low & 1))


def parse_float_rows():
    # The fourth and fifth lie beside the middle of two floats: by way of a double they round wrong.
    texts = ["0", "0.1", "16777217", "1.00000017881393432617187499", "1.00000017881393432617187501",
             "1.000000178813934326171875", "3.4028234e38", "1e-45", "7e-46", "1e-60", "0.3", "1e10",
             "1e11", "33554433", "0.9314642", "16777215.5"]
    for _ in range(150):
        text = "%.*e" % (rng.randrange(0, 15), 10 ** rng.uniform(-46, 38))
        texts.append(text)
    return [(f'"{t}"', f"{nearest_float_bits(Fraction(t)):#010x}u") for t in texts]


def us_of(moment):
    return (moment - EPOCH) // MICROSECOND


def int64(n):
    return f"INT64_C({n})"


def written(moment):
    fraction = moment.microsecond
    tail = ".%06d" % fraction if fraction % 1000 else ".%03d" % (fraction // 1000)
    return moment.strftime("%m-%dT%H:%M:%S").join(["%04d-" % moment.year, tail + "Z"])


def some_moments():
    utc = datetime.timezone.utc
    moments = [EPOCH, EPOCH - MICROSECOND, datetime.datetime(1, 1, 1, tzinfo=utc),
               datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=utc),
               datetime.datetime(2018, 7, 25, 10, 11, 12, tzinfo=utc)]
    for year in (1600, 1700, 1900, 1999, 2000, 2004, 2023, 2024, 2100, 2400):
        for month, day in ((1, 1), (2, 28), (3, 1), (12, 31)):
            moments.append(datetime.datetime(year, month, day, 23, 59, 59, 999000, tzinfo=utc))
        if year % 400 == 0 or (year % 4 == 0 and year % 100):
            moments.append(datetime.datetime(year, 2, 29, tzinfo=utc))
    first = us_of(moments[2])
    last = us_of(moments[3])
    for _ in range(200):
        moments.append(EPOCH + rng.randrange(first, last + 1) * MICROSECOND)
    for _ in range(100):
        moments.append(EPOCH + rng.randrange(0, 2 ** 51) // 1000 * 1000 * MICROSECOND)
    return moments


def moment_rows():
    return [(int64(us_of(m)), f'"{written(m)}"', str(m.hour), str(m.isoweekday()))
            for m in some_moments()]


def instant_rows():
    texts = ["2018-07-25", "2018-07-25T10:11", "2018-07-25 10:11:12", "2018-07-25T10:11:12Z",
             "2018-07-25T10:11:12+02:00", "2018-07-25T10:11:12-0530", "2018-07-25T10:11+0200",
             "2018-07-25T10:11:12.5", "2018-07-25T10:11:12.123456Z", "2018-07-25 00:00:00.000001",
             "2016-02-29", "2000-02-29T23:59:59.999999+23:59", "1969-12-31T23:59:59.999999-23:59",
             "0001-01-01", "9999-12-31T23:59:59.999999Z", "2018-07-25T10:11:12.1234+01:00"]
    rows = []
    for text in texts:
        readable = text
        if "." in text:  # the older fromisoformat wants three or six decimals
            head, tail = text.split(".")
            n = len(tail) - len(tail.lstrip("0123456789"))
            readable = head + "." + tail[:n].ljust(6, "0") + tail[n:]
        moment = datetime.datetime.fromisoformat(readable.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        rows.append((f'"{text}"', int64(us_of(moment))))
    for _ in range(100):
        zone = datetime.timezone(datetime.timedelta(minutes=rng.randrange(-1439, 1440)))
        moment = (EPOCH + rng.randrange(-2 ** 55, 2 ** 55) * MICROSECOND).astimezone(zone)
        rows.append((f'"{moment.isoformat()}"', int64(us_of(moment))))
    return rows


def json_text(data):
    out = '"'
    for c in data.decode("utf-8", "replace"):
        if c in '"\\':
            out += "\\" + c
        elif ord(c) < 0x20:
            out += "\\u%04x" % ord(c)
        else:
            out += c
    return (out + '"').encode()


def string_rows():
    valid = ["", "card-fraud", "a\"b\\c", "tab\there", "\x00\x1f\x7f\x80", "Grüße, 你好 🐦",
             "0123456789abcde\"", "01234567\n", "\ud7ff\ue000\U0010ffff"]
    strings = [s.encode() for s in valid]
    strings += [b"\xff", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                b"\xf0\x9f\x90", b"\xe4\xbd", b"abc\xf0\x9f", b"\xc3", b"\xc3(",
                b"\xf1\x80\xc3\xa4", b"\x80\x80", b"\xf8\x88\x80\x80\x80",
                b"1234567\xe4\xbd\xa0rest\xbf"]
    pieces = [bytes([b]) for b in (0x00, 0x0a, 0x22, 0x5c, 0x41, 0x7f, 0x80, 0xbf, 0xc2, 0xc3,
                                   0xdf, 0xe0, 0xe4, 0xed, 0xef, 0xf0, 0xf3, 0xf4, 0xf5,
                                   0x90, 0x9f, 0xa0)]
    pieces += ["é".encode(), "你".encode(), "🐦".encode(), b"plain text"]
    for _ in range(250):
        strings.append(b"".join(rng.choice(pieces) for _ in range(rng.randrange(1, 12))))
    return [(c_bytes(s), str(len(s)), c_bytes(json_text(s)), str(len(json_text(s))))
            for s in strings]


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def hash_rows():
    """Byte i of an input is 7 i + 3, cut to a byte."""
    rows = []
    for n in [*range(0, 34), 63, 64, 65, 127, 128, 240, 241, 1000, 4096, 10007]:
        data = bytes((7 * i + 3) & 255 for i in range(n))
        rows.append((str(n), f"{zlib.crc32(data):#010x}u", f"{crc32c(data):#010x}u",
                     f'"{hashlib.sha256(data).hexdigest()}"'))
    return rows


def main():
    write("number_vectors.inc",
          ("double_text", "double_texts", double_rows()),
          ("float_text", "float_texts", float_rows()),
          ("text_double", "text_doubles", parse_double_rows()),
          ("text_float", "text_floats", parse_float_rows()))
    write("instant_vectors.inc",
          ("moment", "moments", moment_rows()),
          ("text_instant", "text_instants", instant_rows()))
    write("string_vectors.inc", ("string_json", "string_jsons", string_rows()))
    write("hash_vectors.inc", ("hashed", "hashes", hash_rows()))


if __name__ == "__main__":
    main()
