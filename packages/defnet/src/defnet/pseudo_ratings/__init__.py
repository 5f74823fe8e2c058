"""Ratings that nobody gave: photographs distorted, measured against what they were, and rated by fused metrics.

Training on such scores was proposed by BLISS (P. Ye, J. Kumar and D. Doermann, Beyond Human Opinion Scores: Blind Image
Quality Assessment Based on Synthetic Scores, CVPR 2014), which fuses full-reference metrics by reciprocal ranks.
"""
