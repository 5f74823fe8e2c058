"""The size that a JPEG XL file states, read before its plugin decodes all of it in order to open it."""

from fractions import Fraction
from typing import BinaryIO, Final

_CODESTREAM: Final = b"\xff\x0a"
_RATIOS: Final = (None, Fraction(1), Fraction(6, 5), Fraction(4, 3), Fraction(3, 2), Fraction(16, 9), Fraction(5, 4), 2)
_BITS: Final = (9, 13, 18, 30)


def stated_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return (width, height) by the file's header; None where it has none that can be read.

    Source: ISO/IEC 18181-1 (the size header) and 18181-2 (the boxes around it).
    """
    file.seek(0)
    beginning = file.read(32)
    if not beginning.startswith(_CODESTREAM):
        beginning = _in_boxes(file)
    if not beginning.startswith(_CODESTREAM) or len(beginning) < 12:
        return None
    bits = int.from_bytes(beginning[2:], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else 1 + take(_BITS[take(2)])

    height = side()
    ratio = _RATIOS[take(3)]
    return side() if ratio is None else int(height * ratio), height


def _in_boxes(file: BinaryIO) -> bytes:
    """Return the beginning of the codestream in a file of boxes."""
    place = 0
    for _ in range(100):
        file.seek(place)
        header = file.read(16)
        if len(header) < 8:
            break
        length, kind, start = int.from_bytes(header[:4], "big"), header[4:8], 8
        if length == 1:
            length, start = int.from_bytes(header[8:16], "big"), 16
        if kind in (b"jxlc", b"jxlp"):
            file.seek(place + start + (4 if kind == b"jxlp" else 0))
            return file.read(32)
        if length < start:
            break
        place += length
    return b""
