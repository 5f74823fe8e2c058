"""Which metrics are better when higher and which when lower: the user's word, known names, or the consensus."""

import re
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from map_score_fusion.errors import ScoreTableError
from map_score_fusion.methods.base import FloatArray
from map_score_fusion.rank_correlation import correlation_of_pairs, normal_scores

WEAK = 0.1
"""A correlation with the consensus nearer to 0 than this, or than three standard errors, decides no direction."""

CONTRARY = -0.3
"""A known direction under which a metric correlates with the consensus of the others below this is warned of."""

HigherIsBetter: TypeAlias = Mapping[str, bool | None] | Sequence[bool | None] | bool | None
"""What a user may say of directions: by column name, by position, one for all, or nothing."""

Source = Literal["user", "known name", "consensus", "assumed"]


@dataclass(frozen=True)
class Direction:
    """Which way a metric's scores go, and who said so.

    Attributes:
        higher_is_better: Whether a higher score means better quality.
        source: ``"user"``; ``"known name"``; ``"consensus"``, from agreement with the other metrics; or ``"assumed"``,
            as given, since nothing decides it.
    """

    higher_is_better: bool
    source: Source


@dataclass(frozen=True)
class KnownMetric:
    """A metric whose direction is known by its name.

    Attributes:
        name: As its authors write it.
        higher_is_better: Whether a higher score means better quality.
        source: Where that can be looked up.
        spellings: Other names that tables use for it, without what `key_of` leaves out.
    """

    name: str
    higher_is_better: bool
    source: str
    spellings: tuple[str, ...] = ()


_PYIQA = "pyiqa 0.1, default_model_configs.py, lower_better"
_PIQ = "piq 0.8, measured with growing noise"
_TORCHMETRICS = "torchmetrics 1.9, higher_is_better"
_ERROR = "an error, 0 for equal images"
_BUTTERAUGLI = "google/butteraugli and libjxl: a distance, 0 where no difference is seen"

_BUTTERAUGLI_POOLS = ("3norm", "pnorm", "infnorm", "maxnorm", "3m", "2s", "3s", "6s", "12s")

