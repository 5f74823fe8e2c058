import json
import sys
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from clip_iqa_backbone import LiteConfig, Vocabulary, create_backbone, list_backbones

PIXELS = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def open_clip_log_probabilities(folder: Path) -> torch.Tensor:
    """The joint log-probabilities by open_clip's own two encoders."""
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(Vocabulary.preset("defnet").prompts())
    mean, std = torch.tensor([0.1, 0.2, 0.3])[:, None, None], torch.tensor([0.4, 0.5, 0.6])[:, None, None]
    with torch.no_grad():
        image, text, scale = model((PIXELS / 255 - mean) / std, tokens)
    return (scale * image @ text.T).log_softmax(-1).view(2, 5, 9, 11)


@pytest.fixture
def registered(tiny_clip, monkeypatch, tmp_path):
    """The tiny CLIP as a built-in architecture, plain and with QuickGELU, with weights in a file."""
    for suffix, extra in (("", {}), ("-quickgelu", {"quick_gelu": True})):
        config = json.loads((tiny_clip / "open_clip_config.json").read_text())["model_cfg"]
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, f"tiny{suffix}", {**config, **extra})
    return tiny_clip / "open_clip_model.safetensors"


# --- lite


def test_lite_is_made_to_the_given_shape():
    model = create_backbone("lite", vocabulary="liqe", lite=LiteConfig(stages=(0, 1), embed_dim=16), precision="bf16")
    assert not model.training
    assert model.vocabulary == Vocabulary.preset("liqe")
    assert model.image.embed_dim == model.text.embed_dim == 16
    assert model.precision == "bf16"


def test_lite_takes_imagenet_weights_from_the_package_or_a_file(imagenet_file):
    config = LiteConfig(stages=(0,))
    by_name = create_backbone("lite", pretrained="imagenet", lite=config)
    by_path = create_backbone("lite", pretrained=imagenet_file, lite=config)
    weights = torch.load(imagenet_file, weights_only=True)
    for model in (by_name, by_path):
        assert torch.equal(model.image.backbone.conv_stem.weight, weights["_conv_stem.weight"])


# --- local-dir


def test_a_local_folder_gives_what_open_clip_gives(tiny_clip):
    model = create_backbone(f"local-dir:{tiny_clip}")
    with torch.no_grad():
        torch.testing.assert_close(model(PIXELS), open_clip_log_probabilities(tiny_clip), rtol=0, atol=2e-4)


def test_a_folder_in_the_home_directory_may_be_written_with_a_tilde(tiny_clip, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_clip.parent))
    assert create_backbone(f"local-dir:~/{tiny_clip.name}").image.input_size == 32


def test_the_vocabulary_is_the_callers(tiny_clip):
    words = Vocabulary(qualities=("low", "high"), scenes=("town",), distortions=("blur", "noise", "none"))
    model = create_backbone(f"local-dir:{tiny_clip}", vocabulary=words)
    assert model(PIXELS).shape == (2, 2, 1, 3)


def test_both_towers_and_the_temperature_train(tiny_clip):
    model = create_backbone(f"local-dir:{tiny_clip}").train()
    model(PIXELS)[:, 4].sum().backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert missing == []


def test_a_folder_without_weights_is_refused_and_not_filled_with_random_ones(write_clip, tmp_path):
    folder = write_clip(tmp_path / "clip", weights=False)
    with pytest.raises(RuntimeError, match="cannot be loaded"):
        create_backbone(f"local-dir:{folder}")
    with pytest.raises(FileNotFoundError, match=r"must be a folder that holds open_clip_config.json"):
        create_backbone(f"local-dir:{tmp_path / 'none'}")


def test_weights_of_another_shape_are_refused(write_clip, tmp_path, tiny_clip):
    folder = write_clip(tmp_path / "clip", weights=False, embed_dim=12)
    save_file(load_file(tiny_clip / "open_clip_model.safetensors"), folder / "open_clip_model.safetensors")
    with pytest.raises(RuntimeError, match=r"cannot be loaded: .* size mismatch for text_projection"):
        create_backbone(f"local-dir:{folder}")


class RunsOnLoading:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickled_weights_cannot_run_code(write_clip, tmp_path):
    folder = write_clip(tmp_path / "clip", weights=False)
    torch.save({"state_dict": RunsOnLoading(tmp_path / "proof")}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(RuntimeError, match="cannot be loaded"):
        create_backbone(f"local-dir:{folder}")
    assert not (tmp_path / "proof").exists()


# --- built-in architectures


def test_a_named_architecture_takes_weights_from_a_file(registered, tiny_clip):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = create_backbone("tiny", pretrained=registered)
    reference = create_backbone(f"local-dir:{tiny_clip}")
    for name, value in reference.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_random_weights_are_pointed_out(registered):
    with pytest.warns(UserWarning, match="tiny without pretrained has random weights"):
        create_backbone("tiny")


@pytest.fixture
def quick_tag(registered, monkeypatch):
    """A tag as `openai` is one: weights trained with QuickGELU, offered under the plain name too."""
    tag = {"openai": {"file": str(registered), "quick_gelu": True, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}}
    for name in ("tiny", "tiny-quickgelu"):
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tag)


