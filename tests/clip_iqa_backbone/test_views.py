import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from clip_iqa_backbone import CropPlan, ImageError, OpenedImage, make_views, open_image, open_image_with_warnings
from iqa_datasets import images


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(data.astronaut()[:400])


@pytest.mark.parametrize("kind", ["grid", "random", "liqe"])
def test_crops_are_the_pixels_of_the_image_where_the_plan_says(photograph, kind):
    plan = CropPlan(kind=kind, count=7)
    views = make_views(photograph, plan)
    assert views.local.shape == (7, 3, 224, 224)
    assert views.local.dtype == torch.uint8
    frame = np.asarray(photograph)
    for crop, (x, y) in zip(views.local, plan.boxes(*photograph.size), strict=True):
        np.testing.assert_array_equal(crop.permute(1, 2, 0), frame[y : y + 224, x : x + 224])
    assert (views.width, views.height, views.upscaled) == (512, 400, False)


def test_the_global_view_is_the_whole_image_squashed_without_aliasing(photograph):
    view = make_views(photograph, CropPlan(count=1)).global_view
    assert view.shape == (3, 224, 224)
    # An independent antialiased bicubic: torch's.
    frame = torch.from_numpy(np.array(photograph)).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(frame, (224, 224), mode="bicubic", antialias=True)[0].clamp(0, 255)
    difference = (view.float() - expected).abs()
    assert difference.mean() < 1
    assert difference.max() < 8  # the two kernels differ a little: a = -0.5 and -0.75


def test_the_global_view_of_fine_stripes_is_grey():
    stripes = np.zeros((896, 896), np.uint8)
    stripes[:, ::2] = 255
    view = make_views(open_image(stripes), CropPlan(count=1)).global_view.float()
    assert (view - 127.5).abs().max() < 20


def test_the_same_image_gives_the_same_views_alone_and_after_others(photograph):
    plan = CropPlan(kind="random", count=5)
    first = make_views(photograph, plan)
    make_views(Image.new("RGB", (100, 300)), plan)  # a small image once changed the crops of all later ones
    second = make_views(photograph, plan)
    torch.testing.assert_close(first.local, second.local, rtol=0, atol=0)
    assert first.local.shape == second.local.shape == (5, 3, 224, 224)


def test_random_views_draw_from_the_generator(photograph):
    plan = CropPlan(kind="random", count=2)
    rng = np.random.default_rng(0)
    first, second = (make_views(photograph, plan, generator=rng).local for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, make_views(photograph, plan, generator=np.random.default_rng(0)).local)


@pytest.mark.parametrize(("width", "height"), [(100, 300), (300, 100), (223, 224), (1, 1), (1, 64), (50, 50)])
def test_small_images_are_enlarged_and_say_so(width, height):
    views = make_views(Image.new("RGB", (width, height), (90, 60, 30)), CropPlan())
    assert views.upscaled
    assert (views.width, views.height) == (width, height)
    assert views.local.shape == (15, 3, 224, 224)
    for view in (*views.local, views.global_view):
        assert (view == torch.tensor([90, 60, 30])[:, None, None]).all()


