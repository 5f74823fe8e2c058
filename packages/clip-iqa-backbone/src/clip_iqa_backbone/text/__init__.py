"""The words that images are compared with, and their features kept."""
