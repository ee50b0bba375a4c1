"""The command line: a lazy table of commands; nothing heavy is imported before one is chosen."""

from polylect.cli.entry_point import main

__all__ = ["main"]
