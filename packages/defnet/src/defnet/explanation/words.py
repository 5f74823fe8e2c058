"""An explanation in sentences."""

import math

from defnet.explanation.result import Evidence, Explanation, SubImage

_SOURCES = {
    "fusion": "the sub-images and the whole image, fused (DEFNet, Eqs. 24 and 25)",
    "cross": "the sub-images, fused with each other (DEFNet, Eqs. 18 to 20)",
    "expected": "the mean of what the sub-images say by their sentences (DEFNet, Eqs. 5 and 6)",
}


def in_words(explanation: Explanation) -> list[str]:
    """The explanation as sentences, each on a line of its own."""
    score, views = explanation.score, explanation.sub_images
    interval = "" if math.isnan(score.lower) else f", 95 % interval {score.lower:.2f} to {score.upper:.2f}"
    lines = [f"Quality {score.quality:.2f}{interval}: {_SOURCES[explanation.source]}."]
    lines.append(_shares(explanation))
    if explanation.whole is not None and explanation.cross is not None:
        lines.append(
            f"By itself the whole image says {_said(explanation.whole)}, and the sub-images together "
            f"{_said(explanation.cross)}."
        )
        if explanation.source == "fusion" and explanation.fusion is not None:
            lines.append(f"Fused they say {_said(explanation.fusion)}.")
    worst, best = min(views, key=lambda one: one.quality), max(views, key=lambda one: one.quality)
    if len(views) > 1:
        lines.append(
            f"The sub-images range from {worst.quality:.2f} ({place(worst, explanation.size)}) to {best.quality:.2f} "
            f"({place(best, explanation.size)})."
        )
        lines.append(_changes(explanation))
    first = explanation.sentences[0]
    lines.append(f"The most probable of the sentences ({first.probability:.0%}): {first.text}")
    lines.extend(f"Warning: {warning}." for warning in score.warnings)
    return lines


def _shares(explanation: Explanation) -> str:
    views = explanation.sub_images
    most, least = max(views, key=lambda one: one.share), min(views, key=lambda one: one.share)
    if most.share - least.share < 5e-4:
        each = f"each of {len(views)} sub-images counts {most.share:.1%}" if len(views) > 1 else "the sub-image counts"
    else:
        each = (
            f"the {len(views)} sub-images count {least.share:.1%} to {most.share:.1%} each, most the one "
            f"{place(most, explanation.size)}"
        )
    if explanation.source != "fusion" or explanation.whole is None:
        return f"Of the score, {each}; the whole image does not count."
    nus = [one.evidence.nu for one in views if one.evidence is not None]
    return (
        f"Of the score, the whole image counts {explanation.whole_share:.0%} and {each}: its opinion is worth "
        f"ν = {explanation.whole.nu:.2g} observations, theirs {min(nus):.2g} to {max(nus):.2g}."
    )


def _said(evidence: Evidence) -> str:
    return (
        f"{evidence.quality:.2f} ± {evidence.std:.2f} (its mean is worth ν = {evidence.nu:.2g} observations, its "
        f"scatter of ± {evidence.aleatoric_std:.2g}, √(β / (α − 1)), is worth 2α = {2 * evidence.alpha:.2g})"
    )


def _changes(explanation: Explanation) -> str:
    largest = max(explanation.sub_images, key=lambda one: abs(one.change))
    where = place(largest, explanation.size)
    return (
        f"Without the sub-image {where} the score would be {largest.quality_without:.2f} ({largest.change:+.2f}), "
        "which is the most that any one of them changes."
    )


def place(view: SubImage, size: tuple[int, int]) -> str:
    """Where a sub-image lies, as a person would say it: `at the top left`, `in the middle`."""
    left, top, right, low = view.box
    across, down = ((left + right) / 2 / max(size[0], 1), (top + low) / 2 / max(size[1], 1))
    words = " ".join(filter(None, (_third(down, "top", "bottom"), _third(across, "left", "right"))))
    return f"at the {words}" if words else "in the middle"


def _third(part: float, first: str, last: str) -> str:
    return first if part < 1 / 3 else last if part > 2 / 3 else ""
