# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy>=2", "pillow>=11", "scikit-image==0.26.0", "scipy>=1.14"]
# ///
"""Make the sample photographs of this folder from those that scikit-image's wheel carries.

    uv run samples/make_samples.py

uv reads what is needed from the lines above; nothing but packages is downloaded. The pictures are written beside this
file, over those already there. README.md says where each comes from and under which terms.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

FOLDER = Path(__file__).parent
# Encoding at this quality, without thinning the colours out, leaves no trace that can be seen.
GOOD = 95


def save(name: str, pixels: NDArray[np.float64], quality: int = GOOD) -> None:
    """Write pixels in [0, 255], shape (H, W) or (H, W, 3), as a JPEG file of the given quality."""
    image = Image.fromarray((np.clip(pixels, 0, 255) + 0.5).astype(np.uint8))
    subsampling = "4:4:4" if quality == GOOD else "4:2:0"
    image.save(FOLDER / f"{name}.jpg", quality=quality, subsampling=subsampling, optimize=True)


def main() -> None:
    """Write the five photographs and their seven degraded copies."""
    astronaut = data.astronaut().astype(np.float64)
    camera = data.camera().astype(np.float64)
    chelsea = data.chelsea().astype(np.float64)
    coffee = data.coffee().astype(np.float64)
    rocket = data.rocket().astype(np.float64)
    for name, pixels in {
        "astronaut": astronaut,
        "camera": camera,
        "chelsea": chelsea,
        "coffee": coffee,
        "rocket": rocket,
    }.items():
        save(name, pixels)

    rng = np.random.default_rng(0)
    save("astronaut_underexposed", astronaut * 0.15)
    save("camera_blur", gaussian_filter(camera, 4))
    save("chelsea_blur", gaussian_filter(chelsea, (3, 3, 0)))
    save("chelsea_jpeg8", chelsea, quality=8)
    # Noise is costly to encode; this quality keeps it as good as whole at half the size.
    save("coffee_noise", coffee + rng.normal(0, 40, coffee.shape), quality=85)
    save("coffee_overexposed", coffee * 2.2 + 60)
    save("rocket_noise", rocket + rng.normal(0, 30, rocket.shape), quality=85)


if __name__ == "__main__":
    main()
