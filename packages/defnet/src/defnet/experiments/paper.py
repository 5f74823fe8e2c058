"""The figures that the DEFNet paper prints, as numbers, to stand beside what is measured here.

Source: Lou et al., "DEFNet: Multitasks-based Deep Evidential Fusion Network for Blind Image Quality Assessment",
arXiv:2507.19418. Rows of other methods are left out. Data sets go by their ids, CSIQ's and LIVE's distortion types by
the names of their folders. The paper does not say whether its PLCC comes before or after a logistic.
"""

from typing import Final

SOURCE: Final = "arXiv:2507.19418"

TRAINED_ON: Final = ("live", "csiq", "kadid-10k", "bid", "live-challenge", "koniq-10k")
"""The six data sets of the mixture, in the order of the paper's tables."""

ZERO_SHOT: Final = ("tid2013", "spaq", "pipal")
"""The data sets of Table 2."""

TABLE_1: Final = {
    "live": {"srcc": 0.978, "plcc": 0.960},
    "csiq": {"srcc": 0.967, "plcc": 0.964},
    "kadid-10k": {"srcc": 0.942, "plcc": 0.944},
    "bid": {"srcc": 0.910, "plcc": 0.909},
    "live-challenge": {"srcc": 0.918, "plcc": 0.897},
    "koniq-10k": {"srcc": 0.920, "plcc": 0.901},
}
"""DEFNet by data set. It equals the row (0.1, 0.1) of `TABLE_5`."""

TABLE_2: Final = {"tid2013": 0.828, "spaq": 0.868, "pipal": 0.464}
"""SRCC without training on the data set. The paper judges on PIPAL's training part."""

TABLE_3: Final = {
    "awgn": 0.969,
    "blur": 0.971,
    "fnoise": 0.974,
    "contrast": 0.941,
    "jpeg": 0.967,
    "jpeg2000": 0.971,
}
"""SRCC by distortion type of CSIQ: white noise, Gaussian blur, pink noise, contrast decrements, JPEG, JPEG 2000."""

TABLE_4: Final = {
    "q-M": {"srcc": 0.910, "plcc": 0.898},
    "q-M+U": {"srcc": 0.914, "plcc": 0.905},
    "q-M+F": {"srcc": 0.916, "plcc": 0.905},
    "q-M+U+F": {"srcc": 0.922, "plcc": 0.908},
    "q+s-M": {"srcc": 0.915, "plcc": 0.904, "scene_accuracy": 0.873},
    "q+s-M+U": {"srcc": 0.920, "plcc": 0.915, "scene_accuracy": 0.878},
    "q+s-M+F": {"srcc": 0.921, "plcc": 0.910, "scene_accuracy": 0.878},
    "q+s-M+U+F": {"srcc": 0.923, "plcc": 0.921, "scene_accuracy": 0.882},
    "q+d-M": {"srcc": 0.913, "plcc": 0.906, "distortion_accuracy": 0.837},
    "q+d-M+U": {"srcc": 0.924, "plcc": 0.915, "distortion_accuracy": 0.840},
    "q+d-M+F": {"srcc": 0.925, "plcc": 0.913, "distortion_accuracy": 0.838},
    "q+d-M+U+F": {"srcc": 0.933, "plcc": 0.921, "distortion_accuracy": 0.838},
    "q+s+d-M": {"srcc": 0.916, "plcc": 0.906, "scene_accuracy": 0.870, "distortion_accuracy": 0.851},
    "q+s+d-M+U": {"srcc": 0.925, "plcc": 0.921, "scene_accuracy": 0.864, "distortion_accuracy": 0.830},
    "q+s+d-M+F": {"srcc": 0.926, "plcc": 0.921, "scene_accuracy": 0.873, "distortion_accuracy": 0.838},
    "q+s+d-M+U+F": {"srcc": 0.939, "plcc": 0.929, "scene_accuracy": 0.879, "distortion_accuracy": 0.847},
}
"""The ablation, averaged over the six data sets, by the names of `ablation.ROWS`."""

TABLE_5: Final = {
    (0.1, 0.1): {
        "live": {"srcc": 0.978, "plcc": 0.960},
        "csiq": {"srcc": 0.967, "plcc": 0.964},
        "kadid-10k": {"srcc": 0.942, "plcc": 0.944},
        "bid": {"srcc": 0.910, "plcc": 0.909},
        "live-challenge": {"srcc": 0.918, "plcc": 0.897},
        "koniq-10k": {"srcc": 0.920, "plcc": 0.901},
    },
    (0.1, 0.2): {
        "live": {"srcc": 0.979, "plcc": 0.959},
        "csiq": {"srcc": 0.971, "plcc": 0.964},
        "kadid-10k": {"srcc": 0.947, "plcc": 0.947},
        "bid": {"srcc": 0.906, "plcc": 0.911},
        "live-challenge": {"srcc": 0.921, "plcc": 0.890},
        "koniq-10k": {"srcc": 0.921, "plcc": 0.901},
    },
    (0.1, 0.3): {
        "live": {"srcc": 0.976, "plcc": 0.952},
        "csiq": {"srcc": 0.970, "plcc": 0.961},
        "kadid-10k": {"srcc": 0.945, "plcc": 0.943},
        "bid": {"srcc": 0.903, "plcc": 0.901},
        "live-challenge": {"srcc": 0.907, "plcc": 0.867},
        "koniq-10k": {"srcc": 0.920, "plcc": 0.894},
    },
    (0.2, 0.1): {
        "live": {"srcc": 0.981, "plcc": 0.952},
        "csiq": {"srcc": 0.973, "plcc": 0.965},
        "kadid-10k": {"srcc": 0.945, "plcc": 0.947},
        "bid": {"srcc": 0.912, "plcc": 0.921},
        "live-challenge": {"srcc": 0.910, "plcc": 0.869},
        "koniq-10k": {"srcc": 0.919, "plcc": 0.898},
    },
    (0.3, 0.1): {
        "live": {"srcc": 0.978, "plcc": 0.946},
        "csiq": {"srcc": 0.967, "plcc": 0.949},
        "kadid-10k": {"srcc": 0.946, "plcc": 0.943},
        "bid": {"srcc": 0.911, "plcc": 0.900},
        "live-challenge": {"srcc": 0.904, "plcc": 0.836},
        "koniq-10k": {"srcc": 0.918, "plcc": 0.893},
    },
    (0.4, 0.1): {
        "live": {"srcc": 0.979, "plcc": 0.945},
        "csiq": {"srcc": 0.966, "plcc": 0.949},
        "kadid-10k": {"srcc": 0.944, "plcc": 0.940},
        "bid": {"srcc": 0.903, "plcc": 0.897},
        "live-challenge": {"srcc": 0.903, "plcc": 0.821},
        "koniq-10k": {"srcc": 0.917, "plcc": 0.890},
    },
}
"""DEFNet by (λ₁, λ₂) and data set."""

TABLE_6: Final = {"liqe": 0.286, "defnet": 0.251}
"""Mean width of the confidence interval in scatter plots; the paper says neither of which data nor on what scale."""

TABLE_7: Final = {"wn": 0.989, "fastfading": 0.942, "gblur": 0.971, "jpeg": 0.985, "jp2k": 0.983}
"""SRCC by distortion type of LIVE: white noise, fast fading, Gaussian blur, JPEG, JPEG 2000."""

TABLE_8: Final = {"defnet": 84.22, "liqe": 59.02}
"""Millions of parameters. CLIP ViT-B/32 alone, both towers, has 151.3; the paper does not say which it counts."""
