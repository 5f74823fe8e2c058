import argparse
import json
import math
import shutil
import sys
import threading
import types
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from clip_iqa_backbone import LiteConfig, Vocabulary, create_backbone, list_backbones
from clip_iqa_backbone.sources.checkpoint_files import read_checkpoint
from clip_iqa_backbone.sources.descriptions import check_image_side

PIXELS = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class RunsOnLoading:
    """A pickle that would write a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


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


def test_random_weights_of_lite_are_pointed_out_where_they_are_made():
    with pytest.warns(UserWarning, match="lite without pretrained has random weights") as caught:
        create_backbone("lite", lite=LiteConfig(stages=(0,)))
    assert caught[0].filename == __file__


def test_the_shape_of_lite_may_be_a_table():
    model = create_backbone("lite", lite={"stages": [0, 2], "embed_dim": 4})
    assert model.image.config == LiteConfig(stages=(0, 2), embed_dim=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": 3}, "name must be a string, got 3"),
        ({"lite": {"embed": 4}}, "lite has no option 'embed'"),
        ({"lite": {"embed_dim": 0}}, "embed_dim must be an integer of at least 1"),
        ({"lite": [4]}, r"options of lite must be a table, got \[4\]"),
        ({"name": "ViT-B-32", "lite": LiteConfig()}, "lite= is the shape of the backbone 'lite', .* 'ViT-B-32'"),
        ({"precision": "half"}, "precision must be one of fp32, bf16, fp16, got 'half'"),
        ({"vocabulary": ["blur"]}, r"vocabulary must be the name of a preset or a Vocabulary, got \['blur'\]"),
        ({"device": "gpu"}, "The device 'gpu' cannot be used"),
        ({"device": 1.5}, "The device 1.5 cannot be used"),
        ({"device": "cuda:99"}, "The device 'cuda:99' cannot be used"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_in_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        create_backbone(**{"name": "lite", **arguments})
    assert "\n" not in str(caught.value)


def test_a_file_of_weights_for_lite_that_is_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no weights file imagnet"):
        create_backbone("lite", pretrained="imagnet")
    for content in (b"hello world", b"<!DOCTYPE html>", b"", b"PK\x03\x04"):
        (tmp_path / "weights.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"weights.pth is damaged, cut short or no file of tensors"):
            create_backbone("lite", pretrained=tmp_path / "weights.pth")
    (tmp_path / "weights.safetensors").write_bytes(b"hello world")
    with pytest.raises(ValueError, match=r"weights.safetensors is not a whole safetensors file"):
        create_backbone("lite", pretrained=tmp_path / "weights.safetensors")


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


def test_the_precision_is_the_callers(tiny_clip):
    model = create_backbone(f"local-dir:{tiny_clip}", precision="bf16")
    assert model.precision == "bf16"
    with torch.no_grad():
        assert not torch.equal(model(PIXELS), create_backbone(f"local-dir:{tiny_clip}")(PIXELS))


@pytest.mark.parametrize(("scale", "kept"), [(1.5, 1.5), (-0.5, 0.0), (6.0, math.log(100))])
def test_the_temperature_is_that_of_the_weights_within_clips_range(tiny_clip, tmp_path, scale, kept):
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "clip"))
    weights = load_file(folder / "open_clip_model.safetensors")
    save_file({**weights, "logit_scale": torch.tensor(scale)}, folder / "open_clip_model.safetensors")
    model = create_backbone(f"local-dir:{folder}")
    assert model.logit_scale.item() == pytest.approx(kept)
    if scale == kept:
        with torch.no_grad():
            torch.testing.assert_close(model(PIXELS), open_clip_log_probabilities(folder), rtol=0, atol=2e-4)


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


def test_pickled_weights_cannot_run_code(write_clip, tmp_path):
    folder = write_clip(tmp_path / "clip", weights=False)
    torch.save({"state_dict": RunsOnLoading(tmp_path / "proof")}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(RuntimeError, match=r"open_clip_pytorch_model.bin holds more than tensors \(io.open\)"):
        create_backbone(f"local-dir:{folder}")
    assert not (tmp_path / "proof").exists()


# --- what a description may say


def _describe(folder, **changes):
    """Change the description of a model in a folder; a name with dots goes into its parts."""
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text())
    for name, value in changes.items():
        *parts, last = name.split("__")
        target = config
        for part in parts:
            target = target.setdefault(part, {})
        target[last] = value
    file.write_text(json.dumps(config))
    return folder


SAID = {
    "a hub's vision model": (
        {"model_cfg__vision_cfg__timm_model_name": "hf-hub:org/vision"},
        "timm_model_name must be",
    ),
    "a folder's vision model": (
        {"model_cfg__vision_cfg__timm_model_name": "local-dir:/tmp"},
        "timm_model_name must be",
    ),
    "another text model": ({"model_cfg__text_cfg__hf_model_name": "org/text"}, "names the text model 'org/text'"),
    "code": (
        {"model_cfg__text_cfg__tokenizer_kwargs": {"trust_remote_code": True}},
        "may not hold 'trust_remote_code'",
    ),
    "a download": (
        {"model_cfg__text_cfg__tokenizer_kwargs": {"reduction_mask": "syntax"}},
        "may not hold 'reduction_mask'",
    ),
    "a file": ({"model_cfg__text_cfg__tokenizer_kwargs": {"bpe_path": "/etc/passwd"}}, "may not hold 'bpe_path'"),
    "an unknown key": ({"model_cfg__text_cfg__hub": "org/text"}, "text_cfg may not hold 'hub'"),
    "an unknown part": ({"model_cfg__audio_cfg": {}}, "model_cfg may not hold 'audio_cfg'"),
    "a decoder's unknown key": ({"model_cfg__multimodal_cfg": {"hub": "x"}}, "multimodal_cfg may not hold 'hub'"),
    "no text": ({"model_cfg__text_cfg": None}, "model_cfg.text_cfg must be a table, got None"),
    "no model": ({"model_cfg": None}, "has no table model_cfg"),
    "a wrong mean": ({"preprocess_cfg__mean": [0.5]}, "preprocess_cfg.mean must be three numbers"),
    "a deviation of zero": ({"preprocess_cfg__std": [0.5, 0, 0.5]}, "std must be three positive numbers"),
    "no preprocessing": ({"preprocess_cfg": [1]}, "preprocess_cfg must be a table"),
    "a context of none": ({"model_cfg__text_cfg__context_length": 0}, "context_length must be a whole number"),
    "a negative token": ({"model_cfg__text_cfg__pad_id": -1}, "pad_id must be a whole number of at least 0"),
    "a scale of words": ({"model_cfg__init_logit_scale": "large"}, "init_logit_scale must be a number"),
}


@pytest.mark.parametrize("what", SAID)
def test_nothing_that_a_description_says_is_fetched_or_run(hub, tiny_clip, tmp_path, monkeypatch, what):
    root, asked = hub
    changes, message = SAID[what]
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("timm was asked"))
    folder = _describe(Path(shutil.copytree(tiny_clip, root / "org" / "clip")), **changes)
    with pytest.raises(ValueError, match=message) as caught:
        create_backbone(f"local-dir:{folder}")
    assert f"The description of local-dir:{folder}" in str(caught.value)
    assert asked == []
    # The same from the hub: the user named this model and no other.
    with pytest.raises(ValueError, match=message):
        create_backbone("hf-hub:org/clip", cache_dir=tmp_path / "cache")
    # Beside files, the hub's client asks the hub about itself.
    assert {name for _, name in asked if "." in name} == {"open_clip_config.json"}


def test_a_description_that_is_none_is_refused(tiny_clip, tmp_path):
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "clip"))
    for content in (b"{", b"[]", b"\xff\xfe", b"null"):
        (folder / "open_clip_config.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"The description of local-dir:.* (cannot be read|has no table)"):
            create_backbone(f"local-dir:{folder}")


def test_the_ends_of_each_range_may_be_described(tiny_clip, tmp_path):
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "clip"))
    _describe(folder, model_cfg__text_cfg__pad_id=0, model_cfg__vision_cfg__patch_dropout=0)
    assert create_backbone(f"local-dir:{folder}").image.input_size == 32
    smallest = {"image_size": 1, "layers": 1, "width": 1, "patch_size": 1, "head_width": 1, "timm_drop": 0}
    side = {"embed_dim": 1, "vision_cfg": smallest}
    assert check_image_side(side, "It") == side


def test_a_description_that_names_no_context_has_clips(write_clip, tmp_path):
    # Not causal, so that all tokens are kept.
    folder = write_clip(tmp_path / "clip", text_cfg={"no_causal_mask": True})
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text())
    del config["model_cfg"]["text_cfg"]["context_length"]
    file.write_text(json.dumps(config))
    model = create_backbone(f"local-dir:{folder}")
    assert model.text.tokens.shape == (495, 77)
    assert model(PIXELS).shape == (2, 5, 9, 11)


def test_null_stands_for_the_default(tiny_clip, tmp_path):
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "clip"))
    _describe(folder, model_cfg__text_cfg__tokenizer_kwargs=None, model_cfg__vision_cfg__norm_kwargs=None)
    assert create_backbone(f"local-dir:{folder}").image.input_size == 32


@pytest.fixture
def transformers(monkeypatch):
    """A stand-in for the tokenizers of transformers that notes what it is asked for."""
    asked = []

    class AutoTokenizer:
        @classmethod
        def from_pretrained(cls, name, **options):
            asked.append((name, options))
            raise OSError("no such tokenizer here")

    module = types.ModuleType("transformers")
    module.AutoTokenizer = AutoTokenizer
    monkeypatch.setitem(sys.modules, "transformers", module)
    return asked


def test_a_tokenizer_lies_beside_its_model_whatever_the_description_calls_it(transformers, hub, tiny_clip, tmp_path):
    root, _ = hub
    folder = Path(shutil.copytree(tiny_clip, root / "org" / "clip"))
    _describe(
        folder,
        model_cfg__text_cfg__hf_tokenizer_name="evil/words",
        model_cfg__text_cfg__tokenizer_kwargs={"clean": "lower"},
    )
    with pytest.raises(RuntimeError, match=r"tokenizer of local-dir:.* cannot be loaded: no such tokenizer"):
        create_backbone(f"local-dir:{folder}")
    with pytest.raises(RuntimeError, match=r"tokenizer of hf-hub:org/clip cannot be loaded"):
        create_backbone("hf-hub:org/clip", cache_dir=tmp_path / "cache")
    (local, local_options), (remote, remote_options) = transformers
    assert (local, local_options["local_files_only"]) == (str(folder), True)
    assert (remote, remote_options["local_files_only"]) == ("org/clip", False)
    assert remote_options["cache_dir"] == str(tmp_path / "cache")
    assert local_options["trust_remote_code"] is remote_options["trust_remote_code"] is False


def test_the_names_in_open_clips_own_code_are_followed(transformers, monkeypatch, tiny_clip):
    config = json.loads((tiny_clip / "open_clip_config.json").read_text())["model_cfg"]
    config["text_cfg"]["hf_tokenizer_name"] = "org/words"
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-words", config)
    with pytest.raises(RuntimeError, match="tokenizer of tiny-words cannot be loaded"):
        create_backbone("tiny-words")
    assert transformers[0][0] == "org/words"


# --- pickled checkpoints


def _as_training_writes_it(model):
    return {"epoch": 3, "state_dict": model.state_dict(), "args": argparse.Namespace(lr=1e-3)}


def _as_distributed_training_writes_it(model):
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    return {"state_dict": state, "args": argparse.Namespace(lr=1e-3)}


def _whole(model):
    return model


@pytest.mark.parametrize("kind", [_as_training_writes_it, _as_distributed_training_writes_it, _whole])
@pytest.mark.parametrize("where", ["a file", "a folder"])
def test_the_recipe_for_a_pickle_with_more_than_tensors_works(registered, tiny_clip, tmp_path, kind, where):
    model = open_clip.create_model(f"local-dir:{tiny_clip}")
    if where == "a file":
        path = tmp_path / "it's old.pt"
        torch.save(kind(model), path)

        def load():
            return create_backbone("tiny", pretrained=path)
    else:
        folder = tmp_path / "clip"
        folder.mkdir()
        shutil.copy(tiny_clip / "open_clip_config.json", folder)
        path = folder / "open_clip_pytorch_model.bin"
        torch.save(kind(model), path)

        def load():
            return create_backbone(f"local-dir:{folder}")

    with pytest.raises(RuntimeError, match=r"holds more than tensors .* could run code, so it is not loaded") as caught:
        load()
    message = str(caught.value)
    assert "weights_only" not in message.partition("\n")[0]
    recipe = [line.strip() for line in message.splitlines() if line.startswith("    ")]
    assert len(recipe) == 2
    exec("\n".join(recipe), {})
    [exported] = path.parent.glob("*-tensors.pt")
    exported.replace(path)
    loaded = load().state_dict()
    for name, value in create_backbone(f"local-dir:{tiny_clip}").state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_the_recipe_for_a_torchscript_archive_works(tmp_path):
    path = tmp_path / "script.pt"
    torch.jit.script(torch.nn.Linear(2, 3)).save(path)
    with pytest.raises(ValueError, match=r"script.pt is a TorchScript archive, which could run code") as caught:
        read_checkpoint(path)
    exec("\n".join(line.strip() for line in str(caught.value).splitlines() if line.startswith("    ")), {})
    assert {name: tuple(value.shape) for name, value in read_checkpoint(tmp_path / "script-tensors.pt").items()} == {
        "weight": (3, 2),
        "bias": (3,),
    }


# --- built-in architectures


def test_a_named_architecture_takes_weights_from_a_file(registered, tiny_clip):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = create_backbone("tiny", pretrained=registered)
    reference = create_backbone(f"local-dir:{tiny_clip}")
    for name, value in reference.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_random_weights_are_pointed_out(registered):
    with pytest.warns(UserWarning, match="tiny without pretrained has random weights") as caught:
        create_backbone("tiny")
    assert caught[0].filename == __file__


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
    with pytest.warns(
        UserWarning, match=r"'openai' of tiny were trained with QuickGELU.*write tiny-quickgelu"
    ) as caught:
        plain = create_backbone("tiny", pretrained="openai")
    assert caught[0].filename == __file__
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


def test_names_are_listed_with_the_tags_that_they_take():
    pairs = list_backbones(pretrained=True)
    assert pairs[0] == ("lite", "imagenet")
    assert ("ViT-B-32-quickgelu", "openai") in pairs
    assert {name for name, _ in pairs} <= set(list_backbones())
    assert all(isinstance(tag, str) and open_clip.get_pretrained_cfg(name, tag) for name, tag in pairs[1:])


@pytest.fixture
def offline_tag(registered, monkeypatch):
    """A tag whose weights cannot be fetched."""

    def fetch(described, cache_dir=None):
        raise OSError("no route to host")

    tag = {"openai": {"hf_hub": "org/tiny/", "url": "", "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}}
    for name in ("tiny", "tiny-quickgelu"):
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tag)
    monkeypatch.setattr("clip_iqa_backbone.sources.tag_files.download_pretrained", fetch)
    return registered


def test_missing_weights_are_named_with_the_folder_to_put_them_in(offline_tag, tiny_clip, tmp_path):
    with pytest.raises(RuntimeError) as caught:
        create_backbone("tiny", pretrained="openai", cache_dir=tmp_path)
    assert str(caught.value) == (
        "The weights 'openai' of tiny cannot be fetched: no route to host. Where the network is out of reach, fetch "
        "open_clip_model.safetensors of org/tiny on the Hugging Face hub elsewhere and put it into "
        f"{tmp_path} as tiny.openai.safetensors."
    )
    shutil.copy(offline_tag, tmp_path / "tiny.openai.safetensors")
    model = create_backbone("tiny", pretrained="openai", cache_dir=tmp_path)
    reference = create_backbone(f"local-dir:{tiny_clip}")
    with torch.no_grad():  # the tag's mean and deviation, too
        assert torch.equal(model(PIXELS), reference(PIXELS))


def test_weights_of_a_tag_that_lie_at_an_address_are_named_by_it(offline_tag, monkeypatch, tmp_path):
    tag = {"own": {"url": "https://example.org/tiny-own.pt"}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", tag)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with pytest.raises(
        RuntimeError, match=r"fetch https://example.org/tiny-own.pt elsewhere .* as tiny.own.pt\.$"
    ) as caught:
        create_backbone("tiny", pretrained="own")
    assert str(tmp_path / ".cache" / "clip") in str(caught.value)


def test_a_path_to_nothing_is_told_from_a_tag(registered, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no weights file .*gone.pt"):
        create_backbone("tiny", pretrained=tmp_path / "gone.pt")


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
    with pytest.raises(
        RuntimeError, match=r"configuration of hf-hub:org/gone cannot be fetched: .* give local-dir:FOLDER"
    ):
        create_backbone("hf-hub:org/gone", cache_dir=tmp_path / "cache")
