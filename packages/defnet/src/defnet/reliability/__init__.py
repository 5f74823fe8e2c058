"""How far a score can be relied on: how familiar an image is, and intervals that know it."""
