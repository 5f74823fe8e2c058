"""Evidential regression of several targets at once, with the correlation of their noise.

The conjugate belief about the mean and the covariance matrix of normal vectors is the normal-inverse-Wishart
distribution, as the normal-inverse-gamma is for single numbers. `NormalInverseWishart`, `niw_nll` and `NIWHead` are to
vectors what `NormalInverseGamma`, `nig_nll` and `NIGHead` are to numbers; `NormalInverseWishart.marginals` leads from
the first to the second, and so to intervals, scores and calibration of each target.

Source: Meinert and Lavin, "Multivariate Deep Evidential Regression", 2021, in whose letters κ, ν and Ψ are `kappa`,
`df` and `scale_tril` times its transpose; Murphy, "Conjugate Bayesian analysis of the Gaussian distribution", 2007,
Section 9; Gelman et al., "Bayesian Data Analysis", third edition, 2013, Section 3.6.
"""

from evidential_nig.multivariate.distribution import NormalInverseWishart
from evidential_nig.multivariate.head import NIWHead
from evidential_nig.multivariate.loss import niw_nll

__all__ = ["NIWHead", "NormalInverseWishart", "niw_nll"]
