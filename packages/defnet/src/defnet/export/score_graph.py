"""What is exported beside the image tower: from the features of one image's views to the columns of its score."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from defnet.model.evidence import Prediction
from defnet.model.network import DEFNet
from defnet.model.predictive import quality_spread
from defnet.reliability.familiarity import NEIGHBOURS
from defnet.reliability.reliability import Reliability, own_deviation
from defnet.scoring.columns import LEVEL
from evidential_nig import NormalInverseGamma


class ScoreOfFeatures(nn.Module):
    """What a network says of one image, from what the trunk made of its views; all of it in double precision.

    Beside the convolutions this is nothing to compute, and in double it is free of the rounding in which runtimes
    differ.

    Args:
        model: the network; a copy of it is made.
        reliability: what it knows of its limits, where it does.
    """

    familiarity_mean: Tensor
    familiarity_scale: Tensor
    familiarity_components: Tensor
    familiarity_references: Tensor
    familiarity_distances: Tensor

    def __init__(self, model: DEFNet, reliability: Reliability | None = None) -> None:
        super().__init__()
        model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
        for tower in model.image_towers():
            for name in tower.trunk_children:
                setattr(tower, name, nn.Identity())  # that is exported by itself
        self.model = model.double()
        self._know_sentences()
        self.reliability = reliability if model.score_from != "expected" else None
        if self.reliability is not None:
            self.reach = self.reliability.reach(LEVEL)
            for name, tensor in self.reliability.familiarity.tensors().items():
                self.register_buffer(f"familiarity_{name}", tensor.double())

    def _know_sentences(self) -> None:
        """Give the backbones their sentences at once: to look whether these changed is nothing that can be traced."""
        backbones = [self.model.backbone]
        if self.model.global_tower is not None:
            backbones.append(self.model.global_tower.backbone)
        for backbone in backbones:
            backbone.text_embeddings = backbone._compute_text_embeddings  # type: ignore[method-assign]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        names = ["quality", "expected_quality", *(f"{task}_probabilities" for task in self.model.config.tasks)]
        if self.model.score_from != "expected":
            names += ["nu", "alpha_minus_one", "beta", "local_quality", "local_std"]
        if self.reliability is not None:
            names += ["aleatoric_std", "epistemic_std", "lower", "upper", "familiarity", "distance"]
        return tuple(names)

    def forward(self, local: Tensor, global_view: Tensor) -> tuple[Tensor, ...]:
        """What is said of an image.

        Args:
            local: features of its sub-images, (N, F), `float64`.
            global_view: those of the whole image, (1, F).

        Returns:
            What `outputs` names, each `float64`: the score's evidence (δ is `quality`); δ and the predictive deviation
            of each sub-image by itself; and of a model that knows its limits the columns of `defnet.Score`, ends of the
            interval not cut to the scale.
        """
        prediction = self.model.predict_from_features(local[None], global_view)
        said = {"quality": prediction.quality[0], "expected_quality": prediction.expected_quality[0]}
        for task, probabilities in prediction.probabilities.items():
            said[f"{task}_probabilities"] = probabilities[0]
        evidence = prediction.score_evidence
        if evidence is not None:
            said |= {
                "nu": evidence.nu[0],
                "alpha_minus_one": evidence.alpha_minus_one[0],
                "beta": evidence.beta[0],
                "local_quality": prediction.local["quality"].loc[0, :, 0],
                "local_std": prediction.local["quality"].predictive_variance[0, :, 0].sqrt(),
                **self._reliability(prediction, evidence, local, global_view[0]),
            }
        return tuple(said[name] for name in self.outputs)

    def _reliability(
        self, prediction: Prediction, evidence: NormalInverseGamma, local: Tensor, global_view: Tensor
    ) -> Mapping[str, Tensor]:
        """The columns that `defnet.reliability` gives."""
        if self.reliability is None:
            return {}
        deviation = self.reliability.deviation
        distance = self._distance(local, global_view)
        own, spread = own_deviation(evidence)[0], quality_spread(prediction)[0]
        width = self.reach * deviation.total(own, spread, distance)
        usual = self.familiarity_distances
        # Usual distances are in single precision; ties count as at least as far.
        as_far = (usual >= distance.float().double()).double().sum()
        return {
            "aleatoric_std": deviation.aleatoric(own, spread),
            "epistemic_std": deviation.epistemic(distance),
            "lower": evidence.loc[0] - width,
            "upper": evidence.loc[0] + width,
            "familiarity": (1.0 + as_far) / (len(usual) + 1.0),
            "distance": distance,
        }

    def _distance(self, local: Tensor, global_view: Tensor) -> Tensor:
        """What `describe` and `Familiarity.distance` compute, in steps that every runtime has."""
        mean = local.mean(0)
        # Of a single sub-image 0 / 0: it has no deviation.
        deviation = ((local - mean).square().sum(0) / (torch.ones_like(local[:, 0]).sum() - 1.0)).sqrt()
        described = torch.cat([mean, deviation, global_view])
        references = self.familiarity_references
        standardised = (described - self.familiarity_mean) / self.familiarity_scale
        standardised = torch.where(torch.isnan(standardised), torch.zeros_like(standardised), standardised)
        apart = (standardised @ self.familiarity_components - references).square().sum(1).sqrt()
        return apart.topk(min(NEIGHBOURS, len(references)), largest=False).values.mean()
