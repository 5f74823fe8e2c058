"""A model's card: what it is, what it was trained on and its figures, as the hub reads it and people do."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import copyfile
from typing import Final

from defnet.config.start import HUB, LIQE
from defnet.errors import DEFNetError
from defnet.model.model_info import ModelInfo, ReliabilityInfo
from defnet.model.names import MODEL_FILE, located_model
from iqa_datasets.atomic_files import replacing

CARD_FILE: Final = "README.md"

_TAGS: Final = ("image-quality-assessment", "no-reference", "uncertainty", "defnet")
_FIGURES: Final = {
    "srcc": "SRCC",
    "krcc": "KRCC",
    "plcc": "PLCC, raw",
    "plcc_logistic": "PLCC, after the four-parameter logistic",
    "rmse": "RMSE on [1, 5]",
    "scene_accuracy": "scene accuracy",
    "distortion_accuracy": "distortion accuracy",
    "coverage_95": "coverage of the 95 % interval, before the variance scale was fitted",
}
_LEFT_OUT: Final = {
    "rated_families": "rated images whose distortion was left out",
    "pseudo_rated": "images that metrics rated",
    "pseudo_rated_families": "such images whose distortion was left out",
}
_IN_FRONT_MATTER: Final = ("srcc", "plcc")


def trained_on(info: ModelInfo) -> list[str]:
    """The data sets that a model was trained on, in words."""
    if info.config.backbone.name.startswith(LIQE) and info.config.start is None:
        return ["data that the checkpoint does not name"]
    said = []
    for source in info.config.data:
        counts = info.images.get(source.name, {})
        images = f", {counts['train']} images" if "train" in counts else ""
        without = f", without {', '.join(source.exclude)}" if source.exclude else ""
        said.append(f"{source.name}, training part of session {source.session}{images}{without}")
    return said


def started_from(info: ModelInfo) -> str:
    """What training started from, in words."""
    start, backbone = info.config.start, info.config.backbone
    if start is not None:
        fingerprint = "" if start.fingerprint is None else f" (SHA-256 {start.fingerprint[:16]}…)"
        return f"the model {start.model}{fingerprint}"
    weights = "random weights" if backbone.pretrained is None else f"the weights {backbone.pretrained}"
    return f"the backbone {backbone.name}" + ("" if ":" in backbone.name else f" with {weights}")


def model_card(
    info: ModelInfo, *, name: str = "A model of defnet", licence: str | None = None, repository: str = "ORG/NAME"
) -> str:
    """The card of a model, as Markdown under the front matter that the hub reads.

    Args:
        info: what its file says of it.
        name: its title.
        licence: the licence of its weights by the hub's id, such as `apache-2.0`; it depends on the data too.
        repository: where on the hub it will lie, for the example.
    """
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="image-quality-assessment",
            dataset_type=dataset,
            dataset_name=f"{dataset} (validation part)",
            metric_type=figure,
            metric_value=round(figures[figure], 4),
            metric_name=_FIGURES[figure],
        )
        for dataset, figures in _by_dataset(info).items()
        for figure in _IN_FRONT_MATTER
        if figures.get(figure, float("nan")) == figures.get(figure)
    ]
    start = info.config.start
    hub = start is not None and start.model.startswith(HUB)
    data = ModelCardData(
        license=licence,
        library_name="defnet",
        tags=list(_TAGS),
        base_model=start.model.removeprefix(HUB).partition("@")[0] if start is not None and hub else None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    body = "\n".join(_body(info, name, licence, repository))
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"


def _by_dataset(info: ModelInfo) -> Mapping[str, Mapping[str, float]]:
    if info.validation_by_dataset or len(info.config.data) > 1:
        return info.validation_by_dataset
    return {info.config.data[0].name: info.validation}


def _body(info: ModelInfo, name: str, licence: str | None, repository: str) -> Iterator[str]:
    yield f"# {name}"
    yield ""
    yield (
        "How good a photograph looks, from 1 (bad) to 5 (perfect), how sure that is, and what is wrong with it: a Deep "
        "Evidential Fusion Network, read by the Python package `defnet`. The repository holds weights as safetensors "
        "and this card; nothing in it is run."
    )
    yield ""
    yield f"```sh\npip install defnet\ndefnet score photos/ --model {HUB}{repository}\n```"
    yield ""
    yield "## How it was made"
    yield ""
    yield f"- Started from {started_from(info)}."
    yield from (f"- Trained on {one}." for one in trained_on(info))
    counts = [f"{parts['val']} of {data}" for data, parts in info.images.items() if parts.get("val")]
    chosen = f" ({', '.join(counts)} images)" if counts else ""
    if info.validation or info.validation_by_dataset:
        yield (
            f"- Epoch {info.epoch} of {info.config.epochs}, chosen by {info.config.select_by} on validation{chosen}; "
            f"variance scale {info.variance_scale:.3g}, fitted there too."
        )
    else:
        yield f"- Epoch {info.epoch} of {info.config.epochs}, the last; no image was held back for validation."
    versions = ", ".join(f"{package} {version}" for package, version in info.versions.items())
    if versions:
        yield f"- With {versions}. The whole configuration stands in the file: `defnet info`."
    yield ""
    by_dataset = {name: figures for name, figures in _by_dataset(info).items() if figures}
    if by_dataset:
        yield from _validation_table(by_dataset)
    if info.reliability is not None:
        yield from _reliability(info.reliability)
    yield "## Limits"
    yield ""
    if info.reliability is None:
        yield (
            "It knows photographs like those that it was trained on, on the scale of their raters. Its intervals are "
            "calibrated on validation images of that kind and promise nothing of others."
        )
    else:
        yield (
            "It knows photographs like those that it was trained on, on the scale of their raters. `familiarity` says "
            "how like them an image is; intervals are calibrated on photographs of that kind that were left out of "
            "training. For others they are wider, and promise nothing."
        )
    yield ""
    yield "## Licence"
    yield ""
    yield f"{licence}." if licence else "Not stated. It depends on the terms of the data and of the backbone."


def _validation_table(by_dataset: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield "## Figures on validation"
    yield ""
    yield "The epoch was chosen on these images, so that the figures are a little kind."
    yield ""
    yield f"| | {' | '.join(by_dataset)} |"
    yield f"| --- |{' --- |' * len(by_dataset)}"
    for figure, words in _FIGURES.items():
        values = [figures.get(figure, float("nan")) for figures in by_dataset.values()]
        if any(value == value for value in values):
            yield f"| {words} | {' | '.join('' if v != v else f'{v:.3f}' for v in values)} |"
    yield ""


def _reliability(said: ReliabilityInfo) -> Iterator[str]:
    left = f"{said.folds} folds of contents"
    if said.families:
        left += f", and with {'; with '.join(' and '.join(group) for group in said.families)}"
    figures = said.figures
    yield "## What it knows of its limits"
    yield ""
    yield (
        f"Trained anew with {left} left out. {said.images.get('rated', 0)} rated photographs, each predicted by a "
        "model that had not seen it, calibrate the intervals: those of 95 % are "
        f"{figures.get('width_95', float('nan')):.2f} wide on average there."
    )
    kinds = [
        f"{figures[f'coverage_95_{kind}']:.3f} of {said.images[kind]} {words}"
        for kind, words in _LEFT_OUT.items()
        if f"coverage_95_{kind}" in figures
    ]
    if kinds:
        yield f"They hold the rating of {'; of '.join(kinds)}, to which their widths were fitted and not calibrated."
    yield ""


def write_hub_folder(
    model: str, folder: Path, *, name: str | None = None, licence: str | None = None, repository: str | None = None
) -> list[Path]:
    """Write the folder that one uploads to the hub: `model.safetensors` and the card, `README.md`.

    Args:
        model: a shipped model's name, a model file, the folder of a training run, or a hub's.
        folder: made if it does not exist; it may hold nothing else of these names.
        name: the card's title.
        licence: the licence of the weights, by the hub's id.
        repository: `ORG/NAME`.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        DEFNetError: the folder holds files of these names.
    """
    from defnet.model.model_file import read_info

    there = [file for file in (MODEL_FILE, CARD_FILE) if (folder / file).exists()]
    if there:
        raise DEFNetError(f"{folder / there[0]} is there already; give a new folder")
    with located_model(model) as found:
        info = read_info(found.path)
        title = name or (repository or Path(model).name).rpartition("/")[2]
        card = model_card(info, name=title, licence=licence, repository=repository or "ORG/NAME")
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / MODEL_FILE) as part:
            copyfile(found.path, part)
    with replacing(folder / CARD_FILE) as part:
        part.write_text(card, encoding="utf-8")
    return [folder / MODEL_FILE, folder / CARD_FILE]
