"""The 25 distortions of KADID-10k, each as a function of an image, a setting and, where it draws, a generator.

Reference: H. Lin, V. Hosu and D. Saupe, KADID-10k: A Large-scale Artificially Distorted IQA Database, QoMEX 2019, and
the settings of the code that its authors published for KADIS-700k. What that code took from MATLAB's toolboxes is
computed here by other means where Python has none; the docstrings say so.
"""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import convolve1d, gaussian_filter, map_coordinates

from iqa_datasets.synthesis.pixels import (
    Pixels,
    from_lab,
    from_ycbcr,
    luma,
    to_bytes,
    to_lab,
    to_pixels,
    to_ycbcr,
)

# Blurs


def gaussian_blur(image: Pixels, deviation: float) -> Pixels:
    """01: blur by a Gaussian of this deviation in pixels."""
    return np.asarray(gaussian_filter(image, (deviation, deviation, 0), mode="nearest"))


def lens_blur(image: Pixels, radius: float) -> Pixels:
    """02: blur by an evenly filled disk of this radius in pixels."""
    return convolve(image, disk(radius))


def motion_blur(image: Pixels, length: float, rng: np.random.Generator) -> Pixels:
    """03: blur along a line of 2 · length + 1 pixels, horizontal or vertical by chance.

    The original's direction and exact length are not published; the setting is taken for the half length.
    """
    taps = np.full(round(2 * length) + 1, 1 / (round(2 * length) + 1), dtype=np.float32)
    return convolve1d(image, taps, axis=int(rng.integers(2)), mode="nearest")


# Colour


def color_diffusion(image: Pixels, amount: float) -> Pixels:
    """04: in CIELAB, blur a and b by a Gaussian of deviation 1.5 · amount + 2 and multiply them by the amount."""
    lab = to_lab(image)
    deviation = 1.5 * amount + 2
    lab[..., 1:] = amount * gaussian_filter(lab[..., 1:], (deviation, deviation, 0), mode="nearest")
    return from_lab(lab)


