"""Models on the hub: what is fetched, what is refused, and what is said when it cannot be had."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from typer.testing import CliRunner

from defnet import CheckpointError, load_model, load_scorer, read_info
from defnet.cli import app
from defnet.model.hub import fetch_model, is_open_clip, parse_name

COMMIT = "c" * 40


@pytest.fixture
def on_hub(hub: Any, model_file: Path) -> Any:
    """A hub with a model, its card, and much else beside it that nobody asked for."""
    hub.put(
        "someone/photos",
        model__safetensors=model_file.read_bytes(),
        README__md=b"# Photos",
        pytorch_model__bin=b"pickled",
        evil__py=b"raise SystemExit",
        config__json=b"{}",
    )
    return hub


def names(hub: Any, method: str) -> list[str]:
    # Beside files, the client asks the hub about itself.
    return [path.rpartition("/")[2] for how, path in hub.asked if how == method and "/resolve/" in path]


def test_the_model_and_its_card_are_fetched_once_and_nothing_else(on_hub: Any, model_file: Path) -> None:
    model, info = load_model("hf-hub:someone/photos")
    expected, _ = load_model(model_file)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, expected.state_dict()[name], rtol=0, atol=0)
    assert info == read_info(model_file)
    assert names(on_hub, "GET") == ["model.safetensors", "README.md"]
    assert set(names(on_hub, "HEAD")) == {"model.safetensors", "README.md"}
    load_scorer("hf-hub:someone/photos", device="cpu")
    assert names(on_hub, "GET") == ["model.safetensors", "README.md"]


def test_a_revision_is_taken_as_asked_for_and_told_as_a_hash(on_hub: Any) -> None:
    fetched = fetch_model("hf-hub:someone/photos@v1")
    assert (fetched.repository, fetched.revision) == ("someone/photos", COMMIT)
    assert all("/resolve/v1/model" in path for _, path in on_hub.asked if path.endswith("model.safetensors"))
    # By its hash, it needs no network any more.
    on_hub.asked.clear()
    assert fetch_model(fetched.name).path == fetched.path
    assert not [path for _, path in on_hub.asked if path.endswith("model.safetensors")]


def test_info_tells_where_a_model_came_from(on_hub: Any) -> None:
    result = CliRunner().invoke(app, ["info", "hf-hub:someone/photos", "--format", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["source"] == f"the hub, someone/photos, revision {COMMIT}"
    assert found["trained_on"] == ["live-challenge, training part of session 1"]


def test_what_was_fetched_serves_without_a_network(on_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_model("hf-hub:someone/photos")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert read_info("hf-hub:someone/photos").epoch == 2
    with pytest.raises(CheckpointError, match=r"other: the hub cannot be reached, .* .hf download someone/other"):
        read_info("hf-hub:someone/other")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf-hub:someone/gone", r"the hub has no model someone/gone, or it is private; then log in"),
        ("hf-hub:someone/photos@v9", r"someone/photos has no revision 'v9'"),
        ("hf-hub:someone/pickled", r"someone/pickled holds no model.safetensors, .* pickled ones above all, are not"),
    ],
)
def test_what_the_hub_lacks_is_named(on_hub: Any, name: str, said: str) -> None:
    on_hub.put("someone/pickled", pytorch_model__bin=b"x")
    with pytest.raises(CheckpointError, match=said):
        load_scorer(name)
    assert "pytorch_model.bin" not in names(on_hub, "GET")


@pytest.mark.parametrize(
    "name",
    [
        "hf-hub:photos",
        "hf-hub:",
        "hf-hub:a/b/c",
        "hf-hub:../../etc",
        "hf-hub:someone/..",
        "hf-hub:./photos",
        "hf-hub:someone/photos@",
        "hf-hub:someone/photos@../../../escaped",
        "hf-hub:someone/photos@/etc/passwd",
        "hf-hub:someone/photos@refs/../../x",
        "hf-hub:someone\\photos",
        "hf-hub:some one/photos",
        "hf-hub:someone/photos@v1\n",
    ],
)
def test_no_name_leads_out_of_the_cache(hub: Any, name: str) -> None:
    with pytest.raises(CheckpointError, match="must be hf-hub:ORG/NAME or hf-hub:ORG/NAME@REVISION"):
        load_model(name)
    assert hub.asked == []


def test_names_split() -> None:
    assert parse_name("hf-hub:a.b/c-d_e@refs/pr/3") == ("a.b/c-d_e", "refs/pr/3")
    assert parse_name("hf-hub:a/b") == ("a/b", None)


def test_a_hub_that_states_a_path_for_a_hash_is_refused(on_hub: Any, tmp_path: Path) -> None:
    on_hub.commit = "../../../../escaped"
    with pytest.raises(CheckpointError, match=r"states '../../../../escaped' as the hash"):
        load_model("hf-hub:someone/photos")
    assert not list(tmp_path.rglob("escaped*"))
    assert names(on_hub, "GET") == []


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.path, "run")


def test_a_pickle_by_the_name_of_safetensors_is_not_run(hub: Any, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    hub.put("someone/trap", model__safetensors=pickle.dumps(Trap(sprung)))
    local = tmp_path / "model.pt"
    torch.save(Trap(sprung), local)
    for model in ("hf-hub:someone/trap", str(local)):
        with pytest.raises(CheckpointError, match="cannot be read as a safetensors file"):
            load_model(model)
    assert not sprung.exists()
    # Of this test's own making, and the proof that the trap would have been sprung.
    pickle.loads((hub.root / "someone/trap/model.safetensors").read_bytes())
    assert sprung.exists()  # it would have


def test_open_clips_models_are_told_from_ours(on_hub: Any) -> None:
    on_hub.put("someone/clip", open_clip_config__json=b"{}", model__safetensors=b"")
    assert is_open_clip("hf-hub:someone/clip")
    assert not is_open_clip("hf-hub:someone/photos")
    assert "model.safetensors" not in names(on_hub, "GET")
