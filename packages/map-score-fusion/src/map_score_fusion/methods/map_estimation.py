"""The paper's methods: score and rank fusion by maximum a posteriori estimation, `sf-ms`, `rf-ms`, `sf-m` and `rf-m`.

They are as the paper has them, with its objective's two faults. As z is a point and not integrated out, the likelihood
grows without limit where one metric's noise goes to zero and z copies that metric (a Heywood case), and metrics that
are near-duplicates count as independent witnesses. A fit in which the first is seen says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from map_score_fusion import skew_normal
from map_score_fusion.encoder import Encoder
from map_score_fusion.methods.base import FittingLog, FloatArray, FusionMethod, State
from map_score_fusion.observation_model import ObservationModel
from map_score_fusion.scaling import EmpiricalDistribution, RobustScaling

LEARNING_RATE = 0.002
"""Of Adam, as in the paper."""

BATCH = 256
"""Images in a mini-batch, at most: a table is split into batches as equal as can be."""

ROUND = 200
"""Steps between looks at the training loss."""

PLATEAU = 0.02
"""A fit stops when a round's mean loss is less than so many nats per score below that of the round before."""

MAX_ROUNDS = 30
"""Rounds after which an amortised fit stops in any case: 150 passes over 10,000 images."""

MAX_ROUNDS_FREE = 5
"""The same for z free for each image, where a step takes in the whole table and costs as much as some 20 others."""

CHUNK = 16_384
"""Images that the encoder is given at a time."""

CURVE_QUANTILES = 64
"""Quantiles of the noise over which a curve's mean score is taken."""

HEYWOOD_NOISE = 0.25
"""A collapse is reported of metrics whose mean ω̃ is below this share of the other metrics' median while"""

