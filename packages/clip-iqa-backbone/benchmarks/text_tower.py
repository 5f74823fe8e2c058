"""CLIP's text tower on all 495 sentences: padded to the context, cut to the longest, and kept.

The weights are random; the time does not depend on them.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import open_clip
import torch

from clip_iqa_backbone import CLIPTextTower, Vocabulary, create_backbone


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The best of some runs, so that other work on the machine weighs less."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="eleven sentences, one run")
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    repeats = 1 if arguments.quick else 3
    words = Vocabulary(qualities=("bad",), scenes=("plant",)) if arguments.quick else Vocabulary.preset("defnet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = create_backbone(arguments.model, vocabulary=words)
        reference = open_clip.create_model(arguments.model)
    tokenizer = open_clip.get_tokenizer(arguments.model)
    print(f"{arguments.model}, {model.text.count} sentences, {arguments.threads} threads, torch {torch.__version__}")
    with torch.no_grad():
        for cut_padding in (False, True):
            tower = CLIPTextTower(reference, tokenizer, words, cut_padding=cut_padding)
            took = seconds(tower, repeats)
            print(f"  {tower.tokens.shape[1]:3d} tokens: {took:7.3f} s")
        model.text_embeddings()
        print(f"  kept, checked against the weights: {seconds(model.text_embeddings, repeats):7.3f} s")


if __name__ == "__main__":
    main()