KNOWN_METRICS: tuple[KnownMetric, ...] = (
    KnownMetric("AHIQ", True, _PYIQA),
    KnownMetric("ARNIQA", True, _TORCHMETRICS, ("arniqakoniq", "arniqakadid", "arniqatid", "arniqaspaq")),
    KnownMetric("BRISQUE", False, _PYIQA, ("brisquematlab",)),
    KnownMetric("Butteraugli", False, _BUTTERAUGLI, tuple(f"butteraugli{pool}" for pool in _BUTTERAUGLI_POOLS)),
    KnownMetric("Butteraugli XL", False, _BUTTERAUGLI, tuple(f"butterauglixl{pool}" for pool in _BUTTERAUGLI_POOLS)),
    KnownMetric("CAMBI", False, "Netflix/vmaf, resource/doc/cambi.md: more means more visible banding"),
    KnownMetric("CKDN", True, _PYIQA),
    KnownMetric("CLIP-IQA", True, _PYIQA),
    KnownMetric("CLIP-IQA+", True, _PYIQA, ("clipiqaplus", "clipiqa+vitl14512", "clipiqa+rn50512")),
    KnownMetric("CNNIQA", True, _PYIQA),
    KnownMetric("ColorVideoVDP", True, "gfxdisp/ColorVideoVDP: in JOD, 10 where no difference is seen", ("cvvdp",)),
    KnownMetric("Compare2Score", True, _PYIQA),
    KnownMetric("CW-SSIM", True, _PYIQA),
    KnownMetric("DBCNN", True, _PYIQA),
    KnownMetric("DeepDC", False, _PYIQA),
    KnownMetric("DISTS", False, _PYIQA),
    KnownMetric("DSS", True, _PIQ),
    KnownMetric("DSSIM", False, "kornelski/dssim, README: 1/SSIM − 1, 0 for equal images"),
    KnownMetric("ERGAS", False, _TORCHMETRICS),
    KnownMetric("FFS", False, "AlAlien/FFS, FFS.m: a mean absolute deviation of similarity, 0 for equal images"),
    KnownMetric("FLIP", False, "NVlabs/flip: an error, 0 for equal images", ("ldrflip", "hdrflip", "meanflip")),
    KnownMetric("FSIM", True, _PIQ),
    KnownMetric("FSIMc", True, _PIQ),
    KnownMetric("GMSD", False, _PIQ),
    KnownMetric("HaarPSI", True, _PIQ),
    KnownMetric("HyperIQA", True, _PYIQA),
    KnownMetric("IL-NIQE", False, _PYIQA),
    KnownMetric("IW-SSIM", True, _PIQ, ("informationweightedssim",)),
    KnownMetric("LAION-Aes", True, _PYIQA, ("laionaesthetic", "laionaesthetics")),
    KnownMetric("LGV", True, "Skythianos/LGV, LGV.m: a mean similarity, 1 for equal images"),
    KnownMetric("LIQE", True, _PYIQA, ("liqemix",)),
    KnownMetric("LPIPS", False, _PYIQA, ("lpipsalex", "lpipsvgg", "lpipssqueeze", "lpips+", "lpipsvgg+")),
    KnownMetric("MAD", False, _PYIQA),
    KnownMetric("MAE", False, _ERROR, ("meanabsoluteerror",)),
    KnownMetric("MANIQA", True, _PYIQA, ("maniqakoniq", "maniqakadid", "maniqapipal")),
    KnownMetric("MDSI", False, _PIQ),
    KnownMetric("MS-GMSD", False, _PIQ, ("multiscalegmsd",)),
    KnownMetric("MS-GMSDc", False, _PIQ),
    KnownMetric("MS-SSIM", True, _PIQ, ("msssimy", "multiscalessim")),
    KnownMetric("MS-SWD", False, _PYIQA),
    KnownMetric("MSE", False, _ERROR, ("meansquarederror",)),
    KnownMetric("MUSIQ", True, _PYIQA, ("musiqkoniq", "musiqspaq", "musiqpaq2piq", "musiqava")),
    KnownMetric("NIMA", True, _PYIQA, ("nimakoniq", "nimaspaq", "nimaava", "nimavgg16ava")),
    KnownMetric("NIQE", False, _PYIQA, ("niqematlab",)),
    KnownMetric("NLPD", False, _PYIQA),
    KnownMetric("NRMSE", False, _ERROR),
    KnownMetric("NRQM", True, _PYIQA),
    KnownMetric("PaQ-2-PiQ", True, _PYIQA),
    KnownMetric("PI", False, _PYIQA, ("perceptualindex",)),
    KnownMetric("PieAPP", False, _PYIQA),
    KnownMetric("PIQE", False, _PYIQA),
    KnownMetric("PSNR", True, _PIQ, ("psnry", "psnrrgb", "psnrdb", "ypsnr")),
    KnownMetric("PSNR-B", True, _TORCHMETRICS),
    KnownMetric("PSNR-HVS", True, "av-metrics, video::psnr_hvs: higher is better"),
    KnownMetric("PSNR-HVS-M", True, "as PSNR-HVS, with masking"),
    KnownMetric("Q-Align", True, _PYIQA, ("qalign8bit", "qalign4bit")),
    KnownMetric("QNR", True, _TORCHMETRICS),
    KnownMetric("QualiCLIP", True, _PYIQA, ("qualiclip+",)),
    KnownMetric("RASE", False, _TORCHMETRICS),
    KnownMetric("RMSE", False, _ERROR, ("rmsesw",)),
    KnownMetric("SAM", False, _TORCHMETRICS, ("spectralanglemapper",)),
    KnownMetric("SCC", True, _TORCHMETRICS),
    KnownMetric("SG-ESSIM", True, "Skythianos/SG-ESSIM, SG_ESSIM.m: a mean similarity, 1 for equal images"),
    KnownMetric("SR-SIM", True, _PIQ),
    KnownMetric("SR-SIMc", True, _PIQ),
    KnownMetric("SSIM", True, _PIQ, ("ssimy", "ssimc", "ssimrgb", "yssim")),
    KnownMetric("SSIMULACRA", False, "cloudinary/ssimulacra, usage: 0 for equal images", ("ssimulacra1",)),
    KnownMetric("SSIMULACRA 2", True, "cloudinary/ssimulacra2: 100 for equal images", ("ssimulacra21", "ssimu2")),
    KnownMetric("ST-LPIPS", False, _PYIQA, ("stlpipsvgg", "stlpipsalex")),
    KnownMetric("TOPIQ", True, _PYIQA, ("topiqfr", "topiqfrpipal", "topiqnr", "topiqnrspaq", "topiqiaa")),
    KnownMetric("TReS", True, _PYIQA, ("tresflive", "treskoniq")),
    KnownMetric("UQI", True, _TORCHMETRICS, ("uiqi",)),
    KnownMetric("URanker", True, _PYIQA),
    KnownMetric("VIF", True, _PIQ, ("vifp", "pixelvif", "vifpixel")),
    KnownMetric("VMAF", True, "Netflix/vmaf: 0 to 100, 100 for the best quality", ("vmafneg", "vmaf4k")),
    KnownMetric("VSI", True, _PIQ),
    KnownMetric("WaDIQaM", True, _PYIQA, ("wadiqamfr", "wadiqamnr")),
)
"""Every metric that is known by name, in alphabetical order.

Left out are names that mean opposite things in different tools (CIEDE2000, which libvmaf turns to higher = better),
words that may mean something else in a table (UNIQUE, entropy), measures of a set of images or of a caption (FID, CLIP
score), and metrics whose direction no source at hand states (HOSA, QAC, MEON, IFC, VSNR).
"""


