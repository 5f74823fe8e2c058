"""`defnet compare`: whether photographs have become better or worse."""

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.model.shipped import DEFAULT_MODEL
from iqa_datasets.terminal import SOME_NOT, OutputFormat, Terminal, write_rows

if TYPE_CHECKING:
    from defnet.comparison.differences import Comparison
    from defnet.scoring.image_scorer import ImageScorer
    from defnet.scoring.scored_tables import ScoredRow

TERMINAL = Terminal("defnet")

OUT_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
_NAMED = 10

EPILOG = """**Examples**

`defnet compare old-export/ new-export/` — did the new export make things worse?

`defnet compare old.csv new.csv --out differences.csv` — of two tables of scores

`defnet compare originals/ web/ --adjust bh` — finds more photographs, of which some 5 % may be chance

Photographs are matched by their path below the folder (of a table: below the folder that all its paths share), then
without the suffix, then by the file's name alone. A photograph is `worse` or `better` where z, the difference of its
scores over the root of the sum of their predictive variances, is more than chance, with p-values adjusted for the
number of photographs. That takes both scores' errors for independent, and finds too little rather than too much. The
mean difference has an interval of its own, which finds what is small and everywhere.

**Exit code**: 0 all matched and none worse, 1 some are worse (or their mean is, with its whole interval), or some could
not be matched or scored, 2 nothing could be done, 130 interrupted."""


class Adjust(StrEnum):
    """How p-values are adjusted."""

    holm = "holm"
    bh = "bh"
    none = "none"


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A folder of photographs, or a table of scores.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same photographs as they are now, likewise.")],
    model: Annotated[
        str, typer.Option(help="What scores folders; as for `defnet score`.", metavar="MODEL")
    ] = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option(help="Write a .csv, .jsonl, .json or .parquet file.", metavar="FILE")
    ] = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
    ] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.9999, help="How sure a verdict has to be.")] = 0.95,
    adjust: Annotated[
        Adjust, typer.Option(help="For the number of photographs: Holm, Benjamini and Hochberg, or not at all.")
    ] = Adjust.holm,
    crops: Annotated[int | None, typer.Option(min=1, help="Sub-images an image is looked at with (lite: 15).")] = None,
    device: Annotated[str | None, typer.Option(help="`cpu`, `cuda`, `cuda:1`, …; by default CUDA if there.")] = None,
) -> None:
    """Compare two versions of the same photographs: which differ by more than their scores are unsure."""
    from defnet.errors import DEFNetError

    with TERMINAL.plain_errors(DEFNetError, interrupted="interrupted; nothing was written"):
        if out is not None and output_format is not None:
            TERMINAL.fail("--format is about standard output; the ending of --out chooses the file's format")
        TERMINAL.check_out(out, OUT_SUFFIXES)
        from defnet.comparison.differences import Difference, compare_scores

        loaded: list[ImageScorer] = []

        def scorer() -> "ImageScorer":
            from defnet import load_scorer

            if not loaded:
                loaded.append(load_scorer(model, device=device, crops=crops))
            return loaded[0]

        sides = [_side(argument, scorer) for argument in (a, b)]
        _check_same_model(a, b)
        (first, first_names), (second, second_names) = sides
        found = compare_scores(first, second, first_names, second_names, level=level, adjustment=adjust.value)
        rows = [asdict(one) for one in found.differences]
        write_rows(rows, [field.name for field in fields(Difference)], out=out, output_format=output_format)
        _tell(found)
        if not found.compared:
            TERMINAL.fail("no photograph of A has a score and is one of B by its name")
    if found.worse or any(found.of(verdict) for verdict in ("only in A", "only in B", "not scored")):
        raise typer.Exit(SOME_NOT)


def _is_table(argument: str) -> bool:
    from defnet.scoring.scored_tables import SUFFIXES

    return not Path(argument).is_dir() and Path(argument).suffix.lower() in SUFFIXES


def _side(argument: str, scorer: "Callable[[], ImageScorer]") -> "tuple[list[ScoredRow], list[str]]":
    """Rows and names of a side."""
    from defnet.comparison.matching import names_below
    from defnet.scoring.scored_tables import failed_row, read_score_table, row_of_score

    if _is_table(argument):
        rows = list(read_score_table(Path(argument)).rows)
        names = names_below([row.path for row in rows])
    else:
        from defnet.scoring.scores import Failure
        from iqa_datasets.image_paths import find_images

        images = find_images([argument])
        for missing, reason in images.missing:
            TERMINAL.say(f"{missing}: {reason}".replace("\n", "?"))
        if not images.paths:
            TERMINAL.fail(f"{argument}: nothing to compare")
        rows = []
        for result in TERMINAL.track(scorer().stream(images.paths), len(images.paths), f"scoring {argument}"):
            if isinstance(result, Failure):
                TERMINAL.say(f"{result.path}: {result.reason}".replace("\n", "?"))
                rows.append(failed_row(result.path, result.reason))
            else:
                rows.append(row_of_score(result))
        names = names_below([row.path for row in rows], argument if Path(argument).is_dir() else None)
    return rows, [name if row.frame == 1 else f"{name}#{row.frame}" for name, row in zip(names, rows, strict=True)]


def _check_same_model(a: str, b: str) -> None:
    """Warn where two tables say that they were made in different ways: then that is compared, too."""
    made = []
    for table in (a, b):
        try:
            run = json.loads(Path(f"{table}.run.json").read_text(encoding="utf-8"))
            made.append({name: run.get(name) for name in ("weights", "crops", "short_side", "variance_scale")})
        except (OSError, ValueError, AttributeError):
            return
    differing = [name for name in made[0] if made[0][name] != made[1][name]]
    if differing:
        TERMINAL.warn(f"{a} and {b} were not made with the same {', '.join(differing)}; that is compared, too")


def _tell(found: "Comparison") -> None:
    if found.mean is not None:
        mean = found.mean
        word = "worse" if mean.high < 0 else "better" if mean.low > 0 else "no different"
        TERMINAL.say(
            f"B less A over {mean.n} photographs: {mean.mean:+.3f} on average ({found.level:.0%} interval "
            f"{mean.low:+.3f} to {mean.high:+.3f}): {word} on average"
        )
    counted: list[tuple[str, Any]] = [(verdict, found.of(verdict)) for verdict in ("worse", "better")]
    how = {"holm": "Holm's adjustment", "bh": "Benjamini and Hochberg's adjustment", "none": "no adjustment"}
    TERMINAL.say(
        f"{' and '.join(f'{len(ones)} {verdict}' for verdict, ones in counted)} by more than their scores are unsure "
        f"({how[found.adjustment]}, {1 - found.level:.2g})"
    )
    if found.of("not stated"):
        TERMINAL.say(f"{len(found.of('not stated'))} without a stated uncertainty: only their mean can be judged")
    for verdict in ("only in A", "only in B", "not scored"):
        ones = found.of(verdict)
        if ones:
            named = ", ".join(one.image.replace("\n", "?") for one in ones[:_NAMED])
            more = f" and {len(ones) - _NAMED} more" if len(ones) > _NAMED else ""
            TERMINAL.say(f"{len(ones)} {verdict}: {named}{more}")
