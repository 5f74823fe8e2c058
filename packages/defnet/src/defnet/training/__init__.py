"""Training a network end to end: the loop, its optimiser, its resumable state, its log, and the model that is kept."""
