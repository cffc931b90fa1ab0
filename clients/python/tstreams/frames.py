"""Frames: how items are packed, their checksum, and frames of references to frames."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator

from .errors import Code, Error
from .messages import BlobRef, FrameRef

TARGET = 1 << 20       # a frame is sent when the next item would make it longer
INLINE_MAX = 16 << 10  # a transaction of no more than this is sent with its commit


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def crc32c_of_table(data: bytes) -> int:
    """CRC32C (Castagnoli), some 10 MB/s."""
    state, table = 0xFFFFFFFF, _TABLE  # locals are faster
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def _fastest() -> Callable[[bytes], int]:
    for module, name in (("crc32c", "crc32c"), ("google_crc32c", "value")):
        with contextlib.suppress(ImportError):
            found: Callable[[bytes], int] = getattr(importlib.import_module(module), name)
            return found
    return crc32c_of_table


crc32c = _fastest()  # by the package crc32c or google-crc32c where one is installed


def packed(item: bytes) -> bytes:
    """Its length (LEB128), and the item."""
    size, length = len(item), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes(length) + item


def unpack(frame: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(frame):
        size = shift = 0
        while True:
            if at == len(frame) or shift > 28:
                raise Error(Code.CORRUPT, "a frame of items is damaged: an item's length is not whole")
            byte = frame[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if size > len(frame) - at:
            raise Error(Code.CORRUPT, "a frame of items is damaged: an item ends behind its frame")
        yield frame[at:at + size]
        at += size


def unpack_references(frame: bytes) -> list[FrameRef]:
    """What an index frame holds. Its numbers are big-endian."""
    found, at = [], 0
    while at < len(frame):
        size = frame[at + 9] if len(frame) - at > 9 else len(frame)
        if size > len(frame) - at - 10:
            raise Error(Code.CORRUPT, "an index frame is damaged")
        length, crc = int.from_bytes(frame[at + 1:at + 5], "big"), int.from_bytes(frame[at + 5:at + 9], "big")
        found.append(FrameRef(BlobRef(frame[at + 10:at + 10 + size], length, crc), frame[at]))
        at += 10 + size
    return found
