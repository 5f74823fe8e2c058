"""Experiments: a trained and judged model is a run, a set of runs is an experiment, and its files are all it needs."""
