"""The commands of `defnet`, one a module, and the terminal that they share."""