def key_of(name: str) -> str | None:
    """Return a column's name without case and without what separates its words, or None where it is more than words.

    ``MS-SSIM``, ``ms_ssim`` and ``Ms Ssim`` are one name. A sign, a fraction or a bracket changes what a column means,
    so that ``-PSNR``, ``1/SSIM`` and ``1 - SSIM`` are not names of a metric.
    """
    words = re.fullmatch(r"[a-z0-9+]+(?:[_\-. ][a-z0-9+]+)*", name.casefold().strip())
    return re.sub(r"[_\-. ]", "", words[0]) if words else None


_BY_KEY = {key_of(spelling): metric for metric in KNOWN_METRICS for spelling in (metric.name, *metric.spellings)}


def known_metric(name: str) -> KnownMetric | None:
    """Return what is known of a metric by a column's name; None for any name that is not in the table as a whole.

    Only whole names count: a column ``my_ssim_loss`` is not taken for SSIM.
    """
    key = key_of(name)
    return _BY_KEY.get(key) if key else None


def resolve_directions(
    values: FloatArray,
    names: Sequence[str],
    higher_is_better: HigherIsBetter,
) -> tuple[tuple[Direction, ...], tuple[str, ...]]:
    """Decide each metric's direction.

    What the user says comes first, then known names. What is left is decided one metric after another, the surest
    first, by the sign of its correlation (of normal scores) with the mean of those decided so far. Where nothing at all
    is known this fixes the directions up to a common sign, and the sign under which more of the columns stay as they
    were given is taken; with as many on either side, the column that agrees most with the others stays.

    Args:
        values: Scores (N, M) as given, finite or NaN, no column without a score.
        names: Name of each metric.
        higher_is_better: By name (None or no entry where not known), by position, one for all, or None.

    Returns:
        Each metric's direction, and what a user should be warned of, a sentence each.

    Raises:
        ScoreTableError: The argument names no column, has another length than the table, or holds no bool.
    """
    said = directions_said(names, higher_is_better)
    signs = np.zeros(len(names))
    sources: list[Source] = ["assumed"] * len(names)
    for index, name in enumerate(names):
        known, word = known_metric(name), said[index]
        if word is not None:
            signs[index], sources[index] = (1.0 if word else -1.0), "user"
        elif known is not None:
            signs[index], sources[index] = (1.0 if known.higher_is_better else -1.0), "known name"
    decided = signs != 0
    if decided.all() and len(names) < 3:
        return _directions(signs, sources), ()
    correlation = correlation_of_pairs(normal_scores(values))
    weak = max(WEAK, 3.0 / np.sqrt(max(len(values), 1)))
    messages = []
    if not decided.all():
        open_at_first = np.flatnonzero(~decided).tolist()
        nothing_known = not decided.any()
        if nothing_known:
            first = int(np.argmax(np.abs(correlation).sum(axis=0)))
            signs[first] = 1.0
        agreement = _follow_consensus(correlation, signs, weak)
        undecided = np.flatnonzero(signs == 0).tolist()
        signs[undecided] = 1.0
        consensus = [index for index in open_at_first if index not in undecided]
        if nothing_known and len(consensus) > 1 and np.sum(signs[consensus]) < 0:
            signs[consensus] *= -1.0
        if len(consensus) > 1 or not nothing_known:
            for index in consensus:
                sources[index] = "consensus"
        messages = _consensus_messages(names, signs, agreement, consensus, undecided, nothing_known=nothing_known)
    messages += _contrary_messages(names, signs, sources, correlation)
    return _directions(signs, sources), tuple(messages)


def known_metrics_table() -> str:
    """Return `KNOWN_METRICS` as the Markdown table of the documentation."""
    rows = [
        f"| {metric.name} | {'higher' if metric.higher_is_better else 'lower'} | "
        f"{', '.join(f'`{spelling}`' for spelling in metric.spellings)} | {metric.source} |"
        for metric in KNOWN_METRICS
    ]
    return "\n".join(["| metric | better when | also written | source |", "| --- | --- | --- | --- |", *rows])


