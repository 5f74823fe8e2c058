"""`ScoreFusion`, the scikit-learn estimator: what is done with tables; the mathematics is in the methods."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted, validate_data

from map_score_fusion.anchoring import Anchored, read_ratings
from map_score_fusion.column_names import looks_like_ratings
from map_score_fusion.directions import Direction, HigherIsBetter, directions_said, resolve_directions
from map_score_fusion.errors import FusionWarning, OutsideRangeWarning, ScoreTableError
from map_score_fusion.fusion_state import from_saved, to_saved
from map_score_fusion.methods import make_method
from map_score_fusion.methods.base import FloatArray, FusionMethod
from map_score_fusion.methods.formulas import Formula
from map_score_fusion.metric_summary import (
    clipping_messages,
    elsewhere_messages,
    missing_summary,
    outside_messages,
    summary_table,
    uninformative_messages,
)
from map_score_fusion.rank_correlation import near_duplicates, spearman_with
from map_score_fusion.rank_scale import UNKNOWN_RANK_STD, RankScale
from map_score_fusion.saved_model import read_model, write_model
from map_score_fusion.score_table import (
    ScoreTable,
    TrainingColumns,
    clip_infinities,
    finite_range,
    has_names,
    listed,
    read_scores,
)

OnEmptyRow = Literal["raise", "nan"]


class ScoreFusion(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Fuse the scores that several quality metrics gave to the same images into one score per image, without ratings.

    A fused score lies in [0, 1], and higher = better. What it means between 0 and 1 is the method's: for most, a rank
    among the training images.

    A table X has a row for each image and a column for each metric: a DataFrame or an array of shape (N, M). Missing
    scores (NaN) are allowed in ``fit`` and afterwards. Infinite scores are clipped to the finite range that the metric
    has in training, with a `FusionWarning` that counts them. A metric whose training scores are all missing or all the
    same tells nothing: it gets weight 0, with a warning.

    In a DataFrame the columns are found by their names, in any order, and others are ignored.

    Beside the fused score there is its **rank** among the training images, in [0, 1], and that rank's standard
    deviation, which is calibrated without ratings (`map_score_fusion.rank_scale`): within two deviations lies the rank
    that the image would have by its true quality, for 95 % of images, as far as the metrics' errors show in their
    disagreement. Errors that all metrics share do not show: on six tables with ratings two deviations held 53 % to 88 %
    of the ranks' errors, and deviations ranked errors weakly, with Spearman's correlation from -0.03 to 0.32
    (``map_score_fusion.real_tables``).

    Args:
        method: Name of the method, a key of `map_score_fusion.methods.METHODS`.
        higher_is_better: Whether each metric's higher scores mean better quality: a mapping by column name, a sequence
            with an entry for each column, or one bool for all. Where there is no entry, or None, known names decide
            (`map_score_fusion.directions.KNOWN_METRICS`), and last the agreement with the other metrics, with a
            `FusionWarning` that names the metrics turned round.
        random_state: Seed of what is drawn at random: the starts of some methods, and the sample of ``max_fit_rows``.
        amortised: False lets a MAP method (``sf-ms`` and so on) find each image's score by optimisation, in place of
            its encoder.
        max_fit_rows: ``fit`` uses a random sample of this many rows of a longer table.
        coefficients: Exponents or weights by the metrics' names, for the methods ``weighted-product`` and
            ``weighted-sum``, which do nothing without.
        use_ratings: Whether the ratings ``y`` of ``fit``, NaN for most images, correct the fusion
            (`map_score_fusion.anchoring`). Without, no rating is ever used.
        accept_rating_names: Whether columns named like human ratings (``mos``, ``dmos``, ``mos_std``) are fused. A
            rating among the scores takes most of the weight, so that they are refused otherwise.

    Attributes:
        n_features_in_: Number of metrics M.
        feature_names_in_: Their names, where ``fit`` saw a DataFrame.
        method_: The fitted `FusionMethod`. It knows only the metrics that are not constant.
        metric_summary_: DataFrame with a row for each metric, indexed by its name. ``direction`` is ``"higher"`` or
            ``"lower"`` (= better), and ``direction_source`` says whether that came from the ``"user"``, from a
            ``"known name"``, from the ``"consensus"``, or is ``"assumed"`` as given. ``weight`` is the mean weight over
            the training images, ``correlation`` Spearman's, of the metric (turned to higher = better) with the fused
            score. ``near_duplicates`` counts the metrics that err like this one, itself included (see
            ``effective_metrics_``). ``missing`` is the share of missing scores, ``clipped`` the number of infinite
            ones. The other columns are the method's own parameters.
        missing_summary_: DataFrame with a row for each metric that lacks scores: ``missing``, the number of images
            without, ``mean_rank_missing`` and ``mean_rank_present``, the mean normalised rank (0 worst, 1 best) that
            the *other* metrics give to the images without and with this metric's score. Where the two differ, scores
            are not missing at random.
        effective_metrics_: Effective number of independent metrics: Σⱼ 1/Dⱼ with Dⱼ = Σₖ max(rⱼₖ, 0)², where rⱼₖ is the
            correlation of what the fused score leaves over of metrics j and k (residuals of their normal scores
            regressed on that of the fused score). Each Dⱼ is at least 1 and is the ``near_duplicates`` of
            ``metric_summary_``. It is the effective number of sequences of Morcos et al. (PNAS 108, 2011, E1293) with a
            squared correlation in place of the share of equal letters above a threshold. With two metrics there is
            nothing to tell likeness by, unless they are equal.
        n_fit_rows_: Number of images that the fit used.
        ranks_: The `RankScale`: the training images' fused scores, and how deviations of ranks follow from those of
            scores.

    Examples:
        >>> import numpy as np, pandas as pd
        >>> from map_score_fusion import ScoreFusion
        >>> quality = np.linspace(0, 1, 50)
        >>> scores = pd.DataFrame({"SSIM": quality**0.5, "LPIPS": 1 - quality, "PSNR": 20 + 20 * quality})
        >>> fusion = ScoreFusion("mean-rank").fit(scores)
        >>> fusion.predict(scores.iloc[[0, 49]])
        array([0.01, 0.99])
        >>> fusion.metric_summary_["direction"].to_list()
        ['higher', 'lower', 'higher']
    """

    # `predict` and `weights` take no metadata that a pipeline would route.
    __metadata_request__predict: ClassVar = {"return_std": UNUSED, "on_empty_row": UNUSED}

    n_features_in_: int
    feature_names_in_: NDArray[Any]
    method_: FusionMethod
    metric_summary_: pd.DataFrame
    missing_summary_: pd.DataFrame
    effective_metrics_: float
    n_fit_rows_: int
    ranks_: RankScale

    def __init__(
        self,
        method: str = "robust",
        *,
        higher_is_better: HigherIsBetter = None,
        random_state: int | np.random.RandomState | None = None,
        amortised: bool = True,
        max_fit_rows: int = 50_000,
        coefficients: Mapping[str, float] | None = None,
        use_ratings: bool = False,
        accept_rating_names: bool = False,
    ) -> None:
        self.method = method
        self.higher_is_better = higher_is_better
        self.random_state = random_state
        self.amortised = amortised
        self.max_fit_rows = max_fit_rows
        self.coefficients = coefficients
        self.use_ratings = use_ratings
        self.accept_rating_names = accept_rating_names

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the fusion from a table of scores.

        Args:
            X: Scores, (N, M), N at least 2.
            y: Ratings (N,), a higher one meaning better quality, NaN where there is none. Ignored unless
                ``use_ratings``.

        Raises:
            ScoreTableError: A cell is no number, no metric tells the images apart, a column is named like ratings, the
                ratings are not as described, or an argument of the estimator is wrong. The message names the row, the
                column or the argument.
        """
        method = make_method(self.method, amortised=self.amortised, coefficients=self.coefficients)
        if not isinstance(self.max_fit_rows, int | np.integer) or self.max_fit_rows < 2:
            raise ScoreTableError(f"max_fit_rows is {self.max_fit_rows!r}; it must be an integer of at least 2")
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        generator = np.random.default_rng(seed)
        table = read_scores(X, estimator=self)
        # scikit-learn's own attributes; the values are checked already.
        named = X if isinstance(X, pd.DataFrame) else table.values
        validate_data(self, named, reset=True, skip_check_array=True)
        said = directions_said(table.names, self.higher_is_better)
        self._check_names(table.names)
        ratings = read_ratings(y, len(table.values)) if self.use_ratings else None
        if ratings is None:
            _warn_if_unused(y)

        values, rows = table.values, np.arange(len(table.values))
        if len(rows) > self.max_fit_rows:
            rows = np.sort(generator.choice(rows, self.max_fit_rows, replace=False))
            values = values[rows]
        low, high = finite_range(values)
        values, clipped = clip_infinities(values, low, high)
        used = low < high
        clipped = np.where(np.isnan(low), 0, clipped)  # without a finite score there was nothing to clip to
        if len(values) < 2:
            raise ScoreTableError("found n_samples = 1; a fit compares images and needs at least 2")
        if not used.any():
            raise ScoreTableError(
                f"no metric tells the images apart: every column ({listed(table.names)}) is constant or has no finite "
                "score"
            )
        messages = [
            *clipping_messages(table.names, clipped, low, high),
            *uninformative_messages(table.names, low, used),
        ]
        empty = np.isnan(values[:, used]).all(axis=1)
        if empty.any():
            labels = [table.rows[row] for row in rows[empty]]
            messages.append(
                f"{len(labels)} of {len(rows)} images have no score to go by and were left out of the fit: row "
                f"{listed(labels)}"
            )
            values = values[~empty]

        names = [name for name, tells in zip(table.names, used, strict=True) if tells]
        directions, warned = resolve_directions(
            values[:, used], names, [word for word, tells in zip(said, used, strict=True) if tells]
        )
        signs = np.zeros(len(used))
        signs[used] = [1.0 if direction.higher_is_better else -1.0 for direction in directions]
        self._columns = TrainingColumns(table.names, low, high, signs)
        oriented, _ = self._columns.oriented(values)
        if isinstance(method, Formula):
            method.signs = signs[used]
        method.fit(oriented, names, generator)
        if ratings is not None:
            of_rated, _ = self._columns.oriented(clip_infinities(table.values, low, high)[0][~np.isnan(ratings)])
            held = ~np.isnan(of_rated).all(axis=1)
            rated = ratings[~np.isnan(ratings)][held]
            method = Anchored.of(method, oriented, of_rated[held], rated, generator)
        self.method_ = method
        for message in (*messages, *warned, *self.method_.log.messages):
            warnings.warn(message, FusionWarning, stacklevel=2)
        self.ranks_ = RankScale.fit(method, oriented, method.predict(oriented), generator)
        self._usual = np.nanquantile(oriented, [0.01, 0.99], axis=0)
        self.n_fit_rows_ = len(oriented)
        self._summarise(values, oriented, directions, clipped)
        return self

    @overload
    def predict(
        self, X: Any, return_std: Literal[False] = False, *, on_empty_row: OnEmptyRow = "raise"
    ) -> FloatArray: ...

    @overload
    def predict(
        self, X: Any, return_std: Literal[True], *, on_empty_row: OnEmptyRow = "raise"
    ) -> tuple[FloatArray, FloatArray]: ...

    def predict(
        self,
        X: Any,
        return_std: bool = False,
        *,
        on_empty_row: OnEmptyRow = "raise",
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Return the fused score of each image.

        Args:
            X: Scores, (N, M). A row's result does not depend on the others.
            return_std: Whether to return the standard deviation of each image's **rank** too, as a share of the
                training images; ``ranks`` returns the rank itself.
            on_empty_row: What to do with a row that has no score of a metric with weight: ``"raise"`` an error that
                names the rows, or give ``"nan"`` for them.

        Returns:
            Fused scores (N,) in [0, 1], higher = better; with ``return_std`` a pair of those and of the ranks' standard
            deviations (N,).

        Raises:
            ScoreTableError: A cell is no number, a column or (with ``"raise"``) all of a row's scores are missing.
        """
        oriented, held, outside = self._oriented(X, on_empty_row)
        if return_std:
            fused, _, deviations = self._ranked(oriented, outside)
            return _with_empty_rows(fused, held), _with_empty_rows(deviations, held)
        return _with_empty_rows(self.method_.predict(oriented), held)

    def ranks(self, X: Any, *, on_empty_row: OnEmptyRow = "raise") -> tuple[FloatArray, FloatArray]:
        """Return the rank of each image's fused score among the training images', and its standard deviation.

        What lies far outside the training range (``outside_range``) is ranked with the best or the worst, and the
        deviation then takes in how far the rank moves without it.

        Args:
            X: Scores, (N, M). A row's result does not depend on the others.
            on_empty_row: As for ``predict``.

        Returns:
            Ranks (N,), the share of the training images whose fused score is lower, those equal counting half; and
            their standard deviations (N,), as a share of the training images.
        """
        oriented, held, outside = self._oriented(X, on_empty_row)
        _, ranks, deviations = self._ranked(oriented, outside)
        return _with_empty_rows(ranks, held), _with_empty_rows(deviations, held)

    def outside_range(self, X: Any) -> NDArray[np.bool_]:
        """Return which scores lie so far outside the training range that they cannot be trusted.

        That is further than a quarter of the range's width (`score_table.FAR`): scores on another scale, of another
        version of the metric, or of images unlike the training images. Infinite scores are none of them, but ends of
        the range.

        Args:
            X: Scores, (N, M); rows without any score are allowed.

        Returns:
            Flags (N, M) in the order of the training table's columns.
        """
        return self._columns.outside(self._read(X).values)

    def fit_predict(self, X: Any, y: Any = None) -> FloatArray:
        """Fit to a table and return the fused score (N,) of each of its images."""
        return self.fit(X, y).predict(X)

    def transform(self, X: Any) -> FloatArray:
        """Return the fused scores as one column, (N, 1), for pipelines."""
        return self.predict(X)[:, None]

    def weights(self, X: Any, *, on_empty_row: OnEmptyRow = "raise") -> FloatArray:
        """Return each metric's weight in each image's fused score.

        Args:
            X: Scores, (N, M).
            on_empty_row: As for ``predict``.

        Returns:
            Weights (N, M) in the order of the training table's columns, at least 0, 0 where the score is missing or the
            metric told nothing in training; each row's sum is 1.
        """
        oriented, held, _ = self._oriented(X, on_empty_row)
        return _with_empty_rows(self._columns.widened(self.method_.weights(oriented), 0.0), held)

    def score_uncertainty(self, X: Any, *, on_empty_row: OnEmptyRow = "raise") -> FloatArray:
        """Return ω̃, the scale of the noise of each image's score by each metric, on the scale of the fused score.

        Args:
            X: Scores, (N, M).
            on_empty_row: As for ``predict``.

        Returns:
            Scales (N, M) in the order of the training table's columns; NaN where the score is missing or the metric
            told nothing in training.
        """
        oriented, held, _ = self._oriented(X, on_empty_row)
        return _with_empty_rows(self._columns.widened(self.method_.score_uncertainty(oriented), np.nan), held)

    def oriented_scores(self, X: Any) -> FloatArray:
        """Return the scores as the method sees them: higher = better for each metric, infinities clipped.

        Args:
            X: Scores, (N, M); rows without any score are allowed.

        Returns:
            Scores (N, M) in the order of the training table's columns, on each metric's own scale, its sign changed
            where lower = better; NaN where missing and for a metric that told nothing in training.
        """
        oriented, held, _ = self._oriented(X, "nan")
        return _with_empty_rows(self._columns.widened(oriented, np.nan), held)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model into a folder, as JSON and safetensors; a model that is there is replaced at once.

        ``load`` gives back the same predictions to the last bit. A random state that is no number is not kept.

        Args:
            path: Folder, made where it is missing.

        Raises:
            ScoreTableError: The path is a file, or a folder with other things in it.
        """
        check_is_fitted(self)
        write_model(path, to_saved(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a fitted model that ``save`` wrote. Nothing in the folder can run code.

        Args:
            path: The folder.

        Raises:
            ScoreTableError: There is no model, it is of another version of the format, or a file is damaged.
        """
        model = read_model(path)
        try:
            return from_saved(cls, model)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ScoreTableError(f"{path}: the model lacks something or has it in another form: {error!r}") from error

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:  # noqa: ARG002
        """Return the name of ``transform``'s one column, ``fused_score``."""
        check_is_fitted(self)
        return np.array(["fused_score"], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_names(self, names: Sequence[str]) -> None:
        """Refuse columns that are ratings by their names, and coefficients of columns that are not there."""
        ratings = [name for name in names if looks_like_ratings(name)]
        if ratings and not self.accept_rating_names:
            raise ScoreTableError(
                f"{listed(ratings, quoted=True)} {'is' if len(ratings) == 1 else 'are'} human ratings, or the spread "
                "of such, by the name; a rating among the scores would take most of the weight. Leave it out, give "
                "it another name if it is a metric's, or pass accept_rating_names=True"
            )
        unknown = [name for name in self.coefficients or () if name not in names]
        if unknown:
            raise ScoreTableError(
                f"coefficients name {listed(unknown, quoted=True)}, which is no column; the columns are "
                f"{', '.join(names)}"
            )

    def _read(self, X: Any) -> ScoreTable:
        """Return a table's scores in the order of the training table's columns."""
        check_is_fitted(self)
        columns = self._columns
        if has_names(X) and hasattr(self, "feature_names_in_"):
            absent = [name for name in columns.names if name not in X.columns]
            if absent:
                raise ScoreTableError(
                    f"the table has no column {listed(absent, quoted=True)}, which the fit had. Where a metric was not "
                    "computed at all, add its column with NaN"
                )
            X = X.loc[:, list(columns.names)]
        table = read_scores(X, estimator=self)
        named = X if isinstance(X, pd.DataFrame) else table.values
        validate_data(self, named, reset=False, skip_check_array=True)
        return table

    def _oriented(self, X: Any, on_empty_row: OnEmptyRow) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the rows that have scores, as the method sees them, which of all rows (N,) those are, and outliers.

        The last says which of the first's scores lie far outside the training range.
        """
        check_is_fitted(self)
        if on_empty_row not in ("raise", "nan"):
            raise ScoreTableError(f"on_empty_row is {on_empty_row!r}; it must be 'raise' or 'nan'")
        table, columns = self._read(X), self._columns
        outside = columns.outside(table.values)
        oriented, clipped = columns.oriented(table.values)
        for message in clipping_messages(columns.names, clipped, columns.low, columns.high):
            warnings.warn(message, FusionWarning, stacklevel=3)
        self._warn_of_range(table.values, oriented, outside)
        outside = outside[:, columns.used]
        empty = np.asarray(np.isnan(oriented).all(axis=1))
        if not empty.any():
            return oriented, np.logical_not(empty), outside
        if on_empty_row == "raise":
            labels = [table.rows[row] for row in np.flatnonzero(empty).tolist()]
            raise ScoreTableError(
                f"{len(labels)} row{'s have' if len(labels) > 1 else ' has'} no score of a metric with weight: row "
                f"{listed(labels)}; leave such rows out, or pass on_empty_row='nan'"
            )
        return oriented[~empty], np.logical_not(empty), outside[~empty]

    def _warn_of_range(self, values: FloatArray, oriented: FloatArray, outside: NDArray[np.bool_]) -> None:
        """Warn of metrics whose scores (N, M) are on another scale than those of the fit."""
        columns = self._columns
        messages = []
        if outside.any():
            counts = np.isfinite(values).sum(axis=0)
            messages += outside_messages(
                columns.names, counts, outside.sum(axis=0), np.stack(finite_range(values)), columns.low, columns.high
            )
        within = np.where(outside[:, columns.used], np.nan, oriented)
        messages += elsewhere_messages(columns.used_names, within, (self._usual[0], self._usual[1]))
        for message in messages:
            warnings.warn(message, OutsideRangeWarning, stacklevel=4)

    def _ranked(self, oriented: FloatArray, outside: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the fused scores, their ranks and the ranks' standard deviations, (N,) each."""
        fused, std = self.method_.predict_std(oriented)
        ranks, deviations = self.ranks_.ranks(fused), self.ranks_.deviations(fused, std)
        doubtful = np.flatnonzero(outside.any(axis=1))
        if doubtful.size:
            # As if these scores were rubbish: what the others say, and how far that is from what all say together.
            trusted = np.where(outside[doubtful], np.nan, oriented[doubtful])
            some = ~np.isnan(trusted).all(axis=1)
            without, spread = np.full(doubtful.size, 0.5), np.full(doubtful.size, UNKNOWN_RANK_STD)
            if some.any():
                of_others, their_std = self.method_.predict_std(trusted[some])
                without[some], spread[some] = self.ranks_.ranks(of_others), self.ranks_.deviations(of_others, their_std)
            moved = np.sqrt(spread**2 + (ranks[doubtful] - without) ** 2)
            deviations[doubtful] = np.maximum(deviations[doubtful], moved)
        return fused, ranks, deviations

    def _summarise(
        self, values: FloatArray, oriented: FloatArray, directions: Sequence[Direction], clipped: NDArray[np.int64]
    ) -> None:
        """Set the fitted summaries from the training scores, as given (N, M) and as the method saw them."""
        columns, used = self._columns, self._columns.used
        fused = self.method_.predict(oriented)
        duplicates = near_duplicates(oriented, fused)
        self.effective_metrics_ = float(np.sum(1.0 / duplicates))
        of_directions = iter(directions)
        words = [next(of_directions) if tells else None for tells in used]
        found: dict[str, Any] = {
            "direction": [("higher" if word.higher_is_better else "lower") if word else "none" for word in words],
            "direction_source": [word.source if word else "none" for word in words],
            "weight": columns.widened(self.method_.weights(oriented).mean(axis=0)[None], 0.0)[0],
            "correlation": columns.widened(spearman_with(oriented, fused)[None], np.nan)[0],
            "near_duplicates": columns.widened(duplicates[None], np.nan)[0],
            "missing": np.isnan(values).mean(axis=0),
            "clipped": clipped,
        }
        for name, of_used in self.method_.summary().items():
            found[name] = columns.widened(np.asarray(of_used, dtype=np.float64)[None], np.nan)[0]
        self.metric_summary_ = summary_table(columns.names, found)
        self.missing_summary_ = missing_summary(oriented, columns.used_names)


def _warn_if_unused(y: Any) -> None:
    """Warn of ratings for some of the images that will not be used; whole ones are of a pipeline's later steps."""
    cells = np.asarray(y, dtype=object)
    if y is not None and cells.ndim == 1 and pd.isna(cells).any():
        warnings.warn(
            "ratings for some images were given, and are not used: pass use_ratings=True to correct the fusion by them",
            FusionWarning,
            stacklevel=3,
        )


def _with_empty_rows(found: FloatArray, held: NDArray[np.bool_]) -> FloatArray:
    """Put results of the rows that have scores in their places among all rows, NaN elsewhere."""
    if held.all():
        return found
    whole = np.full((len(held), *found.shape[1:]), np.nan)
    whole[held] = found
    return whole
