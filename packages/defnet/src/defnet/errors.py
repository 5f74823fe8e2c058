"""Errors that the command line reports in one line and Python users can catch by type."""


class DEFNetError(Exception):
    """Base of the errors raised for bad input."""


class ConfigError(DEFNetError, ValueError):
    """A configuration is missing, malformed or inconsistent."""


class CheckpointError(DEFNetError, ValueError):
    """A checkpoint is missing, damaged, or does not fit what it is loaded into."""


class DataError(DEFNetError, ValueError):
    """Training or evaluation data cannot be used as asked."""
