"""What the network says of quality, as a distribution on the scale of the ratings."""

from defnet.model.evidence import Prediction
from defnet.model.student_t import StudentT
from evidential_nig import NormalInverseGamma

LOWEST, HIGHEST = 1.0, 5.0
"""Ends of the scale of ratings."""


def predictive_quality(prediction: Prediction, variance_scale: float) -> tuple[StudentT, NormalInverseGamma]:
    """The predictive distribution of quality, and the evidence behind it, with calibrated variances.

    Args:
        prediction: the network's output for B images.
        variance_scale: factor on β.

    Returns:
        Student-t distributions of B images and the evidence of Eq. 25, batch shape (B,), both in double precision.
    """
    fused = prediction.fusion["quality"]
    loc, nu, alpha_minus_one, beta = (
        t[..., 0].detach().double().cpu() for t in (fused.loc, fused.nu, fused.alpha_minus_one, fused.beta)
    )
    nig = NormalInverseGamma.from_alpha_minus_one(loc, nu, alpha_minus_one, beta * variance_scale)
    return StudentT(nig.predictive_df.numpy(), nig.loc.numpy(), nig.predictive_scale.numpy()), nig
