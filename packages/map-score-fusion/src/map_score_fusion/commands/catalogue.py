"""`map-score-fusion list`: the methods of fusion."""

from typing import Annotated

import typer

from map_score_fusion.commands.terminal import OutputFormat, cell, new_table, show_table, write_frame


def list_methods(
    output: Annotated[OutputFormat, typer.Option("--format", help="How to write it.")] = OutputFormat.table,
) -> None:
    """List the methods of fusion, a line each."""
    from map_score_fusion.methods import METHODS

    if output is not OutputFormat.table:
        import pandas as pd

        rows = [(name, entry.summary) for name, entry in METHODS.items()]
        write_frame(pd.DataFrame(rows, columns=["method", "summary"]), output)
        return
    table = new_table("method", "what it does")
    for name, entry in METHODS.items():
        table.add_row(cell(name), cell(entry.summary))
    show_table(table)
