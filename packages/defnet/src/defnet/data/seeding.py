"""Random generators as functions of the seed and of what they are for, never of what was drawn before."""

import hashlib

import numpy as np

# Keep apart the streams that share a seed.
_ORDER, _CROPS, _STEP, _POOL = range(4)


def order_generator(seed: int, dataset: int, shuffle: int) -> np.random.Generator:
    """The generator of a data set's order in its pass number `shuffle`."""
    return np.random.default_rng([seed, _ORDER, dataset, shuffle])


def draw_generator(seed: int, step: int, row: int) -> np.random.Generator:
    """The generator of one image's crops and flips in one step."""
    return np.random.default_rng([seed, _CROPS, step, row])


def pool_generator(seed: int, name: str) -> np.random.Generator:
    """The generator of the crops that stand in the pool for the image file of this name."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng([seed, _POOL, int.from_bytes(digest[:8])])


def step_seed(seed: int, step: int, part: int = 0) -> int:
    """Torch's seed for one training step (dropout), or for a part of its batch that goes through the network alone."""
    entropy = [seed, _STEP, step, part] if part else [seed, _STEP, step]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
