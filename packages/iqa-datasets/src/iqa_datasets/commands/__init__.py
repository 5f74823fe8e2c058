"""One module a command (or a few that belong together): its arguments, its output and its exit codes."""

from iqa_datasets.terminal import Terminal

terminal = Terminal("iqa-datasets")

EXIT_CODES = "**Exit code**: 0 all right, 1 faults were found, 2 nothing could be done."