def directions_said(names: Sequence[str], higher_is_better: HigherIsBetter) -> list[bool | None]:
    """Return the user's word on each metric, None where there is none; see `resolve_directions`."""
    if higher_is_better is None or isinstance(higher_is_better, bool | np.bool_):
        return [None if higher_is_better is None else bool(higher_is_better)] * len(names)
    if isinstance(higher_is_better, Mapping):
        unknown = [name for name in higher_is_better if name not in names]
        if unknown:
            raise ScoreTableError(
                f"higher_is_better names {unknown[0]!r}, which is no column; the columns are {', '.join(names)}"
            )
        words = [higher_is_better.get(name) for name in names]
    elif isinstance(higher_is_better, str | bytes) or not isinstance(higher_is_better, Sized):
        raise ScoreTableError(
            f"higher_is_better is {higher_is_better!r}; it must be a mapping by column name, a sequence of bool, a "
            "bool or None"
        )
    else:
        words = list(higher_is_better)
        if len(words) != len(names):
            raise ScoreTableError(
                f"higher_is_better has {len(words)} entries, and the table has {len(names)} columns: {', '.join(names)}"
            )
    for name, word in zip(names, words, strict=True):
        if word is not None and not isinstance(word, bool | np.bool_):
            raise ScoreTableError(f"higher_is_better says {word!r} of {name!r}; it must be True, False or None")
    return [None if word is None else bool(word) for word in words]


def _follow_consensus(correlation: FloatArray, signs: FloatArray, weak: float) -> FloatArray:
    """Fill in the zeros of signs (M,), surest first, but for those that no consensus decides; return the agreements."""
    agreement = np.zeros(len(signs))
    while (signs == 0).any():
        # Correlation of each metric with the sum of the oriented ones, from the correlations of pairs alone.
        total = max(float(signs @ correlation @ signs), np.finfo(float).tiny)
        towards = np.where(signs == 0, correlation @ signs / np.sqrt(total), 0.0)
        surest = int(np.argmax(np.abs(towards)))
        agreement[signs == 0] = towards[signs == 0]
        if abs(towards[surest]) < weak:
            break
        signs[surest] = np.sign(towards[surest])
    return agreement


def _consensus_messages(
    names: Sequence[str],
    signs: FloatArray,
    agreement: FloatArray,
    consensus: Sequence[int],
    undecided: Sequence[int],
    *,
    nothing_known: bool,
) -> list[str]:
    flipped = [names[index] for index in consensus if signs[index] < 0]
    kept = [names[index] for index in consensus if signs[index] > 0]
    as_given = f"higher = better as given: {', '.join(kept)}" if kept else ""
    turned = f"lower = better, so turned round: {', '.join(flipped)}" if flipped else "none turned round"
    messages = []
    if nothing_known:
        messages.append(
            "no metric's direction is known by its name or from higher_is_better, so it was assumed that most columns "
            f"are better when higher ({'; '.join(part for part in (as_given, turned) if part)}). If that is wrong, "
            "every fused score is upside down: pass higher_is_better"
        )
    elif len(consensus):
        parts = "; ".join(part for part in (turned, as_given) if part)
        messages.append(
            f"the direction of {len(consensus)} metric{'s' * (len(consensus) > 1)} was taken from agreement with the "
            f"others ({parts}); pass higher_is_better to say otherwise"
        )
    if len(undecided):
        weakly = ", ".join(f"{names[index]} ({agreement[index]:+.2f})" for index in undecided)
        messages.append(
            f"the direction of {weakly} is not known and correlates too weakly with the others' consensus to tell; "
            "kept as given, higher = better. Pass higher_is_better, or leave the column out"
        )
    return messages


def _contrary_messages(
    names: Sequence[str], signs: FloatArray, sources: Sequence[Source], correlation: FloatArray
) -> list[str]:
    """Warn of a direction from a name or the user under which a metric goes against the consensus of the others."""
    if len(names) < 3:
        return []
    oriented = correlation * np.outer(signs, signs)
    others = oriented.sum(axis=0) - 1.0
    total = np.sqrt(np.maximum(oriented.sum() - 2.0 * others - 1.0, np.finfo(float).tiny))
    against = [
        f"{names[index]} ({'higher' if signs[index] > 0 else 'lower'} = better by "
        f"{'higher_is_better' if sources[index] == 'user' else 'its name'}, correlation {agreement:+.2f})"
        for index, agreement in enumerate(others / total)
        if agreement < CONTRARY and sources[index] in ("user", "known name")
    ]
    if not against:
        return []
    message = (
        f"against the consensus of the other metrics with the direction that was said: {'; '.join(against)}. That was "
        "kept: check whether the column was turned round already"
    )
    return [message]


def _directions(signs: FloatArray, sources: Sequence[Source]) -> tuple[Direction, ...]:
    return tuple(Direction(bool(sign > 0), source) for sign, source in zip(signs, sources, strict=True))
