"""What is imported when, in processes of their own."""

import importlib.metadata
import subprocess
import sys

import clip_iqa_backbone


def _loaded_after(code: str, *names: str) -> list[str]:
    code = f"import sys, clip_iqa_backbone as c\n{code}\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_to_import_the_package_imports_nothing_large():
    assert _loaded_after("", "torch", "numpy", "PIL", "open_clip", "pandas", "scipy") == []


def test_lite_needs_no_large_library_but_torch():
    # timm and open_clip bring torchvision and torch's compiler, iqa_datasets pandas and scipy where its tables are
    # used: seconds before the first image.
    code = (
        "c.create_backbone('lite', lite=c.LiteConfig(stages=(0,))); c.open_image; c.make_views; c.Vocabulary();"
        "c.freeze_text_features; c.image_tower_fingerprint"
    )
    large = ("timm", "open_clip", "torchvision", "torch._dynamo", "pandas", "scipy", "typer", "rich", "openpyxl")
    assert _loaded_after(code, "torch", *large) == ["torch"]


def test_every_public_name_is_there_and_known_by_its_own():
    assert sorted(clip_iqa_backbone.__all__) == clip_iqa_backbone.__all__
    assert {name for name in clip_iqa_backbone.__all__ if not hasattr(clip_iqa_backbone, name)} == set()
    assert set(clip_iqa_backbone.__all__) <= set(dir(clip_iqa_backbone))
    assert clip_iqa_backbone.__version__ == importlib.metadata.version("clip-iqa-backbone")
