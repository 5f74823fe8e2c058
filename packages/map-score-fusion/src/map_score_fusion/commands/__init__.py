"""The commands of `map-score-fusion`, a module each."""
