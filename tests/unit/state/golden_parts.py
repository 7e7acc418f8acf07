"""Prints the golden bytes of test_sealed.c: a part's value and key, and an offsets record."""
import struct


def crc32c(data: bytes) -> int:
    """RFC 3720, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def value(layout: int, payload: bytes) -> bytes:
    body = struct.pack("<HH", 1, layout) + payload
    return struct.pack("<I", crc32c(body)) + body


print("value    ", value(7, b"hello").hex())
print("key      ", (struct.pack(">H", 3) + b"c42" + struct.pack(">I", 258)).hex())
# 4 partitions, 2 sources, 1 entity; epoch; time; two source offsets; one changelog offset
offsets = struct.pack("<IIIQqqqq", 4, 2, 1, 812, 1532513472000000, 18841, -1, 77)
print("positions", value(254, offsets).hex())
