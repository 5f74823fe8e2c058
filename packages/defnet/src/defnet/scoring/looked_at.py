"""Scores together with what a page shows of each image, made in one pass over the files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from defnet.model.evidence import Prediction
from defnet.scoring.outputs import scores_of
from defnet.scoring.pictures import LocalQuality, Picture
from defnet.scoring.scorer import Scorer
from defnet.scoring.scores import Failure, Score
from defnet.scoring.seen import Frames, ImageSource, Seen


@dataclass(frozen=True)
class LookedAt:
    """A scored image.

    Attributes:
        score: its score.
        thumbnail: a WebP file; empty where none was asked for.
        local: how good its sub-images are; None of a model without evidence.
    """

    score: Score
    thumbnail: bytes
    local: LocalQuality | None


def stream_looked_at(
    scorer: Scorer,
    images: Iterable[ImageSource],
    *,
    thumbnail_bytes: int = 0,
    batch_size: int = 4,
    decoders: int = 2,
    frames: Frames = "first",
) -> Iterator[LookedAt | Failure]:
    """Score images as `Scorer.stream` does, and keep of each what a page shows.

    Args:
        scorer: the model.
        images: as for `Scorer.score`.
        thumbnail_bytes: how many bytes a thumbnail may have; 0 for no thumbnails.
        batch_size: images that go through the network together.
        decoders: threads that read and cut images ahead.
        frames: of files that hold several frames or pages, the first or all.
    """
    options = {"batch_size": batch_size, "decoders": decoders, "thumbnail_bytes": thumbnail_bytes}
    for batch, prediction in scorer.predict(images, frames=frames, **options):
        cut = [seen for seen in batch if isinstance(seen, Seen)]
        done: Iterator[LookedAt] = iter(())
        if prediction is not None:
            scores = scores_of(cut, prediction, scorer.info.variance_scale, scorer.plan.count, scorer.reliability)
            pictures = [seen.picture or Picture(b"", (0, 0), ()) for seen in cut]
            local = local_qualities(pictures, prediction, 1.0 if scorer.reliability else scorer.info.variance_scale)
            parts = zip(scores, pictures, local, strict=True)
            done = iter([LookedAt(score, picture.thumbnail, own) for score, picture, own in parts])
        for seen in batch:
            yield seen if isinstance(seen, Failure) else next(done)


def local_qualities(
    pictures: Iterable[Picture], prediction: Prediction, variance_scale: float
) -> list[LocalQuality | None]:
    """How good the sub-images of a batch are (DEFNet, Eq. 17).

    Args:
        pictures: where they lie.
        prediction: the network's output.
        variance_scale: factor on every variance.
    """
    pictures = list(pictures)
    if prediction.score_evidence is None:
        return [None] * len(pictures)  # no heads, or heads that nothing has taught
    local = prediction.local["quality"]
    quality = local.loc[..., 0].double().tolist()
    std = (local.predictive_variance[..., 0].double() * variance_scale).sqrt().tolist()
    return [
        LocalQuality(picture.size, picture.boxes, tuple(quality[i]), tuple(std[i]))
        for i, picture in enumerate(pictures)
    ]
