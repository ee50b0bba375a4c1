"""Options that have a new name: a command that uses the old one is told so."""

RENAMED: dict[str, dict[str, str]] = {
    "eval": {"--checkpoint": "--model"},
    "compare": {
        "--metric": "--metrics",
        "--language": "--task-languages",
        "--name-a": "--name-before",
        "--name-b": "--name-after",
    },
}
"""Today's name of an option by its former one, by command."""
