"""Many quality metrics, no human ratings, one better score per image."""