def test_an_enlarged_image_is_the_bicubic_one_with_the_short_side_of_a_crop(photograph):
    small = photograph.resize((160, 120))
    views = make_views(small, CropPlan(count=2))
    larger = np.asarray(small.resize((299, 224), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(views.local[0].permute(1, 2, 0), larger[:, :224])
    np.testing.assert_array_equal(views.local[1].permute(1, 2, 0), larger[:, 299 - 224 :])


@pytest.mark.parametrize(("width", "height"), [(512, 400), (160, 120), (300, 100), (37, 224)])
def test_boxes_say_where_in_the_image_each_crop_lies(width, height):
    # A picture of places: red grows to the right, green downwards, so that a crop's middle tells where it was.
    places = np.zeros((height, width, 3), np.uint8)
    places[..., 0], places[..., 1] = np.linspace(0, 255, width)[None], np.linspace(0, 255, height)[:, None]
    views = make_views(Image.fromarray(places), CropPlan(kind="random", count=9, seed=1))
    assert views.boxes.shape == (9, 4)
    assert views.boxes.dtype == np.float64
    assert (views.boxes >= 0).all()
    assert (views.boxes <= [width, height, width, height]).all()
    for crop, (left, top, right, bottom) in zip(views.local, views.boxes, strict=True):
        red, green, _ = crop.double().mean(dim=(1, 2)).tolist()
        # Pixel centres lie at halves, and the ramp goes from the first centre to the last.
        assert red == pytest.approx(255 * ((left + right) / 2 - 0.5) / (width - 1), abs=1)
        assert green == pytest.approx(255 * ((top + bottom) / 2 - 0.5) / (height - 1), abs=1)
        assert right - left == pytest.approx(224 / views.scale)


def test_frame_and_scale_are_those_of_what_was_cut(photograph):
    views = make_views(photograph, CropPlan(count=2))
    assert (views.frame, views.scale) == ((512, 400), 1.0)
    np.testing.assert_array_equal(views.boxes, [[0, 88, 224, 312], [288, 88, 512, 312]])
    small = make_views(photograph.resize((160, 120)), CropPlan(count=2))
    assert small.frame == (299, 224)
    assert small.scale == 299 / 160
    np.testing.assert_allclose(small.boxes[1], [160 - 224 * 160 / 299, 0, 160, 120])


def test_a_sliver_is_refused_before_it_fills_the_memory():
    for size in ((1, 20_000), (20_000, 1), (2, 129)):
        with pytest.raises(ImageError, match="too narrow to enlarge its short side to 224 pixels"):
            make_views(Image.new("RGB", size), CropPlan())


def test_a_long_image_that_needs_no_enlarging_is_fine():
    assert not make_views(Image.new("RGB", (20_000, 224)), CropPlan()).upscaled


def test_cutting_crops_of_a_large_photograph_takes_little_more_than_the_crops():
    # All crops of a 4000 x 3000 photograph at stride 32 would be 1.5 GB as bytes, the frame as an array 36 MB.
    image = Image.new("RGB", (4000, 3000), (1, 2, 3))
    image.load()
    tracemalloc.start()
    try:
        views = make_views(image, CropPlan())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kept = views.local.numel() + views.global_view.numel()
    assert peak < 4 * kept


def test_other_modes_are_refused():
    with pytest.raises(ValueError, match="image must be RGB, got mode L"):
        make_views(Image.new("L", (300, 300)), CropPlan())


def opened(image: Image.Image) -> OpenedImage:
    return OpenedImage(image, path="folder/a.tif", size=(900, 700), frames=3, warnings=("frame 1 of 3",))


def test_views_carry_what_was_said_when_the_image_was_opened(photograph):
    views = make_views(opened(photograph), CropPlan(count=2))
    plain = make_views(photograph, CropPlan(count=2))
    assert torch.equal(views.local, plain.local)
    assert torch.equal(views.global_view, plain.global_view)
    assert (views.width, views.height, views.warnings) == (900, 700, ("frame 1 of 3",))
    assert plain.warnings == ()


def test_an_opened_image_that_cannot_be_cut_is_named():
    with pytest.raises(ImageError, match=r"^folder/a.tif: is 1x20000: too narrow"):
        make_views(opened(Image.new("RGB", (1, 20_000))), CropPlan())
    with pytest.raises(ImageError, match=r"^<image>: is 1x20000: too narrow"):
        make_views(Image.new("RGB", (1, 20_000)), CropPlan())


def test_what_must_be_enlarged_is_told_by_the_shorter_side_at_its_very_end():
    assert not make_views(Image.new("RGB", (224, 300)), CropPlan(count=1)).upscaled
    assert make_views(Image.new("RGB", (223, 300)), CropPlan(count=1)).upscaled
    assert make_views(Image.new("RGB", (1, 64)), CropPlan(count=1)).local.shape == (1, 3, 224, 224)
    with pytest.raises(ImageError, match="at most 64 times"):
        make_views(Image.new("RGB", (1, 65)), CropPlan(count=1))


def test_the_frames_of_a_file_are_told_with_its_views(tmp_path):
    frames = [Image.new("RGB", (300, 240), colour) for colour in ((9, 9, 9), (200, 10, 10))]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    views = make_views(open_image_with_warnings(tmp_path / "two.tif"), CropPlan(count=1))
    assert (views.width, views.height) == (300, 240)
    assert any("frame 1 of 2" in warning for warning in views.warnings)


def test_the_reader_is_that_of_iqa_datasets():
    assert open_image is images.open_image
    assert ImageError is images.ImageError
    assert issubclass(ImageError, ValueError)
