"""`defnet gmad`: two models compared on the images on which they disagree most."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.commands.data_options import DataRoot, Device, Labels, data_roots
from iqa_datasets.terminal import SOME_NOT, OutputFormat, Terminal, write_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from defnet.experiments.gmad import Competition
    from defnet.experiments.image_scores import Array, ImageSet

TERMINAL = Terminal("defnet")

EPILOG = """**Examples**

`defnet gmad lite runs/mine --images photos/ --out gmad` — the shipped model against one's own, on any photographs

`defnet gmad lite brisque.csv --better b=lower --data live-challenge --session 1 --data-root /data/iqa --out gmad` — a
model against a table of another's scores, where lower is better, on images that have ratings

`defnet gmad a.csv b.csv --column a.score=musiq --column b.score=niqe --better a=higher --better b=lower
--images photos/ --out gmad` — two tables of others' scores

The folder gets `pairs.png` and `pairs.svg` (the pairs side by side), `scores.png` and `scores.svg` (where they lie),
`gmad.json`, and `scores-a.csv` and `scores-b.csv` of models, with which a stopped run goes on. Standard output gets the
table of pairs. With ratings, standard error tells how often each attacker was right.

**Exit code**: 0 all right, 1 some images have no score and were left out, 2 nothing could be done, 130 interrupted; the
same command goes on."""


def gmad(
    a: Annotated[str, typer.Argument(metavar="A", help="A model (name, file, folder), or a .csv, .tsv or .parquet.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same, of the other.")],
    out: Annotated[Path, typer.Option(help="Folder for pictures and tables.", metavar="DIR")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of images, with all below it, without ratings.", metavar="FOLDER")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Data set, whose ratings then tell who is right.", metavar="NAME")
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="Of --data: 1 to 10 (LIQE's), `official` or `seeded-SEED`.", metavar="SESSION")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="`train`, `val`, `test` (the default with a session) or `all`.", metavar="PART")
    ] = None,
    data_root: DataRoot = None,
    labels: Labels = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of a table: `a.score`, `a.image`, `b.score` or `b.image`.", metavar="KEY=TITLE"),
    ] = None,
    better: Annotated[
        list[str] | None,
        typer.Option(help="Which end of a table's scores is better, such as `b=lower`.", metavar="a|b=higher|lower"),
    ] = None,
    levels: Annotated[int, typer.Option(min=1, help="Levels of the defender's score.")] = 5,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs at each level.")] = 1,
    tolerance: Annotated[
        float, typer.Option(min=0, help="How far a defender's scores may lie from a level, in standard deviations.")
    ] = 0.1,
    crops: Annotated[int | None, typer.Option(min=1, help="Sub-images an image is looked at with (lite: 15).")] = None,
    device: Device = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Score anew instead of going on with the tables in --out.", metavar="")
    ] = False,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="Of the pairs on standard output: a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """Let two models attack each other (gMAD): pairs that one calls equal and the other as different as it can."""
    from defnet.errors import DEFNetError

    kept = f"interrupted; scores so far are kept in {out}, and the same command goes on"
    with TERMINAL.plain_errors(DEFNetError, interrupted=kept):
        if (images is None) == (data is None):
            TERMINAL.fail("say on which images: either --images FOLDER or --data NAME")
        if data is None and (session is not None or part is not None):
            TERMINAL.fail("--session and --part are about --data")
        if session is None and part not in (None, "all"):
            TERMINAL.fail(f"--part {part} needs a --session, such as --session seeded-1")
        columns, directions = _columns(column or []), _directions(better or [])
        names = _names(a, b)
        from defnet.config.data import check_session
        from defnet.errors import DataError
        from defnet.experiments.image_scores import images_in_folder, images_of_dataset

        if images is not None:
            found = images_in_folder(images)
        else:
            try:
                chosen = None if session is None else check_session(session)
            except ValueError as error:
                raise DataError(str(error)) from error
            part = part or ("all" if session is None else "test")
            found = images_of_dataset(data_roots(data_root, labels), data or "", chosen, part)
        out.mkdir(parents=True, exist_ok=True)
        import numpy as np

        scores = {}
        for side, name, argument in (("a", names[0], a), ("b", names[1], b)):
            options = {"better": directions.get(side)} | {
                f"{key}_column": columns.get(f"{side}.{key}") for key in ("image", "score")
            }
            scores[name] = _scores(argument, found, side, out, options, crops, device, overwrite)
        missing: NDArray[np.bool_] = np.isnan(np.stack(list(scores.values()))).any(axis=0)
        left = int(missing.sum())
        if left:
            TERMINAL.say(f"{left} of {len(missing)} images have no score of both and are left out")
        settings = {"levels": levels, "pairs": pairs, "tolerance": tolerance}
        competition = _compete(scores, found, ~missing, settings, out)
        for defender, level in competition.empty:
            TERMINAL.warn(f"too few images have one score of {defender} at its level {level:g}; see --tolerance")
        rows = [asdict(pair) for pair in competition.pairs]
        write_rows(rows, list(rows[0]), output_format=output_format)
        _tell(competition)
    if left:
        raise typer.Exit(SOME_NOT)


def _columns(given: list[str]) -> dict[str, str]:
    found = {}
    for entry in given:
        key, equals, title = entry.partition("=")
        if key not in ("a.score", "a.image", "b.score", "b.image") or not equals or not title:
            TERMINAL.fail(f"--column {entry}: give a.score, a.image, b.score or b.image, = and the column's title")
        found[key] = title
    return found


def _directions(given: list[str]) -> dict[str, str]:
    found = {}
    for entry in given:
        side, _, end = entry.partition("=")
        if side not in ("a", "b") or end not in ("higher", "lower"):
            TERMINAL.fail(f"--better {entry}: give a=higher, a=lower, b=higher or b=lower")
        found[side] = end
    return found


def _names(a: str, b: str) -> tuple[str, str]:
    """What the two are called: the last part of their paths, where these differ."""
    first, second = Path(a).stem or a, Path(b).stem or b
    return (first, second) if first != second else (f"{first} (A)", f"{second} (B)")


def _scores(
    argument: str,
    images: "ImageSet",
    side: str,
    out: Path,
    options: dict[str, str | None],
    crops: int | None,
    device: str | None,
    overwrite: bool,
) -> "Array":
    from defnet.experiments.image_scores import TABLES, scores_by_model, scores_in_table

    if Path(argument).suffix.lower() in TABLES:
        return scores_in_table(argument, images, side=f"{side}.", **options)  # type: ignore[arg-type]
    unused = [key.removesuffix("_column") for key, value in options.items() if value is not None]
    if unused:
        TERMINAL.fail(f"{argument} is a model, and --column and --better are about tables of scores")
    with TERMINAL.progress(len(images.files), f"scoring with {argument}") as bar:
        return scores_by_model(
            argument,
            images,
            out / f"scores-{side}.csv",
            crops=crops,
            device=device,
            overwrite=overwrite,
            advance=bar.advance,
            failed=bar.above,
        )


def _compete(
    scores: "dict[str, Array]",
    images: "ImageSet",
    known: "NDArray[np.bool_]",
    settings: dict[str, Any],
    out: Path,
) -> "Competition":
    from defnet.experiments.gmad import compete
    from defnet.finite_json import to_json
    from defnet.report.figure_style import write_picture
    from defnet.report.gmad_pictures import pairs_picture, scores_picture
    from iqa_datasets.atomic_files import replacing

    names = [name for name, there in zip(images.names, known, strict=True) if there]
    chosen = {name: values[known] for name, values in scores.items()}
    ratings = None if images.ratings is None else images.ratings[known]
    competition = compete(chosen, names, ratings, **settings)
    with replacing(out / "gmad.json") as part:
        part.write_text(
            to_json({"images": len(names), "settings": settings} | competition.as_dict()) + "\n", encoding="utf-8"
        )
    write_picture(scores_picture(chosen, names, competition), out, "scores")
    files = dict(zip(images.names, images.files, strict=True))
    write_picture(pairs_picture(competition, files), out, "pairs")
    return competition


def _tell(competition: "Competition") -> None:
    for verdict in competition.verdicts:
        line = (
            f"{verdict.attacker} attacks {verdict.defender}: {verdict.pairs} pairs, {verdict.gap:.2f} deviations apart"
        )
        if verdict.right is not None:
            line += (
                f"; right {100 * verdict.right:.0f} %, aggressiveness {verdict.aggressiveness:.2f}, "
                f"resistance of {verdict.defender} {verdict.resistance:.2f}, by chance {verdict.chance:.2f} apart"
            )
        TERMINAL.say(line)
