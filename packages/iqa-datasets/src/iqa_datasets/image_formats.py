"""The formats of photographs: how their files are named, which reader of Pillow's takes them, which plugin it needs."""

from dataclasses import dataclass
from importlib import import_module
from threading import Lock
from typing import Final

from PIL import Image


@dataclass(frozen=True)
class ImageFormat:
    """A format of photographs.

    Attributes:
        title: its name in messages.
        names: what Pillow, or a plugin, calls it.
        suffixes: endings of its files, in lower case.
        signatures: pairs of an offset and bytes, one of which its files have.
        remedy: what to install where it cannot be read, as the end of a sentence.
    """

    title: str
    names: tuple[str, ...]
    suffixes: tuple[str, ...]
    signatures: tuple[tuple[int, bytes], ...] = ()
    remedy: str = "install a build of Pillow that has it"


def _brands(*brands: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return signatures of ISO base media files with one of these major brands."""
    return tuple((4, b"ftyp" + brand) for brand in brands)


# Pillow's other readers are left out on purpose: EPS would start Ghostscript.
FORMATS: Final = (
    ImageFormat("JPEG", ("JPEG", "MPO"), (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"), ((0, b"\xff\xd8\xff"),)),
    ImageFormat("PNG", ("PNG",), (".png", ".apng"), ((0, b"\x89PNG\r\n\x1a\n"),)),
    ImageFormat("WebP", ("WEBP",), (".webp",), ((8, b"WEBP"),)),
    ImageFormat("BMP", ("BMP", "DIB"), (".bmp", ".dib"), ((0, b"BM"),)),
    ImageFormat("TIFF", ("TIFF",), (".tif", ".tiff"), ((0, b"II*\0"), (0, b"MM\0*"))),
    ImageFormat("GIF", ("GIF",), (".gif",), ((0, b"GIF8"),)),
    ImageFormat("PNM", ("PPM",), (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), ()),
    ImageFormat("TGA", ("TGA",), (".tga",), ()),
    ImageFormat(
        "JPEG 2000",
        ("JPEG2000",),
        (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        ((0, b"\0\0\0\x0cjP  \r\n\x87\n"), (0, b"\xff\x4f\xff\x51")),
    ),
    ImageFormat(
        "AVIF",
        ("AVIF",),
        (".avif", ".avifs"),
        _brands(b"avif", b"avis"),
        "install Pillow 11.3 or newer, or pillow-avif-plugin",
    ),
    ImageFormat(
        "HEIC",
        ("HEIF",),
        (".heic", ".heics", ".heif", ".heifs", ".hif"),
        _brands(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
        "install pi-heif or pillow-heif (pip install 'iqa-datasets[formats]')",
    ),
    ImageFormat(
        "JPEG XL",
        ("JXL", "JPEGXL"),
        (".jxl",),
        ((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL \r\n\x87\n")),
        "install pillow-jxl-plugin (its licence is the GPL, so no extra here brings it)",
    ),
)

IMAGE_SUFFIXES: Final = frozenset(suffix for one in FORMATS for suffix in one.suffixes)
"""Every suffix, in lower case, of a photograph that we know, readable here or only with a plugin."""

# Importing the second of each pair gives Pillow the format; the first of a group that is installed is taken.
_PLUGINS: Final = (
    ("HEIF", ("pi_heif", "pillow_heif"), "register_heif_opener"),
    ("JXL", ("pillow_jxl",), ""),
    ("AVIF", ("pillow_avif",), ""),
)

_lock = Lock()
_registered = False


def readable_formats() -> list[str]:
    """Return the names of the formats that can be read here, as Pillow and its installed plugins call them."""
    global _registered
    with _lock:
        if not _registered:
            Image.init()
            for name, modules, register in _PLUGINS:
                if name not in Image.OPEN:
                    _register(modules, register)
            _registered = True
    return [name for one in FORMATS for name in one.names if name in Image.OPEN]


def _register(modules: tuple[str, ...], register: str) -> None:
    for module in modules:
        try:
            plugin = import_module(module)
        except ImportError:
            continue
        if register:
            getattr(plugin, register)()
        return


def format_of(beginning: bytes) -> ImageFormat | None:
    """Return the format that a file's first 16 bytes are of, None where they tell nothing."""
    for one in FORMATS:
        if any(beginning[offset:].startswith(signature) for offset, signature in one.signatures):
            return one
    return None
