"""Models on the Hugging Face hub: a repository with `model.safetensors` and a card; nothing else is fetched or run."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from defnet.config.start import HUB
from defnet.errors import CheckpointError

FILE: Final = "model.safetensors"
CARD: Final = "README.md"
_OPEN_CLIP: Final = "open_clip_config.json"

_NAME: Final = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w.-]+(?:/[\w.-]+)*))?", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubModel:
    """A model file that lies in the hub's cache on this machine.

    Attributes:
        repository: `ORG/NAME`.
        revision: the hash of the revision, 40 hexadecimal digits.
        path: the file.
    """

    repository: str
    revision: str
    path: Path

    @property
    def name(self) -> str:
        """What finds exactly this file again."""
        return f"{HUB}{self.repository}@{self.revision}"


def parse_name(name: str) -> tuple[str, str | None]:
    """Split `hf-hub:ORG/NAME[@REVISION]` into the repository and the revision (a branch, a tag or a hash).

    Raises:
        CheckpointError: it has another form, or leads out of the hub's cache.

    Example:
        >>> parse_name("hf-hub:someone/photos@v2")
        ('someone/photos', 'v2')
    """
    found = _NAME.fullmatch(name.removeprefix(HUB))
    parts = [] if found is None else re.split("[/]", f"{found[1]}/{found[2] or 'main'}")
    if found is None or any(part.strip(".") == "" or ".." in part for part in parts):
        raise CheckpointError(f"{name}: the name of a model on the hub must be {HUB}ORG/NAME or {HUB}ORG/NAME@REVISION")
    return found[1], found[2]


def fetch_model(name: str) -> HubModel:
    """Fetch a model's file and its card into the hub's cache, or find them there.

    Args:
        name: `hf-hub:ORG/NAME[@REVISION]`.

    Raises:
        CheckpointError: it cannot be had; the message says what to do.
    """
    repository, revision = parse_name(name)
    import huggingface_hub as hub
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        _check_revision(repository, revision)
        path = Path(hub.hf_hub_download(repository, FILE, revision=revision))
        with suppress(OSError, EntryNotFoundError):
            hub.hf_hub_download(repository, CARD, revision=path.parent.name)
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name}: the hub cannot be reached, and its {FILE} is not in the cache on this machine; fetch it once "
            f"where there is a network (hf download {repository} {FILE}) and copy the cache or give the file"
        ) from error
    except GatedRepoError as error:
        raise CheckpointError(
            f"{name}: its authors ask for consent first; agree on its page, and log in with: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{name}: the hub has no model {repository}, or it is private; then log in with: hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{name}: {repository} has no revision {revision!r}") from error
    except EntryNotFoundError as error:
        raise CheckpointError(
            f"{name}: {repository} holds no {FILE}, so it is no model of defnet's; weights in other files, pickled "
            "ones above all, are not read"
        ) from error
    except (HFValidationError, OSError, ValueError) as error:
        raise CheckpointError(f"{name}: cannot be fetched: {str(error).splitlines()[0]}") from error
    if not _HASH.fullmatch(path.parent.name):
        raise CheckpointError(f"{name}: the hub gives no hash of the revision")
    return HubModel(repository, path.parent.name, path)


def is_open_clip(name: str) -> bool:
    """Whether a repository on the hub says that it holds a model of open_clip; only that word is fetched.

    Raises:
        CheckpointError: the name has another form.
    """
    repository, revision = parse_name(name)
    import huggingface_hub as hub
    from huggingface_hub.errors import EntryNotFoundError

    try:
        hub.hf_hub_download(repository, _OPEN_CLIP, revision=revision)
    except (EntryNotFoundError, OSError, ValueError):
        return False
    return True


def _check_revision(repository: str, revision: str | None) -> None:
    """Ask the hub what the revision's hash is, which becomes the name of a folder, before anything is written."""
    if revision is not None and _HASH.fullmatch(revision):
        return
    import huggingface_hub as hub

    try:
        commit = hub.get_hf_file_metadata(hub.hf_hub_url(repository, FILE, revision=revision)).commit_hash
    except Exception:  # noqa: BLE001 - out of reach: what is in the cache may do, and else the download says why
        return
    if commit is None or not _HASH.fullmatch(commit):
        raise ValueError(f"the hub states {commit!r} as the hash of the revision")
