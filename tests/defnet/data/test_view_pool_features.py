"""Pools of features: what half precision cannot hold is refused before it is kept."""

from pathlib import Path

import pytest
import torch

from defnet.data.view_pool import build_pool


def _views(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    views = torch.arange(4 * 3 * 2 * 2, dtype=torch.uint8).view(4, 3, 2, 2)
    return views, views[:1]


def test_features_are_kept_in_half_precision(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    pool = build_pool(tmp_path / "pool", [tmp_path / "a.png"], _views, {}, encode=lambda views: views.flatten(1) / 7)
    assert pool.local(0).dtype == torch.float16
    assert torch.equal(pool.local(0), (_views(tmp_path)[0].flatten(1) / 7).half())
    assert torch.equal(pool.global_view(0), pool.local(0)[:1])


@pytest.mark.parametrize("value", [65520.0, -1e6, float("nan")])  # 65504 is the largest number of fp16
def test_a_feature_that_half_precision_cannot_hold_is_refused(tmp_path: Path, value: float) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match="does not fit half precision"):
        build_pool(
            tmp_path / "pool", [tmp_path / "a.png"], _views, {}, encode=lambda views: torch.full((len(views), 3), value)
        )
    assert not list((tmp_path / "pool").rglob("*.safetensors"))
