"""The picture of docs/iqa-datasets/synthesize.md: six types at all levels. Needs scikit-image, whose photograph it is.

    python docs/figures/synthesize.py

The photograph, `skimage.data.coffee`, was given to the public domain (CC0) by Rachel Michetti.
"""

import tempfile
from pathlib import Path

from PIL import Image
from skimage.data import coffee

from iqa_datasets.synthesis import chosen_types
from iqa_datasets.synthesis.contact_sheets import contact_sheet

TYPES = ("denoise", "jpeg", "contrast-change", "non-eccentricity-patch", "camera-shake", "sensor-noise")


def main() -> None:
    """Write synthesize.jpg beside this script."""
    with tempfile.TemporaryDirectory() as folder:
        photograph = Path(folder) / "coffee.png"
        Image.fromarray(coffee()).save(photograph)
        sheets = [contact_sheet(one, [photograph]) for one in chosen_types(TYPES)]
    picture = Image.new("RGB", (sheets[0].width, sum(sheet.height for sheet in sheets)), "white")
    top = 0
    for sheet in sheets:
        picture.paste(sheet, (0, top))
        top += sheet.height
    small = picture.resize((1000, round(1000 * picture.height / picture.width)), Image.Resampling.LANCZOS)
    small.save(Path(__file__).with_suffix(".jpg"), quality=75)


if __name__ == "__main__":
    main()
