"""Files of weights that hold tensors and nothing else, and what to do with those that hold more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


def read_checkpoint(path: Path) -> Mapping[str, Tensor]:
    """Read a ``.safetensors`` file, or a pickle that holds a table of tensors and nothing that could run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or holds something else; of a pickle with more in it, how to export its tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file {path}.")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is not a whole safetensors file: {error}.") from error
    try:
        loaded = torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # the unpickler lets through whatever a damaged file makes it raise
        raise ValueError(why_not_loaded(path, error)) from error
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, not a table of tensors.")
    return cast("Mapping[str, Tensor]", loaded)


def why_not_loaded(path: Path, error: Exception) -> str:
    """What is wrong with a pickled checkpoint that ``torch.load(weights_only=True)`` refused.

    torch advises to switch the check off. That would run whatever the file says, at every load and for everyone who
    gets the model; exporting the tensors takes that risk once, where the file can be trusted.
    """
    reason = str(error)
    script = "TorchScript" in reason
    foreign = re.search(r"Unsupported (?:global: GLOBAL|class) ([\w.]+)", reason)
    if not script and foreign is None:
        return f"{path} is damaged, cut short or no file of tensors, so it is not loaded."
    if script:
        what, line = "is a TorchScript archive", f'saved = torch.jit.load({str(path)!r}, map_location="cpu")'
    else:
        what = f"holds more than tensors ({foreign[1] if foreign else ''})"
        line = f'saved = torch.load({str(path)!r}, map_location="cpu", weights_only=False)'
    target = str(path.with_name(f"{path.stem}-tensors.pt"))
    return (
        f"{path} {what}, which could run code, so it is not loaded. If you trust where it comes from, export its "
        "tensors once, on a machine that may run that code, and give the new file instead:\n"
        f"    import torch; {line}\n"
        '    torch.save(saved.state_dict() if hasattr(saved, "state_dict") else saved.get("state_dict", saved), '
        f"{target!r})\n"
        'Where the table of tensors lies under another key than "state_dict", write that.'
    )
