"""Configuration of the images: which data sets, and where their sub-images come from."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from defnet.config.fields import Config, NonNegative, Positive

Session = int | str
"""A split into parts: 1 to 10, LIQE's; `official`, the authors' own; or `seeded-SEED`, ours."""

PoolSize = Annotated[int, Field(ge=4)]
"""Crops an image in a pool."""

_SEEDED = re.compile(r"seeded-\d+(:[\d.]+/[\d.]+/[\d.]+)?")


def check_session(session: object) -> Session:
    """Return a session as `iqa_datasets.load` takes it.

    Raises:
        ValueError: it is none; the message says what there is.
    """
    if isinstance(session, str) and re.fullmatch(r"\d+", session):
        session = int(session)
    if isinstance(session, int) and not isinstance(session, bool) and 1 <= session <= 10:
        return session
    if isinstance(session, str) and (session == "official" or _SEEDED.fullmatch(session)):
        return session
    raise ValueError(
        f"session must be a whole number from 1 to 10 (LIQE's), 'official' (the authors'), or 'seeded-SEED' "
        f"(ours, such as 'seeded-1'), got {session!r}"
    )


class DataConfig(Config):
    """One data set of the training mixture.

    Attributes:
        name: what the mixture and its figures call it: an id known to `iqa_datasets.available()`, or a name of your
            own for a folder of yours.
        dataset: id of the data set's layout; None for `name` itself where it is such an id, else for `folder`, a
            folder of your own with its declaration `iqa-dataset.toml`.
        path: the folder, where it is not the data root's folder of the conventional name. In a TOML file a relative
            path starts from that file. Where data lies is no part of what a run is: it may change between two starts
            of one run, and model files do not hold it.
        session: which session's parts to use: 1 to 10 (LIQE's, which need LIQE's label files), `official` (the
            authors'), or `seeded-1` and so on (our own, disjoint by content, for any data set).
        batch_size: images of this data set in each training step.
        exclude: images left out of training, for example known duplicates of test images, as paths relative to the
            data set's folder, with forward slashes.
        pairs: which of its images are compared with each other (Eq. 7): all of the `dataset`, or only those of one
            `content`, a photograph and its degraded copies. Between contents nothing is asked then.
        per_content: images of one content that stand together in a step; a divisor of `batch_size`. A content with
            fewer gives what it has, and the step is filled with other contents' images. With 1 images are drawn
            regardless of what they show.
        pair_weight: weight of its pairs beside those of the other data sets: of its mean where `objective`'s
            `pair_reduction` is `dataset`, of each pair where it is `pairs`. The weighted mean is over the data sets
            that have a pair, so that of a single one only 0 changes anything: that leaves its pairs out.
        quality_evidence: weight of its images in the evidential losses of quality (Eqs. 21 and 26), which are weighted
            means over images. 0 leaves them out, so that its ratings teach an order and no values. Scenes and
            distortions are learnt all the same.
        uncertain_ratings: take the deviations that it publishes (`mos_std`, brought to the scale of [1, 5]) for the
            uncertainty of its ratings: the label of a pair is Φ(Δ/√(s₁² + s₂²)), and the
            evidential losses of quality take s² out of the predictive variance. Of a data set whose deviations are
            those of single people's ratings, and not of their mean, that is more than is uncertain.
        of: name of the data set of the mixture whose photographs these are degraded copies of (`defnet degrade`). Only
            copies of its training images are learnt from, whatever its session, and none is judged. The session is
            not looked at then.
        pool_size: crops an image in the pool, in place of `crops.pool_size`: few for a data set of many images, whose
            views take long to make, beside many for one of few.
        judged: whether its validation images choose among epochs and calibrate, and its test images are judged. Ratings
            that nobody gave should do neither. Copies (`of`) never do.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    dataset: str | None = None
    path: str | None = None
    session: Session
    batch_size: Annotated[int, Field(ge=1)]
    exclude: tuple[str, ...] = ()
    pairs: Literal["dataset", "content"] = "dataset"
    per_content: Annotated[int, Field(ge=1)] = 1
    pair_weight: NonNegative = 1.0
    quality_evidence: NonNegative = 1.0
    uncertain_ratings: bool = False
    of: str | None = None
    pool_size: PoolSize | None = None
    judged: bool = True

    @property
    def is_judged(self) -> bool:
        """Whether anything but training is done with its images."""
        return self.judged and self.of is None

    @property
    def follows_sessions(self) -> bool:
        """Whether an experiment's sessions are this data set's too; a folder of one's own has none of LIQE's."""
        return self.of is None and self.dataset != "folder"

    @field_validator("session", mode="before")
    @classmethod
    def _known_session(cls, session: object) -> Session:
        return check_session(session)

    @model_validator(mode="after")
    def _check_per_content(self) -> Self:
        if self.batch_size % self.per_content:
            raise ValueError(
                f"per_content = {self.per_content} images of one content must divide batch_size = {self.batch_size}"
            )
        if self.pairs == "content" and self.per_content == 1:
            raise ValueError(
                "pairs = 'content' compares images of one content, and per_content = 1 draws them regardless of it: "
                "there would be no pairs; give per_content = 2 or more"
            )
        return self


class CropsConfig(Config):
    """Where sub-images come from.

    Attributes:
        train_source: `images` decodes each image afresh and cuts new random crops in every step; `pool` cuts
            `pool_size` random crops an image once and draws from them afresh in every step, which lets a frozen
            trunk's features be computed once.
        pool_size: crops an image in the pool.
        flip: horizontal flips, half of the time.
        short_side: resize every image to this short side before sub-images are cut, in training and in scoring (LIQE
            takes 768), or None for its own resolution.
        scales: in training each crop is cut from the image resized by a factor of its own, drawn log-uniformly between
            these two, or None for the image as it is. Where a crop would not fit, factors start from the one at which
            it does. The whole image, and scoring, stay as they are.
        test_plan: how crops are placed when scoring.
        test_count: number of crops when scoring.
    """

    train_source: Literal["images", "pool"] = "images"
    pool_size: PoolSize = 32
    flip: bool = True
    short_side: Annotated[int, Field(ge=32)] | None = None
    scales: tuple[Positive, Positive] | None = None
    test_plan: Literal["grid", "random", "liqe"] = "grid"
    test_count: Annotated[int, Field(ge=1)] = 15

    @field_validator("scales")
    @classmethod
    def _check_scales(cls, scales: tuple[float, float] | None) -> tuple[float, float] | None:
        if scales is not None and scales[0] > scales[1]:
            raise ValueError(f"scales go from the smallest factor to the largest, got {list(scales)}")
        return scales
