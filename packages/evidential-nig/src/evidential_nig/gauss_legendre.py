"""The rule of Gauss and Legendre for integrals over [0, 1]."""

from __future__ import annotations

import math


def gauss_legendre(count: int) -> list[tuple[float, float]]:
    """Nodes and weights on [0, 1], ascending."""
    rule = []
    for i in range(count):
        node = -math.cos(math.pi * (i + 0.75) / (count + 0.5))
        slope = 1.0
        for _ in range(6):
            before, value = 1.0, node
            for k in range(2, count + 1):
                before, value = value, ((2 * k - 1) * node * value - (k - 1) * before) / k
            slope = count * (node * value - before) / (node * node - 1)
            node -= value / slope
        rule.append(((1 + node) / 2, 1 / ((1 - node * node) * slope * slope)))
    return rule
