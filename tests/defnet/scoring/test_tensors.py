"""Tensors: the score of a tensor is the file's, and quality is a function of the pixels that can be differentiated."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clip_iqa_backbone import CropPlan, make_views
from defnet import DEFNet, DEFNetError, ImageError, ModelInfo, Scorer, load_scorer
from defnet.scoring.tensor_views import resize, tensor_views, unit_pixels

SAMPLES = Path(__file__).parents[3] / "samples"
PHOTOGRAPHS = ("coffee.jpg", "chelsea_blur.jpg", "rocket_noise.jpg")


def pixels_of(image: Path | Image.Image) -> Tensor:
    """(3, H, W), uint8."""
    opened = image if isinstance(image, Image.Image) else Image.open(image)
    return torch.from_numpy(np.array(opened.convert("RGB"))).permute(2, 0, 1).contiguous()


@pytest.fixture(scope="module")
def lite() -> Scorer:
    return load_scorer("lite", device="cpu")


@pytest.fixture(scope="module")
def quick() -> Scorer:
    """The shipped model with few crops."""
    return load_scorer("lite", device="cpu", crops=3)


@pytest.fixture(scope="module")
def steep(make_model: Callable[..., DEFNet], model_info: ModelInfo) -> Scorer:
    """A model whose quality follows the pixels steeply, so that finite differences stand out of rounding."""
    model = make_model(seed=3).eval()
    with torch.no_grad():
        for heads in (model.heads, model.global_heads):
            heads["quality"].linear.weight.mul_(3)
    return Scorer(model, model_info, name="steep")


# The scores of tensors


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_tensor_gets_the_score_of_its_file(scorer: Scorer, photographs: list[Path], dtype: torch.dtype) -> None:
    """To the bit where 255 levels fit the type, since the views are the same; bfloat16 has only 8 bits of them."""
    pixels = pixels_of(photographs[0])
    given = pixels if dtype == torch.uint8 else (pixels.double() / 255).to(dtype)
    [of_file], [of_tensor] = scorer.score(photographs[0]), scorer.score(given)
    for name in (
        "quality",
        "expected_quality",
        "aleatoric_std",
        "epistemic_std",
        "lower",
        "upper",
        "scene_probability",
    ):
        tolerance = 0.02 if dtype == torch.bfloat16 else 0
        assert getattr(of_tensor, name) == pytest.approx(getattr(of_file, name), abs=tolerance)
    assert (of_tensor.path, of_tensor.file_size, of_tensor.file_modified) == ("", None, None)


def test_a_batch_of_tensors_is_so_many_images(scorer: Scorer, photographs: list[Path]) -> None:
    images = [pixels_of(Image.open(path).resize((260, 240))) for path in photographs[:5]]
    together = scorer.score(torch.stack(images))
    assert len(together) == 5
    one_by_one = scorer.score(images)
    assert [s.quality for s in one_by_one] == pytest.approx([s.quality for s in together], abs=1e-5)
    assert [s.quality for s in scorer.stream(iter(images))] == pytest.approx([s.quality for s in together], abs=1e-5)
    assert len({round(s.quality, 4) for s in together}) == 5
    assert len(scorer.score(torch.zeros(0, 3, 240, 240))) == 0


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_scorer_called_on_pixels_agrees_with_the_files_score(lite: Scorer, name: str) -> None:
    [score] = lite.score(SAMPLES / name)
    pixels = pixels_of(SAMPLES / name)
    for given in (pixels, pixels[None].double() / 255.0):
        found = lite(given)
        assert found.shape == (1,)
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(score.quality, abs=1e-3)


@pytest.mark.parametrize("size", [(224, 224), (1500, 230), (180, 300), (20, 30)])
def test_the_scorer_called_on_pixels_agrees_at_any_size(lite: Scorer, size: tuple[int, int]) -> None:
    image = Image.open(SAMPLES / "coffee.jpg").resize(size, Image.Resampling.LANCZOS)
    [score] = lite.score(image)
    assert lite(pixels_of(image)).item() == pytest.approx(score.quality, abs=1e-3)


def test_a_batch_does_not_change_a_quality(quick: Scorer) -> None:
    images = torch.stack([pixels_of(SAMPLES / name)[:, :256, :256] for name in PHOTOGRAPHS] * 3)
    together = quick(images)
    assert together.shape == (9,)
    alone = torch.cat([quick(image) for image in images])
    assert torch.allclose(together, alone, atol=1e-4)
    assert together.std() > 0.1


# Their views


@pytest.mark.parametrize("size", [(40, 31), (16, 16), (60, 16), (9, 14), (400, 300)])
@pytest.mark.parametrize("kind", ["grid", "random", "liqe"])
def test_views_are_those_of_files_but_for_rounding(size: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(size[0])
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    plan = CropPlan(kind=kind, count=5, size=16, seed=3)
    views = make_views(image, plan)
    local, global_view = tensor_views(unit_pixels(pixels_of(image)), plan, rounded=True)
    for found, expected in ((local[0], views.local), (global_view[0], views.global_view)):
        differences = (found * 255 - expected).abs()
        assert differences.max() <= 1.001  # a tie that falls the other way
        assert (differences > 0.001).float().mean() <= 0.002
    local, global_view = tensor_views(unit_pixels(pixels_of(image)), plan)
    assert local.shape == (1, 5, 3, 16, 16)
    # Pillow rounds after either step: half a level of the first, spread by the second's kernel, and half a level.
    assert (local[0] * 255 - views.local).abs().max() <= (1.3 if views.upscaled else 1e-4)
    assert (global_view[0] * 255 - views.global_view).abs().max() <= 1.3
    assert global_view.min() >= 0
    assert global_view.max() <= 1


def test_what_overshoots_is_cut_along_the_rows_before_the_columns() -> None:
    """As Pillow does; cutting only at the end differs by many levels at sharp corners."""
    board = np.kron(np.indices((6, 6)).sum(0) % 2, np.ones((3, 3))).astype(np.uint8) * 255
    image = Image.fromarray(board).convert("RGB")
    expected = np.asarray(image.resize((50, 50), Image.Resampling.BICUBIC), dtype=float)
    found = resize(unit_pixels(pixels_of(image)), 50, 50)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - expected).max() <= 1.3


@pytest.mark.parametrize("size", [(11, 13), (5, 7), (8, 8)])
def test_gradients_of_views_are_right_to_double_precision(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    pixels = 0.3 + 0.4 * torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)
    pixels.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tensor_views(unit_pixels(x), CropPlan(count=3, size=8)), pixels)


# Gradients of quality


def directional(scorer: Scorer, pixels: Tensor, direction: Tensor, step: float) -> float:
    """The derivative along a direction by central differences."""
    ahead, behind = (scorer.quality(pixels + sign * step * direction) for sign in (1, -1))
    return (ahead - behind).sum().item() / (2 * step)


@pytest.mark.parametrize("size", [(240, 300), (100, 130)])
def test_the_gradient_of_quality_agrees_with_finite_differences(steep: Scorer, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    pixels = 0.25 + 0.5 * torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")
    pixels.requires_grad_()
    [gradient] = torch.autograd.grad(steep.quality(pixels).sum(), pixels)
    assert gradient.isfinite().all()
    directions = [gradient / gradient.norm(), gradient.sign() / gradient.numel() ** 0.5]
    smooth = torch.nn.functional.interpolate(torch.randn(2, 3, 6, 6, generator=generator), size=size, mode="bilinear")
    directions.append(smooth / smooth.norm())
    for direction in directions:
        expected = (gradient * direction).sum().item()
        found = directional(steep, pixels.detach(), direction, 0.05)
        assert found == pytest.approx(expected, rel=0.03, abs=0.003 * gradient.norm().item())


def test_the_shipped_models_gradient_agrees_with_finite_differences(quick: Scorer) -> None:
    pixels = 0.1 + 0.8 * pixels_of(SAMPLES / "coffee.jpg")[None] / 255.0
    pixels.requires_grad_()
    [gradient] = torch.autograd.grad(quick.quality(pixels).sum(), pixels)
    # Along the gradient itself the curvature is large: steps must be small, yet stand out of single precision.
    direction = gradient / gradient.norm()
    found = directional(quick, pixels.detach(), direction, 0.003)
    assert found == pytest.approx(gradient.norm().item(), rel=0.02)


def test_the_gradient_goes_through_the_whole_image_too(steep: Scorer) -> None:
    """Pixels that no crop covers only count in the global view, which training looks at without gradients."""
    one_crop = Scorer(steep.model, steep.info, crops=1)
    pixels = torch.full((1, 3, 480, 480), 0.5, requires_grad=True)
    one_crop.quality(pixels).sum().backward()
    corner = pixels.grad[..., :100, :100]
    assert corner.abs().max() > 1e-3 * pixels.grad.abs().max()


def test_gradients_pass_straight_through_rounding(steep: Scorer) -> None:
    """Rounding moves the value by little, and the gradient is taken as if it were not there."""
    pixels = torch.rand(1, 3, 240, 300, generator=torch.Generator().manual_seed(8)).requires_grad_()
    [smooth] = torch.autograd.grad(steep.quality(pixels).sum(), pixels)
    [rounded] = torch.autograd.grad(steep.quality(pixels, rounded=True).sum(), pixels)
    assert torch.nn.functional.cosine_similarity(smooth.flatten(), rounded.flatten(), dim=0) > 0.95
    assert steep.quality(pixels, rounded=True).item() == pytest.approx(steep(pixels).item(), abs=1e-5)


def test_gradients_of_a_batch_are_each_images_own(steep: Scorer) -> None:
    pixels = torch.rand(3, 3, 230, 250, generator=torch.Generator().manual_seed(2)).requires_grad_()
    [whole] = torch.autograd.grad(steep.quality(pixels)[1], pixels)
    assert whole[[0, 2]].abs().max() == 0
    [alone] = torch.autograd.grad(steep.quality(pixels[1]).sum(), pixels)
    assert torch.allclose(whole[1], alone[1], rtol=1e-3, atol=1e-6)


def test_quality_as_a_loss_makes_images_better_and_leaves_the_weights_alone(quick: Scorer) -> None:
    before = {name: weight.clone() for name, weight in quick.model.state_dict().items()}
    pixels = (pixels_of(SAMPLES / "chelsea_blur.jpg")[None, :, :256, :256] / 255.0).requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.002)
    qualities = []
    for _ in range(4):
        optimizer.zero_grad()
        quality = quick.quality(pixels.clamp(0, 1)).mean()
        (-quality).backward()
        optimizer.step()
        qualities.append(quality.item())
    assert qualities == sorted(qualities)
    assert qualities[-1] > qualities[0] + 0.1
    assert all(weight.grad is None for weight in quick.model.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in quick.model.state_dict().items())


def test_no_gradients_where_none_are_wanted(quick: Scorer) -> None:
    pixels = torch.rand(1, 3, 224, 224, requires_grad=True)
    assert quick.quality(pixels).requires_grad
    assert not quick(pixels).requires_grad
    assert not quick.quality(pixels.detach()).requires_grad


# What is refused


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.zeros(224, 224), "<tensor of shape (224, 224)>: expected (B, 3, H, W) or (3, H, W)"),
        (torch.zeros(224, 224, 3), "<tensor of shape (224, 224, 3)>: expected (B, 3, H, W) or (3, H, W)"),
        (torch.zeros(2, 1, 224, 224), "expected (B, 3, H, W) or (3, H, W)"),
        (torch.zeros(0, 3, 224, 224), "with at least one image of at least one pixel"),
        (torch.zeros(1, 3, 0, 224), "with at least one image of at least one pixel"),
        (torch.zeros(3, 9, 9).long(), "expected samples of uint8 or floating point in [0, 1], got torch.int64"),
        (torch.full((3, 9, 9), 255.0), "expected floating-point samples in [0, 1], got 255 to 255"),
        (torch.full((3, 9, 9), -1.0), "expected floating-point samples in [0, 1], got -1 to -1"),
        (torch.full((3, 9, 9), float("nan")), "expected floating-point samples in [0, 1], got nan to nan"),
        (torch.zeros(3, 1, 65), "is 65x1: too narrow to enlarge its short side"),
    ],
)  # fmt: skip
def test_pixels_that_are_refused(quick: Scorer, pixels: Tensor, message: str) -> None:
    with pytest.raises(ImageError, match=re.escape(message)) as caught:
        quick(pixels)
    assert isinstance(caught.value, DEFNetError)
    assert isinstance(caught.value, ValueError)


def test_rounding_is_not_another_range(quick: Scorer) -> None:
    pixels = torch.rand(1, 3, 224, 224)
    pixels[0, 0, 0, 0], pixels[0, 0, 0, 1] = 1.0000001, -1e-7
    assert quick(pixels).item() == pytest.approx(quick(pixels.clamp(0, 1)).item(), abs=1e-6)


def test_a_batch_in_a_list_is_refused(scorer: Scorer) -> None:
    with pytest.raises(ImageError, match=re.escape("<tensor of shape (2, 3, 9, 9)>: expected (3, H, W)")):
        scorer.score([torch.zeros(2, 3, 9, 9)])
    with pytest.raises(ImageError, match=re.escape("<tensor of shape (9, 9)>: expected (3, H, W)")):
        scorer.score(torch.zeros(9, 9))