def test_weights_trained_with_quick_gelu_get_it_under_the_plain_name_too(quick_tag, tiny_clip):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = create_backbone("tiny-quickgelu", pretrained="openai")
    with pytest.warns(UserWarning, match=r"'openai' of tiny were trained with QuickGELU.*write tiny-quickgelu"):
        plain = create_backbone("tiny", pretrained="openai")
    with torch.no_grad():
        assert torch.equal(plain(PIXELS), right(PIXELS))
        wrong = create_backbone(f"local-dir:{tiny_clip}")(PIXELS)
        assert (right(PIXELS) - wrong).abs().max() > 1e-3  # what the trap would have given


def test_open_clip_offers_openai_weights_only_with_quick_gelu():
    # What the rule above rests on, in the installed open_clip.
    assert open_clip.get_pretrained_cfg("ViT-B-32", "openai")["quick_gelu"]
    assert not open_clip.get_model_config("ViT-B-32").get("quick_gelu", False)
    assert open_clip.get_model_config("ViT-B-32-quickgelu")["quick_gelu"]


def test_names_and_tags_that_do_not_exist_are_answered_with_those_that_do():
    assert list_backbones()[0] == "lite"
    assert "ViT-B-32-quickgelu" in list_backbones()
    with pytest.raises(ValueError, match=r"There is no backbone 'ViT-B/32'; did you mean .*ViT-B-32"):
        create_backbone("ViT-B/32")
    with pytest.raises(ValueError, match="'opnai' is neither a file nor a tag of ViT-B-32; its tags are: openai"):
        create_backbone("ViT-B-32", pretrained="opnai")
    with pytest.raises(ValueError, match="There is no vocabulary 'ava'"):
        create_backbone("lite", vocabulary="ava")


def test_a_source_with_its_own_weights_takes_no_others(tiny_clip):
    for name in (f"local-dir:{tiny_clip}", "hf-hub:org/clip"):
        with pytest.raises(ValueError, match="brings its own weights; pretrained='openai' must be left out"):
            create_backbone(name, pretrained="openai")


def test_a_missing_tokenizer_library_is_named(write_clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    folder = write_clip(tmp_path / "clip", weights=False, text_cfg={"hf_tokenizer_name": "org/words"})
    with pytest.raises(ModuleNotFoundError, match=r"tokenizer of local-dir:.* needs the package transformers"):
        create_backbone(f"local-dir:{folder}")


# --- the hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine: serves the files under its folder as the real one does, and notes what is asked for."""
    root, asked = tmp_path / "hub", []

    class Handler(BaseHTTPRequestHandler):
        def answer(self, body: bool) -> None:
            asked.append((self.command, self.path.rpartition("/")[2]))
            repository, _, rest = self.path.lstrip("/").partition("/resolve/")
            file = root / repository / rest.partition("/")[2]
            if not file.is_file():
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{hash(content) & (2**64 - 1):040x}"')
            self.send_header("X-Repo-Commit", "c" * 40)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "default-cache"))
    yield root, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_hub_model_is_fetched_once_into_the_given_folder(hub, write_clip, tmp_path):
    root, asked = hub
    folder = write_clip(root / "org" / "clip")
    cache = tmp_path / "cache"
    model = create_backbone("hf-hub:org/clip", cache_dir=cache)
    with torch.no_grad():
        torch.testing.assert_close(model(PIXELS), open_clip_log_probabilities(folder), rtol=0, atol=2e-4)
    assert list(cache.glob("models--org--clip/snapshots/*/open_clip_config.json"))
    # open_clip's own tokenizer look-up would have fetched the configuration again, into the default folder.
    assert not (tmp_path / "default-cache").exists()
    create_backbone("hf-hub:org/clip", cache_dir=cache)
    fetched = [name for method, name in asked if method == "GET" and name.startswith("open_clip")]
    assert sorted(fetched) == ["open_clip_config.json", "open_clip_model.safetensors"]


def test_a_hub_model_without_weights_is_refused(hub, write_clip, tmp_path):
    root, _ = hub
    write_clip(root / "org" / "bare", weights=False)
    with pytest.raises(RuntimeError, match=r"hf-hub:org/bare .* cannot be loaded"):
        create_backbone("hf-hub:org/bare", cache_dir=tmp_path / "cache")


def test_a_model_that_the_hub_lacks_is_named(hub, tmp_path):
    with pytest.raises(RuntimeError, match="configuration of hf-hub:org/gone cannot be fetched"):
        create_backbone("hf-hub:org/gone", cache_dir=tmp_path / "cache")
