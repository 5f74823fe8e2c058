"""What can be configured, as frozen and validated objects.

Each field is a point that the DEFNet paper states or leaves open, with the value chosen here as the default. The
objects are written whole into every checkpoint, so that a trained model says how it was made.
"""
