"""How values become bytes and come back: the encodings of docs/wire-format.md.

What inherits from Structure is a dataclass; the annotations of its fields say how they are encoded. A
reader skips what stands behind the fields that it knows, and gives fields that an older peer did not send their
defaults.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import types
from collections.abc import Callable
from typing import (Annotated, Any, NamedTuple, TypeVar, Union, dataclass_transform, get_args, get_origin,
                    get_type_hints)

from .errors import Code, Error

U8 = Annotated[int, struct.Struct("<B")]
U16 = Annotated[int, struct.Struct("<H")]
U32 = Annotated[int, struct.Struct("<I")]
U64 = Annotated[int, struct.Struct("<Q")]
I64 = Annotated[int, struct.Struct("<q")]

_LENGTH = struct.Struct("<I")

T = TypeVar("T")


@dataclass_transform()
class Structure:
    """The base of what travels."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(cls)


class Reader:
    """Walks over received bytes. Raises Error(MALFORMED_MESSAGE) where they end before a field does."""

    __slots__ = ("data", "at", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def skip(self, size: int) -> int:
        """Goes on by `size` bytes; gives where they begin."""
        start = self.at
        if size > self.end - start:
            raise Error(Code.MALFORMED_MESSAGE, "a message that ends before its fields do")
        self.at = start + size
        return start

    def number(self, form: struct.Struct) -> int:
        start = self.skip(form.size)
        return int(form.unpack_from(self.data, start)[0])

    def bytes(self) -> bytes:
        start = self.skip(self.number(_LENGTH))
        return self.data[start:self.at]


class Codec(NamedTuple):
    put: Callable[[bytearray, Any], None]
    get: Callable[[Reader], Any]


def codec(kind: Any) -> Codec:
    """Of a type as it stands in an annotation."""
    return _made(kind)


@functools.cache
def _made(kind: Any) -> Codec:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _number(arguments[1])
    if kind is bool:
        return Codec(lambda to, value: to.append(bool(value)), lambda source: source.data[source.skip(1)] != 0)
    if kind is bytes:
        return Codec(_put_bytes, Reader.bytes)
    if kind is str:
        return Codec(lambda to, value: _put_bytes(to, value.encode()),
                     lambda source: source.bytes().decode(errors="replace"))
    if origin is list:
        return _list(codec(arguments[0]))
    if origin in (types.UnionType, Union):
        return _optional(codec(arguments[0]))
    if isinstance(kind, type) and issubclass(kind, Structure):
        return _structure(kind)
    raise TypeError(f"{kind} has no encoding")


def put_fields(to: bytearray, value: Structure) -> None:
    """The fields alone, without the length that a structure inside of others has in front."""
    shape: Any = type(value)
    for name, one in _fields(shape):
        one.put(to, getattr(value, name))


def get_fields(source: Reader, kind: type[T]) -> T:
    found: list[Any] = []
    shape: Any = kind
    for _, one in _fields(shape):
        if source.at == source.end and len(found) >= _required(shape):
            break  # of an older minor version: the defaults stand for what it does not know
        found.append(one.get(source))
    return kind(*found)


@functools.cache
def _fields(kind: Any) -> list[tuple[str, Codec]]:
    hints = get_type_hints(kind, include_extras=True)
    return [(field.name, codec(hints[field.name])) for field in dataclasses.fields(kind)]


@functools.cache
def _required(kind: Any) -> int:
    return sum(field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
               for field in dataclasses.fields(kind))


def _number(form: struct.Struct) -> Codec:
    return Codec(lambda to, value: to.extend(form.pack(value)), lambda source: source.number(form))


def _put_bytes(to: bytearray, value: bytes) -> None:
    to += _LENGTH.pack(len(value))
    to += value


def _list(element: Codec) -> Codec:
    def put(to: bytearray, value: list[Any]) -> None:
        to += _LENGTH.pack(len(value))
        for one in value:
            element.put(to, one)

    return Codec(put, lambda source: [element.get(source) for _ in range(source.number(_LENGTH))])


def _optional(element: Codec) -> Codec:
    def put(to: bytearray, value: Any) -> None:
        to.append(value is not None)
        if value is not None:
            element.put(to, value)

    return Codec(put, lambda source: element.get(source) if source.data[source.skip(1)] else None)


def _structure(kind: type[Structure]) -> Codec:
    def put(to: bytearray, value: Structure) -> None:
        start = len(to)
        to += bytes(_LENGTH.size)
        put_fields(to, value)
        _LENGTH.pack_into(to, start, len(to) - start - _LENGTH.size)

    def get(source: Reader) -> Structure:
        size = source.number(_LENGTH)
        start = source.skip(size)
        return get_fields(Reader(source.data, start, source.at), kind)

    return Codec(put, get)
