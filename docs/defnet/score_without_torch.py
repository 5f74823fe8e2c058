"""Score photographs by an exported model alone: `python score_without_torch.py MODEL.onnx PHOTOGRAPH ...`."""

import json
import math
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, *paths = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
info = json.loads(session.get_modelmeta().custom_metadata_map["defnet"])
count, size = info["crops"]["count"], info["crops"]["size"]


def spread(room, parts):
    return [room // 2] if parts == 1 else [round(room * i / (parts - 1)) for i in range(parts)]


def grid(width, height):
    rows = min(max(round(math.sqrt(count * (height / width))), 2), count // 2)
    rows = 1 if height == size else count if width == size else rows
    for row, y in enumerate(spread(height - size, rows)):
        for x in spread(width - size, (row + 1) * count // rows - row * count // rows):
            yield x, y, x + size, y + size


for path in paths:
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    frame = image
    if min(image.size) < size:
        sides = [max(size, round(side * (size / min(image.size)))) for side in image.size]
        frame = image.resize(sides, Image.Resampling.BICUBIC)
    crops = np.stack([frame.crop(box) for box in grid(*frame.size)]).transpose(0, 3, 1, 2)
    whole = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    said = dict(zip(info["outputs"], session.run(info["outputs"], {"crops": crops, "whole": whole}), strict=True))
    row = {name: round(float(said[name]), 6) for name in info["outputs"] if said[name].ndim == 0}
    row |= {end: min(max(row[end], 1.0), 5.0) for end in ("lower", "upper")}
    row |= {name: info[f"{name}s"][said[f"{name}_probabilities"].argmax()] for name in ("scene", "distortion")}
    print(json.dumps({"path": path} | row))
