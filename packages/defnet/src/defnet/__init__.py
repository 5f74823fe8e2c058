"""Deep Evidential Fusion Network: how good a photograph looks, how sure that is, and what is wrong with it."""
