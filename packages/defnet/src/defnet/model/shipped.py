"""Which trained models come with the package."""

SHIPPED = ("lite2", "lite2-session1", "lite")
"""Names of the trained models that come with the package: `lite2` learnt from all of its data; `lite2-session1` is the
same recipe on the training part of one session, so that what is measured on the test part is true; `lite` is the first
model, which knows LIVE In the Wild's photographs alone."""

DEFAULT_MODEL = "lite2"
"""Name of the one that scores where none is named."""
