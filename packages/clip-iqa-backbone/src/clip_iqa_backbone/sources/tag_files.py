"""The weights file of a pretrained tag: one that was put into the cache by hand, or the one that is fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_clip.pretrained import download_pretrained

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_HUBS_FILE = "open_clip_model.safetensors"


def tag_file(name: str, tag: str, described: Mapping[str, Any], cache_dir: str | None) -> Path:
    """The file of a tag's weights.

    Args:
        name: The architecture.
        tag: The tag.
        described: What open_clip says of it.
        cache_dir: Folder for downloads; None for open_clip's.

    Raises:
        RuntimeError: It is not there and cannot be fetched; with the name of the file, and the folder to put it in.
    """
    folder = Path(cache_dir) if cache_dir is not None else Path.home() / ".cache" / "clip"
    stem = f"{name.removesuffix('-quickgelu')}.{tag}"
    for suffix in _SUFFIXES:
        if (folder / (stem + suffix)).is_file():
            return folder / (stem + suffix)
    try:
        fetched = download_pretrained(dict(described), cache_dir=cache_dir)
    except Exception as error:  # whatever the hub's client or a socket raises
        reason = " ".join(str(error).split()).rstrip(".")[:300]
        what, suffix = _where_from(described)
        raise RuntimeError(
            f"The weights {tag!r} of {name} cannot be fetched: {reason}. Where the network is out of reach, fetch "
            f"{what} elsewhere and put it into {folder} as {stem}{suffix}."
        ) from error
    return Path(fetched)


def _where_from(described: Mapping[str, Any]) -> tuple[str, str]:
    """Where a file is to be had, in words, and its suffix."""
    if hub := described.get("hf_hub"):
        repository, file = os.path.split(hub)
        file = file or _HUBS_FILE
        return f"{file} of {repository} on the Hugging Face hub", Path(file).suffix
    url = str(described.get("url"))
    return url, Path(url).suffix
