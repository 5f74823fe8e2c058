"""What goes wrong with a table of scores: the one error, and the one warning."""


class ScoreTableError(ValueError):
    """A table of scores, or an argument about it, is not as documented.

    The message names the file, the row, the column or the argument, what is wrong there, and what would be right.
    """


class FusionWarning(UserWarning):
    """Something of a table, a direction or a fit that changes what the fused scores mean.

    The message names the metrics or rows concerned, what was assumed or done, and how to say otherwise.
    """


class OutsideRangeWarning(FusionWarning):
    """Scores far outside the range of the training table, or a column of which most are where few of that table's are.

    Such scores are on another scale, of another version of the metric, or of images unlike the training images.
    """
