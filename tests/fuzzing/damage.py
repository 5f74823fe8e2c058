"""Ways to damage the bytes of a file."""

from collections.abc import Sequence

import numpy as np


def damaged(files: Sequence[bytes], generator: np.random.Generator) -> tuple[int, bytes]:
    """One of the files with one damage or a few; which one, and its bytes."""
    number = int(generator.integers(len(files)))
    content = bytearray(files[number])
    for _ in range(generator.geometric(0.6)):
        _damage(content, files, generator)
    return number, bytes(content)


def _damage(content: bytearray, files: Sequence[bytes], generator: np.random.Generator) -> None:
    length = len(content)
    if length == 0:
        return
    # Headers are short and matter most: a third of all places lie in the first hundred bytes.
    place = int(generator.integers(min(length, 100) if generator.random() < 1 / 3 else length))
    run = int(generator.integers(1, 2 + min(64, length - place)))
    kind = generator.integers(7)
    if kind == 0:  # bits
        for at in generator.integers(length, size=generator.integers(1, 9)):
            content[at] ^= 1 << int(generator.integers(8))
    elif kind == 1:  # bytes
        content[place : place + run] = generator.bytes(run)
    elif kind == 2:  # a number at one of its ends
        content[place : place + 4] = generator.choice(
            [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\1\0"]
        )
    elif kind == 3:  # the end is missing
        del content[place:]
    elif kind == 4:  # a piece is missing
        del content[place : place + run]
    elif kind == 5:  # a piece stands twice
        content[place:place] = content[place : place + run]
    else:  # a piece of another file
        other = files[int(generator.integers(len(files)))]
        start = int(generator.integers(max(1, len(other))))
        content[place : place + run] = other[start : start + int(generator.integers(1, 200))]
