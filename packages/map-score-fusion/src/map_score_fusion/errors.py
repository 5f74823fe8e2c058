"""The one error that says that a table of scores, or a request about it, cannot be used as it is."""


class ScoreTableError(ValueError):
    """A table of scores, or an argument about it, is not as documented.

    The message names the file, the row, the column or the argument, what is wrong there, and what would be right.
    """
