"""One module a command (or a few that belong together): its arguments, its output and its exit codes."""
