"""`map-score-fusion list`: the methods of fusion."""

from map_score_fusion.commands.terminal import (
    SUFFIXES,
    FormatOption,
    OutOption,
    plain_errors,
    terminal,
    wants_table,
    write_frame,
)

EPILOG = """**Examples**

`map-score-fusion list`

`map-score-fusion list --format json`

**Exit code**: 0 listed, 2 nothing could be done."""


def list_methods(out: OutOption = None, output: FormatOption = None) -> None:
    """List the methods of fusion, a line each."""
    terminal.check_out(out, SUFFIXES)
    with plain_errors():
        from map_score_fusion.methods import METHODS

        if wants_table(out, output):
            table = terminal.new_table("method", "what it does")
            for name, entry in METHODS.items():
                table.add_row(terminal.cell(name), terminal.cell(entry.summary))
            terminal.show_table(table)
            return
        import pandas as pd

        rows = [(name, entry.summary) for name, entry in METHODS.items()]
        write_frame(pd.DataFrame(rows, columns=["method", "summary"]), out, output)
