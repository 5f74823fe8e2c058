"""What an ONNX file says of itself, read without its weights and without a library that knows the format.

A file is a message of Protocol Buffers: fields one after the other, each a number that says which field and of what
kind, then a value or a length and so many bytes. The metadata are one short field after the graph, which is skipped.
"""

from pathlib import Path
from typing import BinaryIO, Final

_METADATA: Final = 14  # ModelProto.metadata_props, of StringStringEntryProto: 1 the key, 2 the value
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of an ONNX file.

    Raises:
        ValueError: it is no such file, or not whole.
    """
    found: dict[str, str] = {}
    with path.open("rb") as file:
        size = path.stat().st_size
        while file.tell() < size:
            field, kind = divmod(_varint(file), 8)
            if kind == _VARINT:
                _varint(file)
                continue
            length = {_EIGHT: 8, _FOUR: 4}.get(kind)
            if kind == _BYTES:
                length = _varint(file)
            if length is None or not field or file.tell() + length > size:
                raise ValueError("it is no ONNX file, or not a whole one")
            if field == _METADATA and kind == _BYTES:
                key, value = _entry(file.read(length))
                found[key] = value
            else:
                file.seek(length, 1)
    return found


def _entry(content: bytes) -> tuple[str, str]:
    parts = {1: "", 2: ""}
    place = 0
    while place < len(content):
        field, place = content[place] // 8, place + 1
        length, shift = 0, 0
        while place < len(content):
            byte, place = content[place], place + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        parts[field] = content[place : place + length].decode()
        place += length
    return parts[1], parts[2]


def _varint(file: BinaryIO) -> int:
    value, shift = 0, 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise ValueError("it is no ONNX file, or not a whole one")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
