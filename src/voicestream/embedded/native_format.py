"""ClickHouse's Native format as newer clients ask for it over HTTP.

With ``client_protocol_version`` in the URL a server puts a few bytes before every block and, from version 54454 on, one
into the head of every column; clickhouse-go and so Grafana count on it. The embedded engine writes the plain form, so
the bytes are put in here, which takes finding out where each column ends.
Source: NativeWriter and the serializations of ClickHouse.
"""

import re
from collections.abc import Iterator

CUSTOM_SERIALIZATION = 54454
# Field 1, no overflows; field 2, bucket -1; end of fields.
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_ORDINARY = b"\x00"

_WIDTHS = {
    **dict.fromkeys(("Bool", "Int8", "UInt8", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Enum16", "Date", "BFloat16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "Date32", "DateTime", "IPv4", "Time", "Decimal32"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "DateTime64", "Time64", "Decimal64"), 8),
    **dict.fromkeys(("Int128", "UInt128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("Int256", "UInt256", "Decimal256"), 32),
}
_INTERVAL = re.compile(r"Interval\w+")


class UnsupportedTypeError(Exception):
    """A type whose length in the Native format is not known here."""


def with_revision(data: bytes, revision: int) -> bytes:
    """``data``, plain Native, as a server writes it for a client of protocol ``revision``.

    Raises:
        UnsupportedTypeError: a column of JSON, Dynamic, Variant or an aggregate state.
    """
    parts: list[bytes] = []
    position = 0
    while position < len(data):
        begin = position
        columns, position = _varint(data, position)
        rows, position = _varint(data, position)
        parts += (_BLOCK_INFO, data[begin:position])
        for _ in range(columns):
            begin = position
            for _ in ("name", "type"):
                length, start = _varint(data, position)
                position = start + length
            kind = data[start:position].decode()
            parts.append(data[begin:position])
            if revision >= CUSTOM_SERIALIZATION:
                parts.append(_ORDINARY)
            begin = position
            if rows:
                position = _after_values(data, position + _prefix(kind), kind, rows)
            parts.append(data[begin:position])
    return b"".join(parts)


def _after_values(data: bytes, position: int, kind: str, rows: int) -> int:
    """The position behind ``rows`` values of a type."""
    name, arguments = _parse(kind)
    if name == "String":
        for _ in range(rows):
            length, position = _varint(data, position)
            position += length
        return position
    if name == "FixedString":
        return position + rows * int(arguments[0])
    if name == "Decimal":
        digits = int(arguments[0])
        return position + rows * (4 if digits <= 9 else 8 if digits <= 18 else 16 if digits <= 38 else 32)
    if name == "Nullable":
        return _after_values(data, position + rows, arguments[0], rows)
    if name in ("Array", "Map"):
        position += 8 * rows
        inside = int.from_bytes(data[position - 8 : position], "little")
        for argument in arguments:
            position = _after_values(data, position, argument, inside) if inside else position
        return position
    if name == "Tuple":
        for argument in arguments:
            position = _after_values(data, position, _without_name(argument), rows)
        return position if arguments else position + rows
    if name == "LowCardinality":
        return _after_low_cardinality(data, position, arguments[0])
    if name == "SimpleAggregateFunction":
        return _after_values(data, position, arguments[1], rows)
    width = 8 if _INTERVAL.fullmatch(name) else _WIDTHS.get(name)
    if width is None:
        raise UnsupportedTypeError(kind)
    return position + rows * width


def _after_low_cardinality(data: bytes, position: int, kind: str) -> int:
    """Kind of index with flags, the keys, the indexes."""
    flags = int.from_bytes(data[position : position + 8], "little")
    keys = int.from_bytes(data[position + 8 : position + 16], "little")
    name, arguments = _parse(kind)
    position = _after_values(data, position + 16, arguments[0] if name == "Nullable" else kind, keys)
    rows = int.from_bytes(data[position : position + 8], "little")
    return position + 8 + rows * (1 << (flags & 0xFF))


def _prefix(kind: str) -> int:
    """Bytes before the values of a column: eight for every LowCardinality in its type."""
    return 8 * len(re.findall(r"\bLowCardinality\(", kind))


def _parse(kind: str) -> tuple[str, list[str]]:
    """``Map(String, Array(UInt8))`` is ``Map`` of ``String`` and ``Array(UInt8)``."""
    name, bracket, rest = kind.partition("(")
    return (name, list(_arguments(rest[:-1]))) if bracket else (kind, [])


def _arguments(text: str) -> Iterator[str]:
    depth = start = 0
    quoted = escaped = False
    for index, letter in enumerate(text):
        if quoted:
            quoted = escaped or letter not in "'`"
            escaped = letter == "\\" and not escaped
        elif letter in "'`":
            quoted = True
        elif letter == "," and depth == 0:
            yield text[start:index].strip()
            start = index + 1
        else:
            depth += (letter == "(") - (letter == ")")
    if last := text[start:].strip():
        yield last


def _without_name(element: str) -> str:
    """The type of an element of a tuple, which may have a name before it: ``a String``, ```a b` String``."""
    if element.startswith("`"):
        return element[element.index("`", 1) + 1 :].strip()
    first, space, rest = element.partition(" ")
    return rest if space and "(" not in first else element


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of the variable-length encoding, and the position behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
