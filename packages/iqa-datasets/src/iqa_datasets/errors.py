"""The one error that says that a data set, or the request for it, is not as documented."""


class DatasetError(ValueError):
    """A data set's files, or the arguments that select from it, are not as documented.

    The message names the file and the row (or the argument), what is wrong there, and what would be right. A file or
    folder that is not there at all is Python's own `FileNotFoundError`, with the same kind of message.
    """
