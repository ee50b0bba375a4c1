"""The command line: a lazy table of commands; nothing heavy is imported before one is chosen."""

from polylect.cli.main import main

__all__ = ["main"]
