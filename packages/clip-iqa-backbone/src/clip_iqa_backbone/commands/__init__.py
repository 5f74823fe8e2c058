"""What the command `clip-iqa-backbone` does."""
