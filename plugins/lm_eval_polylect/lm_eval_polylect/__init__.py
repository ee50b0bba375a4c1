"""lm-evaluation-harness's tasks on polylect's engine: ``--model polylect``."""

from lm_eval_polylect.model import PolylectLM

__all__ = ["PolylectLM", "main"]


def main() -> None:
    """The harness's command line, where ``--model polylect`` is known."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