def color_shift(image: Pixels, distance: float, rng: np.random.Generator) -> Pixels:
    """05: move the green plane this many pixels in a random direction, blended in where there are edges.

    The blend's weight is the magnitude of the luma's gradient, blurred by a Gaussian of deviation 4 and stretched
    between its first and last percentile.
    """
    vertical, horizontal = np.gradient(luma(image))
    weight = gaussian_filter(np.hypot(vertical, horizontal), 4.0)
    low, high = np.percentile(weight, (1, 99))
    weight = np.clip((weight - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    down, right = round(distance * np.sin(angle)), round(distance * np.cos(angle))
    rows = np.clip(np.arange(image.shape[0]) - down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - right, 0, image.shape[1] - 1)
    moved = image[..., 1][np.ix_(rows, columns)]
    shifted = image.copy()
    shifted[..., 1] = weight * moved + (1 - weight) * image[..., 1]
    return shifted


def color_quantization(image: Pixels, colors: float) -> Pixels:
    """06: reduce to a palette of this many colours with error diffusion (Pillow's median cut; MATLAB's in KADID)."""
    picture = Image.fromarray(to_bytes(image))
    palette = picture.quantize(int(colors), method=Image.Quantize.MEDIANCUT)
    return to_pixels(np.asarray(picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")))


def color_saturation_hsv(image: Pixels, factor: float) -> Pixels:
    """07: multiply the saturation of HSV. 0 is grey; below, colours turn into their complements."""
    value = image.max(axis=2, keepdims=True)
    return np.asarray(value - np.float32(factor) * (value - image))


def color_saturation_lab(image: Pixels, factor: float) -> Pixels:
    """08: multiply a and b of CIELAB; 1 leaves the image as it is."""
    if factor == 1:
        return image
    lab = to_lab(image)
    lab[..., 1:] *= np.float32(factor)
    return from_lab(lab)


# Compression


def jpeg2000(image: Pixels, ratio: float) -> Pixels:
    """09: compress by JPEG2000 to this ratio (OpenJPEG)."""
    return through_file(image, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True)


def jpeg(image: Pixels, quality: float) -> Pixels:
    """10: compress by JPEG at this quality, with 4:2:0 chroma."""
    return through_file(image, "JPEG", quality=int(quality), subsampling="4:2:0")


# Noise


def white_noise(image: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    """11: add Gaussian noise of this variance to R, G and B."""
    return image + normal(image.shape, variance, rng)


def white_noise_ycbcr(image: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    """12: add Gaussian noise of this variance to Y, Cb and Cr."""
    return from_ycbcr(to_ycbcr(image) + normal(image.shape, variance, rng))


def impulse_noise(image: Pixels, density: float, rng: np.random.Generator) -> Pixels:
    """13: set this share of the samples to 0 or 1, half and half."""
    chance = rng.random(image.shape, dtype=np.float32)
    noisy: Pixels = np.where(chance < density / 2, np.float32(0), image)
    return np.where(chance > 1 - density / 2, np.float32(1), noisy)


def multiplicative_noise(image: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    """14: add to each sample itself times evenly distributed noise of this variance (speckle)."""
    half_width = np.sqrt(3 * variance)
    return image + image * rng.uniform(-half_width, half_width, image.shape).astype(np.float32)


def denoise(image: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    """15: add Gaussian noise of this variance, clip, and remove it by non-local means (scikit-image; KADID: DnCNN)."""
    try:
        from skimage.restoration import denoise_nl_means
    except ImportError as error:
        raise ImportError('denoise needs scikit-image: pip install "iqa-datasets[synthesize]"') from error
    deviation = float(np.sqrt(variance))
    noisy = np.clip(image + normal(image.shape, variance, rng), 0, 1)
    cleaned = denoise_nl_means(
        noisy, patch_size=5, patch_distance=4, h=0.8 * deviation, sigma=deviation, fast_mode=True, channel_axis=2
    )
    return np.asarray(cleaned, dtype=np.float32)


# Brightness


def brighten(image: Pixels, amount: float) -> Pixels:
    """16: raise the middle tone 0.5 by half the amount along a parabola through 0 and 1: 2/3 in RGB, 1/3 in L."""
    lab = to_lab(image)
    lab[..., 0] = 100 * np.clip(_bend(lab[..., 0] / np.float32(100), amount), 0, 1)
    return (2 * np.clip(_bend(image, amount), 0, 1) + from_lab(lab)) / np.float32(3)


def darken(image: Pixels, amount: float) -> Pixels:
    """17: lower the middle tone 0.5 by half the amount along a parabola through 0 and 1, in RGB."""
    return _bend(image, -amount)


def mean_shift(image: Pixels, shift: float) -> Pixels:
    """18: add the shift to all samples; 0 leaves the image as it is."""
    return image + np.float32(shift)


# Spatial


def jitter(image: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    """19: five times over, take each pixel from a place displaced by a Gaussian of this deviation in pixels."""
    height, width, _ = image.shape
    grid = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(5):
        places = grid + np.float32(deviation) * rng.standard_normal((2, height, width), dtype=np.float32)
        planes = [map_coordinates(image[..., plane], places, order=1, mode="nearest") for plane in range(3)]
        image = np.stack(planes, axis=2)
    return image


def non_eccentricity_patch(image: Pixels, patches: float, rng: np.random.Generator) -> Pixels:
    """20: lay this many patches of 16 × 16 over places 16 pixels away in a random direction."""
    side, away = 16, 16
    height, width, _ = image.shape
    _at_least(image, side + 2 * away, "non-eccentricity patch")
    patched = image.copy()
    for _ in range(int(patches)):
        top = int(rng.integers(away, height - side - away + 1))
        left = int(rng.integers(away, width - side - away + 1))
        angle = rng.uniform(0, 2 * np.pi)
        down, right = top + round(away * np.sin(angle)), left + round(away * np.cos(angle))
        patched[down : down + side, right : right + side] = image[top : top + side, left : left + side]
    return patched


def pixelate(image: Pixels, strength: float) -> Pixels:
    """21: scale to 0.95 − strength^0.6 of the size and back, by nearest neighbours."""
    scale = 0.95 - strength**0.6
    height, width, _ = image.shape
    picture = Image.fromarray(to_bytes(image))
    small = picture.resize((max(1, int(scale * width)), max(1, int(scale * height))), Image.Resampling.NEAREST)
    return to_pixels(np.asarray(small.resize((width, height), Image.Resampling.NEAREST)))


def quantization(image: Pixels, thresholds: float) -> Pixels:
    """22: quantize all samples by this many thresholds, placed for the least variance within a step (Otsu).

    A sample becomes the threshold below it, 0 below the first and 1 above the last, as in KADID's code.
    """
    samples = to_bytes(image)
    cuts = otsu_thresholds(np.bincount(samples.ravel(), minlength=256), int(thresholds))
    # Fewer distinct values than thresholds: every value keeps a step of its own.
    steps = np.concatenate([[0.0], cuts[1:] / 255, [1.0]]).astype(np.float32)
    return np.asarray(steps[np.searchsorted(cuts, samples, side="left")])


def color_block(image: Pixels, blocks: float, rng: np.random.Generator) -> Pixels:
    """23: lay this many blocks of 32 × 32 in random colours over random places."""
    side = 32
    height, width, _ = image.shape
    _at_least(image, side, "color block")
    covered = image.copy()
    for _ in range(int(blocks)):
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        covered[top : top + side, left : left + side] = rng.random(3, dtype=np.float32)
    return covered


# Sharpness and contrast


def high_sharpen(image: Pixels, amount: float) -> Pixels:
    """24: subtract the amount times the Laplacian (the gradient's gradient, two pixels apart) from L of CIELAB."""
    lab = to_lab(image)
    lightness = lab[..., 0]
    laplacian = np.gradient(np.gradient(lightness, axis=0), axis=0) + np.gradient(
        np.gradient(lightness, axis=1), axis=1
    )
    lab[..., 0] = np.clip(lightness - np.float32(amount) * laplacian, 0, 100)
    return from_lab(lab)


def contrast_change(image: Pixels, amount: float) -> Pixels:
    """25: a tone curve through 0, 0.5 and 1 that takes 0.3 to 0.25 − amount/4 and 0.7 to 0.75 + amount/4.

    An amount of −0.2 would leave the image as it is. The curve is a monotone cubic (KADID's: a spline).
    """
    curve = PchipInterpolator([0, 0.3, 0.5, 0.7, 1], [0, 0.25 - amount / 4, 0.5, 0.75 + amount / 4, 1])
    return np.asarray(curve(image), dtype=np.float32)


# What several of them use


def normal(shape: tuple[int, ...], variance: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return Gaussian noise of this variance."""
    return np.float32(np.sqrt(variance)) * rng.standard_normal(shape, dtype=np.float32)


def convolve(image: Pixels, kernel: NDArray[np.float32]) -> Pixels:
    """Return each plane convolved with a kernel of odd sides, the image's edge continued."""
    rows, columns = (side // 2 for side in kernel.shape)
    padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode="edge")
    # Not scipy.signal, whose import takes longer than a process needs for a photograph's blurs.
    shape = [next_fast_len(side, real=True) for side in padded.shape[:2]]
    spectrum = rfft2(padded, shape, axes=(0, 1)) * rfft2(kernel, shape)[..., None]
    whole = irfft2(spectrum, shape, axes=(0, 1))
    inside = whole[2 * rows : 2 * rows + image.shape[0], 2 * columns : 2 * columns + image.shape[1]]
    return np.asarray(inside, dtype=np.float32)


@cache
def disk(radius: float) -> NDArray[np.float32]:
    """Return a disk of this radius in pixels as a kernel that sums to 1; pixels on its rim count by their share."""
    reach = int(np.ceil(radius))
    fine = 16  # points a pixel and side, over which the rim is averaged
    steps = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = (steps[:, None] ** 2 + steps[None, :] ** 2 <= radius**2).astype(np.float64)
    side = 2 * reach + 1
    share = inside.reshape(side, fine, side, fine).mean(axis=(1, 3))
    return np.asarray(share / share.sum(), dtype=np.float32)


def through_file(image: Pixels, form: str, **options: object) -> Pixels:
    """Return the image after it was written in a format and read again."""
    stream = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(stream, form, **options)
    with Image.open(stream) as decoded:
        return to_pixels(np.asarray(decoded.convert("RGB"), dtype=np.uint8))


def otsu_thresholds(histogram: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the thresholds that leave the least variance within the steps, exactly, by dynamic programming.

    Args:
        histogram: number of samples of each value, shape (256,).
        count: number of thresholds; fewer are returned if there are not so many values.

    Returns:
        The largest value of each step but the last, increasing.

    Reference: N. Otsu, A Threshold Selection Method from Gray-Level Histograms, 1979, for several thresholds.
    """
    values = np.flatnonzero(histogram)
    weights = histogram[values].astype(np.float64)
    count = min(count, len(values) - 1)
    if count < 1:
        return np.array([255], dtype=np.int64)
    total = np.concatenate([[0], np.cumsum(weights)])
    first = np.concatenate([[0], np.cumsum(weights * values)])
    # gain[i, j]: squared sum over weight of the values i..j-1; its sum over steps is largest where variance is least.
    mass = total[None, :] - total[:, None]
    gain = np.where(mass > 0, (first[None, :] - first[:, None]) ** 2 / np.where(mass > 0, mass, 1), -np.inf)
    best = gain[0]
    cuts = []
    for _ in range(count):
        options = best[:, None] + gain
        cuts.append(options.argmax(axis=0))
        best = options.max(axis=0)
    ends, end = [], len(values)
    for cut in reversed(cuts):
        end = int(cut[end])
        ends.append(values[end - 1])
    return np.array(ends[::-1], dtype=np.int64)


def _bend(tones: NDArray[np.float32], amount: float) -> NDArray[np.float32]:
    """The parabola through (0, 0), (0.5, 0.5 + amount/2) and (1, 1)."""
    return tones + np.float32(2 * amount) * tones * (1 - tones)


def _at_least(image: Pixels, side: int, what: str) -> None:
    from iqa_datasets.errors import DatasetError

    height, width, _ = image.shape
    if min(height, width) < side:
        raise DatasetError(f"{what} needs an image of {side}x{side} pixels or more, got {width}x{height}")
