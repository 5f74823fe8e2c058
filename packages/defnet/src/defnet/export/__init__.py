"""Models as files that score without torch."""
