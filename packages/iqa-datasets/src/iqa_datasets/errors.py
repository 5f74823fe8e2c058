"""The errors that say that a data set, an image, or the request for it is not as documented."""

import os


class DatasetError(ValueError):
    """A data set's files, or the arguments that select from it, are not as documented.

    The message names the file and the row (or the argument), what is wrong there, and what would be right. A file or
    folder that is not there at all is Python's own `FileNotFoundError`, with the same kind of message.
    """


class ImageError(DatasetError):
    """An image that cannot be used, and why.

    Args:
        path: the file, or a word for an image that has none.
        reason: what is wrong with it, as a clause without a full stop.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(path, reason)  # both, so that the error survives pickling between processes
        self.path = os.fspath(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}."


class ImageWarning(UserWarning):
    """Something about an image that its reader should know. The message names the file."""
