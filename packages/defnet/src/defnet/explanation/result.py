"""The explanation of a score, without anything that needs torch."""

from dataclasses import asdict, dataclass
from typing import Any

from defnet.config.fields import ScoreSource
from defnet.scoring.pictures import Box
from defnet.scoring.scores import Score


@dataclass(frozen=True)
class Evidence:
    """What a view, or several together, say of quality: a normal-inverse-gamma distribution.

    Attributes:
        quality: δ, its mean, on the scale of scores but not cut to it.
        nu: ν, how many observations of the mean the opinion is worth.
        alpha: α; 2α is how many observations the opinion on the scatter is worth.
        beta: β; with α it says how large the scatter is.
        aleatoric_std: √E[σ²] = √(β / (α − 1)).
        epistemic_std: √Var[μ] = √(β / (ν (α − 1))).
    """

    quality: float
    nu: float
    alpha: float
    beta: float
    aleatoric_std: float
    epistemic_std: float

    @property
    def std(self) -> float:
        """Root of the predictive variance, √(aleatoric² + epistemic²)."""
        return float((self.aleatoric_std**2 + self.epistemic_std**2) ** 0.5)


@dataclass(frozen=True)
class SubImage:
    """One sub-image of an image.

    Attributes:
        box: where it lies, in pixels of the upright image.
        quality: what it says by itself: δ of its evidence (DEFNet, Eq. 17), or its q̂ (Eq. 5) where the score is q̂.
        evidence: its evidence; None of a model without, or of one whose evidence nothing has taught.
        share: how much of the score is of it, in [0, 1]. All shares and the whole image's sum to one.
        quality_without: the score of the image were this sub-image not looked at; NaN where it is the only one.
        change: `quality_without` less the score: how far the score would go without it.
    """

    box: Box
    quality: float
    evidence: Evidence | None
    share: float
    quality_without: float
    change: float


@dataclass(frozen=True)
class Sentence:
    """One of the 495 sentences that an image is compared with.

    Attributes:
        text: the sentence.
        probability: its joint probability (Eq. 4), averaged over the sub-images as Eq. 6 averages.
        level: the level of quality that it names.
        scene: the scene, by the paper's name.
        distortion: the distortion, by the paper's name.
    """

    text: str
    probability: float
    level: str
    scene: str
    distortion: str


@dataclass(frozen=True)
class Explanation:
    """Why an image has its score.

    Shares are exact, and so are the scores without a sub-image: each is what the network says of the others. They say
    what counted, and not what causes quality. Evidence is the network's own, times the model's variance scale where the
    score has one; a calibrated model's score states other deviations, of which no sub-image has its own.

    Attributes:
        score: the score.
        size: (width, height) of the upright image in pixels.
        source: what the score is: `fusion` (Eq. 25), `cross` (Eqs. 18 to 20) or `expected` (q̂ of Eq. 5).
        sub_images: in the order of the crop plan.
        whole: evidence of the whole image before fusion (Eq. 23); None without evidence.
        whole_share: how much of the score is of the whole image; 0 where it is not fused.
        cross: the sub-images fused with each other (Eqs. 18 to 20).
        fusion: the sub-images fused with the whole image (Eqs. 24 and 25): the whole image after fusion.
        sentences: the most probable first.
    """

    score: Score
    size: tuple[int, int]
    source: ScoreSource
    sub_images: tuple[SubImage, ...]
    whole: Evidence | None
    whole_share: float
    cross: Evidence | None
    fusion: Evidence | None
    sentences: tuple[Sentence, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON; NaN where there is no figure."""
        return asdict(self)

    def __str__(self) -> str:
        from defnet.explanation.words import in_words

        return "\n".join(in_words(self))
