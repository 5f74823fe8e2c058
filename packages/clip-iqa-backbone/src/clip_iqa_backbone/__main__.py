"""`python -m clip_iqa_backbone`."""

from clip_iqa_backbone.cli import app

app()
