"""The pictures of docs/clip-iqa-backbone/crop-plans.md: where each plan looks, and what it sees.

    python docs/figures/crop_plans.py

The photograph is samples/coffee.jpg, at the 768 × 512 pixels that many data sets have.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from clip_iqa_backbone import CropPlan, Views, make_views, open_image

FOLDER = Path(__file__).parent
PHOTOGRAPH = FOLDER.parents[1] / "samples" / "coffee.jpg"
SIZE = (768, 512)
PLANS = {kind: CropPlan(kind) for kind in ("grid", "random", "liqe")}
LINE, CAPTION = (255, 196, 0), (110, 110, 110)  # the caption's grey is legible on white and on black


def where(image: Image.Image, views: Views) -> Image.Image:
    """The photograph, darker where fewer crops look, with the crops' outlines and their middles."""
    times = np.zeros((image.height, image.width))
    for left, top, right, bottom in views.boxes.round().astype(int):
        times[top:bottom, left:right] += 1
    light = np.where(times > 0, 0.6 + 0.4 * times / times.max(), 0.25)
    picture = Image.fromarray((np.asarray(image) * light[..., None]).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in views.boxes:
        draw.rectangle((left, top, right - 1, bottom - 1), outline=LINE, width=2)
    for left, top, right, bottom in views.boxes:
        x, y = (left + right) / 2, (top + bottom) / 2
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=LINE, outline="black")
    return picture


def seen(views: Views) -> Image.Image:
    """The crops in their order, five to a row."""
    side, gap = 150, 4
    rows = -(-len(views.local) // 5)
    picture = Image.new("RGBA", (5 * side + 4 * gap, rows * side + (rows - 1) * gap))
    for number, crop in enumerate(views.local.numpy().transpose(0, 2, 3, 1)):
        small = Image.fromarray(crop).resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(small, ((number % 5) * (side + gap), (number // 5) * (side + gap)))
    return picture


def main() -> None:
    """Write a picture for each plan beside this script."""
    image = ImageOps.fit(open_image(PHOTOGRAPH), SIZE, Image.Resampling.LANCZOS)
    font = ImageFont.load_default(20)
    for kind, plan in PLANS.items():
        views = make_views(image, plan)
        left, right = where(image, views), seen(views)
        height = round(right.height * left.height / right.height)
        right = right.resize((round(right.width * height / right.height), height), Image.Resampling.LANCZOS)
        picture = Image.new("RGBA", (left.width + 24 + right.width, height + 34))
        picture.paste(left, (0, 34))
        picture.paste(right, (left.width + 24, 34))
        draw = ImageDraw.Draw(picture)
        places = len(np.unique(views.boxes, axis=0))
        draw.text((2, 4), f"{kind}: where the {places} crops lie", CAPTION, font)
        draw.text((left.width + 24, 4), "what they show, in their order", CAPTION, font)
        picture.resize((1000, round(1000 * picture.height / picture.width)), Image.Resampling.LANCZOS).save(
            FOLDER / f"crop-plan-{kind}.webp", quality=80, method=6
        )
        columns = len(np.unique(views.boxes[:, 0]))
        print(f"{kind}: {places} places in {columns} columns")


if __name__ == "__main__":
    main()
