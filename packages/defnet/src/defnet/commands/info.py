"""`defnet info`: what a trained model is, and which there are."""

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from iqa_datasets.terminal import OutputFormat, Terminal, write_rows

EPILOG = """**Examples**

`defnet info` — the models that come with the package

`defnet info lite` — what it was trained on, its figures on validation data, its configuration

`defnet info runs/mine --format json` — the same for a program

`defnet info hf-hub:someone/photo-quality` — one of the hub's, with the hash of its revision"""


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A shipped model, a model file, the folder of a training run, or `hf-hub:ORG/NAME[@REVISION]`.",
            show_default=False,
        ),
    ] = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="By default a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """Say what a model was trained on, its figures and its configuration; without MODEL, which models there are."""
    from defnet.errors import DEFNetError

    with Terminal("defnet").plain_errors(DEFNetError):
        if model is None:
            write_rows(shipped_models(), ("model", "trained_on", "crops", "bytes"), output_format=output_format)
            return
        found = describe(model)
        if output_format in (OutputFormat.json, OutputFormat.jsonl):
            sys.stdout.write(as_json(found, indent=2 if output_format is OutputFormat.json else None))
        else:
            write_rows(flattened(found), ("field", "value"), output_format=output_format)


def shipped_models() -> list[dict[str, Any]]:
    """One row for each model that comes with the package."""
    from defnet.model.names import list_models

    rows = []
    for name in list_models():
        found = describe(name)
        crops = found["configuration"]["crops"]["test_count"]
        rows.append(
            {"model": name, "trained_on": "; ".join(found["trained_on"]), "crops": crops, "bytes": found["bytes"]}
        )
    return rows


def describe(model: str) -> dict[str, Any]:
    """Everything that a model's file says of it, as JSON.

    Raises:
        CheckpointError: there is no such model, or its file is damaged.
    """
    from defnet.model.model_card import started_from, trained_on
    from defnet.model.model_file import read_info
    from defnet.model.names import located_model

    with located_model(model) as found:
        said = read_info(found.path)
        size = found.path.stat().st_size
        source = found.source
    return {
        "model": model,
        "source": source,
        "bytes": size,
        "started_from": started_from(said),
        "trained_on": trained_on(said),
        "images": said.images,
        "epoch": said.epoch,
        "score_from": said.config.score_from,
        "validation": said.validation,
        "validation_note": "of the chosen epoch, before variance_scale was fitted",
        "validation_by_dataset": said.validation_by_dataset,
        "variance_scale": said.variance_scale,
        "constant_std": said.constant_std,
        "reliability": None if said.reliability is None else said.reliability.model_dump(mode="json"),
        "image_tower": said.image_tower,
        "configuration": said.config.model_dump(mode="json"),
        "versions": said.versions,
    }


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    """One row for each value, inner names joined by dots."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield from flattened({str(number): item for number, item in enumerate(value)}, f"{prefix}{name}.")
        else:
            yield {
                "field": f"{prefix}{name}",
                "value": ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value),
            }


def as_json(values: Mapping[str, Any], indent: int | None) -> str:
    """JSON that every reader takes: figures that could not be computed are null."""
    import json

    from defnet.finite_json import to_json

    return json.dumps(json.loads(to_json(values)), ensure_ascii=False, indent=indent) + "\n"