HEYWOOD_WEIGHT = 1.5
"""their mean weight is above so many equal shares."""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread, so that results do not depend on how many there are.

    The operations are small: a second thread gains little on an idle machine, and on a busy one they wait for each
    other at every one of them, which has been measured to take twenty times as long.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class MapEstimation(FusionMethod):
    """Fusion by maximum a posteriori estimation of the latent quality z (the paper's Eqs. 1 to 6).

    Args:
        amortised: Whether z is what an encoder makes of an image's scores, trained with the rest (the paper's section
            3.3). If not, z is free for each image (section 3.2): in ``fit`` it is optimised with the rest, and in
            ``predict`` under the fitted curves, to 1e-8, which costs some 100 densities for each score.

    A column that is constant in training says nothing of z and would make the likelihood infinite: it is left out, with
    the weight 0 and ω̃ = 1, the whole scale. Where an image has no other score, z is ½.
    """

    scaling_kind: ClassVar[type[RobustScaling] | type[EmpiricalDistribution]]
    score_level: ClassVar[bool]

    def __init__(self, *, amortised: bool = True) -> None:
        self.amortised = amortised
        self.log = FittingLog()

    @_one_thread()
    def fit(self, scores: FloatArray, names: Sequence[str], generator: np.random.Generator) -> Self:
        """Fit curves, noise and encoder by Adam until the training loss is on a plateau.

        The loss is the negative of the paper's Eq. 6 per image, on mini-batches (`BATCH`), or on the whole table where
        z is free. It is on a plateau when its mean over `ROUND` steps is less than `PLATEAU` nats per score below that
        over the round before. Steps are counted, not passes over the table, so that the rule, and the time that an
        amortised fit takes, do not depend on the number of images.

        Missing scores are left out of the likelihood. The encoder sees their conditional expectation under the current
        curves, taken anew in each round.
        """
        self.scaling = self.scaling_kind.fit(scores)
        scaled = self.scaling(scores)
        self.informative = np.nanmin(scaled, axis=0) < np.nanmax(scaled, axis=0)
        metrics = int(self.informative.sum())
        self.observation = ObservationModel(metrics, score_level=self.score_level)
        seeded = torch.Generator().manual_seed(int(generator.integers(2**63)))
        self.encoder = Encoder(metrics, seeded) if self.amortised and metrics else None

        known = torch.from_numpy(scaled[:, self.informative])
        known = known[~torch.isnan(known).all(1)]
        objective, converged = self._optimise(known, seeded) if metrics else ([], True)
        self.observation.requires_grad_(False)
        if self.encoder is not None:
            self.encoder.requires_grad_(False)

        self.mean_omega = np.ones(len(names))
        omega = self.score_uncertainty(scores)[:, self.informative]
        self.mean_omega[self.informative] = np.nanmean(omega, axis=0)
        messages = [*self._constant_columns(names), *self._heywood_case(scores, names)]
        if not converged:
            messages.append(f"the loss was still falling after {len(objective) * ROUND} steps, where the fit stopped.")
        self.log = FittingLog(tuple(objective), converged, tuple(messages))
        return self

    @_one_thread()
    def predict(self, scores: FloatArray) -> FloatArray:
        """Return z (N,): the encoder's mean of the scaled scores, or, with z free, the largest posterior's."""
        return self._latent(self._known(scores)).numpy()

    @_one_thread()
    def predict_std(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return z (N,) and the root of E[(z' − z)²] over the posterior of the quality z' given the scores (N,).

        The posterior is that of the fitted curves with all the paper's assumptions, integrated by quadrature: 130
        densities for each score.
        """
        known = self._known(scores)
        latent = self._latent(known)
        return latent.numpy(), self.observation.posterior_deviation(known, latent).numpy()

    @_one_thread()
    def weights(self, scores: FloatArray) -> FloatArray:
        """Return the encoder's weights (N, M), or, with z free, the metrics' shares of the information about z.

        That share is in proportion to f'(z)² over the variance of the score's noise at z: with straight curves and
        normal noise, the weights with which z is a mean of the f⁻¹(x).
        """
        known = self._known(scores)
        if self.encoder is not None:
            weights = torch.cat([self._encoded(self.encoder, chunk)[0] for chunk in torch.split(known, CHUNK)])
        else:
            weights = self.observation.information(self._latent(known)).masked_fill(torch.isnan(known), 0.0)
            weights = weights / weights.sum(1, keepdim=True)
        result = np.zeros(scores.shape)
        result[:, self.informative] = weights
        uninformed = torch.isnan(known).all(1).numpy()
        present = ~np.isnan(scores[uninformed])
        result[uninformed] = present / present.sum(1, keepdims=True)
        return result

    @_one_thread()
    def score_uncertainty(self, scores: FloatArray) -> FloatArray:
        """Return ω̃ = √(g(z)² + σ²) of each score (N, M), on its metric's scale of [0, 1]; NaN where it is missing."""
        omega, _ = self.observation.noise(self._latent(self._known(scores)))
        result = np.ones(scores.shape)
        result[:, self.informative] = omega
        result[np.isnan(scores)] = np.nan
        return result

    def summary(self) -> Mapping[str, FloatArray]:
        """Return a, b, c of f, a, b, c of g, α, σ and the mean ω̃ over the training table; NaN for constant columns.

        Without score-level noise, g and α are left out. A constant column's mean ω̃ is 1.
        """
        fitted = {
            **dict(zip(("f_a", "f_b", "f_c"), self.observation.curve_parameters(), strict=True)),
            "sigma": self.observation.sigma(),
        }
        if self.score_level:
            fitted |= dict(zip(("g_a", "g_b", "g_c"), self.observation.noise_coefficients, strict=True))
            fitted |= {"alpha": self.observation.shape[0]}
        table = {name: np.full(self.informative.size, np.nan) for name in fitted}
        for name, values in fitted.items():
            table[name][self.informative] = values
        return {**table, "mean_omega": self.mean_omega}

    def curves(self, grid: FloatArray) -> Mapping[str, FloatArray]:
        """Return each metric's mean score and the bounds of its central 68 % at qualities (G,), as in `FusionMethod`.

        What the scaling takes from the metric's own scale to [0, 1], it takes back, but not beyond the training scores.
        """
        latent = torch.from_numpy(grid)
        curve = self.observation.expected_score(latent).numpy()
        scale, shape = (parameter.numpy() for parameter in self.observation.noise(latent))

        def on_own_scale(noise: FloatArray) -> FloatArray:
            scaled = np.full((grid.size, self.informative.size), 0.5)
            scaled[:, self.informative] = curve + noise
            return self.scaling.inverse(scaled)

        lower, upper = (on_own_scale(bound) for bound in skew_normal.central_interval(scale, shape, 0.68))
        # The mean of what the scaling bends is not what it makes of the mean: it is taken over quantiles of the noise.
        levels = (np.arange(CURVE_QUANTILES) + 0.5) / CURVE_QUANTILES
        quantiles = (on_own_scale(skew_normal.quantile(scale, shape, level)) for level in levels)
        expected = sum(quantiles, np.zeros(lower.shape)) / CURVE_QUANTILES
        return {"expected": expected, "lower": lower, "upper": upper}

    def state(self) -> State:
        """Return the scaling, the curves' and the encoder's parameters, and whether z is amortised."""
        parameters = {f"observation.{name}": value.numpy() for name, value in self.observation.state_dict().items()}
        if self.encoder is not None:
            parameters |= {f"encoder.{name}": value.numpy() for name, value in self.encoder.state_dict().items()}
        marks = {"informative": self.informative, "mean_omega": self.mean_omega}
        return {**self.scaling.state(), **parameters, **marks}, {"amortised": self.amortised}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Make the fitted method again from what ``state`` returned; its log is empty."""
        method = cls(amortised=settings["amortised"])
        method.scaling = cls.scaling_kind.from_state(arrays)
        method.informative = arrays["informative"].astype(bool)
        method.mean_omega = arrays["mean_omega"]
        metrics = int(method.informative.sum())
        method.observation = ObservationModel(metrics, score_level=cls.score_level).requires_grad_(False)
        method.encoder = Encoder(metrics).requires_grad_(False) if method.amortised and metrics else None
        for module, prefix in ((method.observation, "observation."), (method.encoder, "encoder.")):
            if module is not None:
                names = module.state_dict().keys()
                module.load_state_dict({name: torch.from_numpy(arrays[prefix + name].copy()) for name in names})
        return method

    def _known(self, scores: FloatArray) -> Tensor:
        """The scaled scores of the metrics that are not constant, NaN where missing."""
        return torch.from_numpy(self.scaling(scores)[:, self.informative])

    def _latent(self, known: Tensor) -> Tensor:
        """The fused scores z (N,) of scaled scores."""
        if not self.informative.any():
            return torch.full((len(known),), 0.5, dtype=torch.float64)
        if self.encoder is None:
            return self.observation.map_estimate(known)
        return torch.cat([self._encoded(self.encoder, chunk)[1] for chunk in torch.split(known, CHUNK)])

    def _encoded(self, encoder: Encoder, known: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's weights (N, M) for scaled scores, and z (N,); the weights are NaN where no score is known."""
        missing = torch.isnan(known)
        if not missing.any():
            weights = encoder(known)
            return weights, (weights * known).sum(1).clamp(0.0, 1.0)
        filled = self.observation.conditional_expectation(known)
        weights = encoder(filled, missing)
        latent = (weights * filled).sum(1).clamp(0.0, 1.0)
        return weights, latent.nan_to_num(0.5)

    def _optimise(self, known: Tensor, generator: torch.Generator) -> tuple[list[float], bool]:
        """Fit to scaled scores; return the mean loss of each round and whether a plateau was reached."""
        encoder, observation = self.encoder, self.observation
        missing = torch.isnan(known)
        filled = known
        free = known.nanmean(1).requires_grad_()
        batches = _batches(len(known), generator)

        def latent_and_scores() -> tuple[Tensor, Tensor]:
            if encoder is None:
                free.data.clamp_(0.0, 1.0)
                return free, known
            rows = next(batches)
            weights = encoder(filled[rows], missing[rows] if missing.any() else None)
            return (weights * filled[rows]).sum(1).clamp(0.0, 1.0), known[rows]

        moved = [free] if encoder is None else list(encoder.parameters())
        optimiser = torch.optim.Adam([*moved, *observation.parameters()], lr=LEARNING_RATE, fused=True)
        plateau = PLATEAU * float((~missing).sum(1).double().mean())
        objective: list[float] = []
        for _ in range(MAX_ROUNDS_FREE if encoder is None else MAX_ROUNDS):
            if encoder is not None and missing.any():
                filled = observation.conditional_expectation(known)
            total = 0.0
            for _ in range(ROUND):
                loss = -observation.log_posterior(*latent_and_scores()).mean()
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                total += loss.item()
            objective.append(total / ROUND)
            if len(objective) > 1 and objective[-2] - objective[-1] < plateau:
                return objective, True
        return objective, False

    def _constant_columns(self, names: Sequence[str]) -> Iterator[str]:
        """A message for each column that the fit left out."""
        for name, informative in zip(names, self.informative, strict=True):
            if not informative:
                yield f"all training scores of {name!r} are the same, so it was left out (weight 0)."

    def _heywood_case(self, scores: FloatArray, names: Sequence[str]) -> Iterator[str]:
        """A message if the noise of some metrics is nearly gone while the fused score is made of them."""
        share = self.weights(scores).mean(axis=0)
        used = np.flatnonzero(self.informative).tolist()
        collapsed = [
            metric
            for metric in used
            if len(used) > 1
            and share[metric] > HEYWOOD_WEIGHT / len(used)
            and self.mean_omega[metric]
            < HEYWOOD_NOISE * np.median([self.mean_omega[other] for other in used if other != metric])
        ]
        if collapsed:
            found = ", ".join(
                f"{names[metric]!r} (ω̃ {self.mean_omega[metric]:.2g}, weight {share[metric]:.0%})"
                for metric in collapsed
            )
            others = np.median([self.mean_omega[metric] for metric in used if metric not in collapsed])
            yield (
                f"Heywood collapse: the noise of {found} has nearly gone (median ω̃ of the other metrics: "
                f"{others:.2g}), and the fused score is becoming a copy; the likelihood has no maximum there."
            )


def _batches(rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows of mini-batches, as equal as can be, from one random order of all rows after another."""
    while True:
        yield from torch.randperm(rows, generator=generator).tensor_split(-(-rows // BATCH))


class ScoreFusionMS(MapEstimation):
    """SF-ms: scores on a robust scale, noise of model and score level."""

    name = "sf-ms"
    scaling_kind = RobustScaling
    score_level = True


class RankFusionMS(MapEstimation):
    """RF-ms: normalised ranks, noise of model and score level."""

    name = "rf-ms"
    scaling_kind = EmpiricalDistribution
    score_level = True


class ScoreFusionM(MapEstimation):
    """SF-m: scores on a robust scale, one normal noise for each metric."""

    name = "sf-m"
    scaling_kind = RobustScaling
    score_level = False


class RankFusionM(MapEstimation):
    """RF-m: normalised ranks, one normal noise for each metric."""

    name = "rf-m"
    scaling_kind = EmpiricalDistribution
    score_level = False
