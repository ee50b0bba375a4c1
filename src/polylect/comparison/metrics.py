"""What a metric means: which way is better, its unit, and which metrics are compared by default.

A metric's name may carry the filter that extracted the answer: ``exact_match[strict-match]``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from polylect.base import InputError, check_known
from polylect.rows import base_name, first_metric, is_share

_HIGHER = {
    "acc", "exact_match", "em", "greedy", "is_greedy", "log_likelihood", "likelihood", "f1",
    "bleu", "chrf", "ter_inverse", "rouge1", "rouge2", "rougeL", "rougeLsum", "mcc", "pass_at_1",
    "contains", "score", "line_pass", "word_pass", "win_rate", "grade", "right_language",
}  # fmt: skip
_LOWER = {
    "bits", "bits_per_byte", "bits_per_character", "bits_per_sentence", "bits_per_token", "loss",
    "no_number", "over_refusal", "unsafe_answered", "nll", "perplexity", "word_perplexity",
    "byte_perplexity", "ter", "brier_score",
}  # fmt: skip


@dataclass(frozen=True)
class Metrics:
    """Which metrics are compared, and which way each is better.

    Attributes:
        names: metrics to compare, with or without the filter; empty takes each task's default.
        higher: further metrics where higher is better.
        lower: further metrics where lower is better.
    """

    names: tuple[str, ...] = ()
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()

    def sign(self, metric: str) -> int:
        """1 where higher is better, -1 where lower is.

        Raises:
            InputError: the metric is unknown.

        >>> Metrics().sign("acc[strict]"), Metrics().sign("bits_per_byte")
        (1, -1)
        """
        name = base_name(metric)
        if {metric, name} & {*self.higher}:
            return 1
        if {metric, name} & {*self.lower}:
            return -1
        if name in _HIGHER or name.startswith(("acc_", "pass@")):
            return 1
        if is_lower_better(metric):
            return -1
        raise InputError(
            f"metric {metric!r}: whether higher or lower is better is not known",
            f"say it: --higher-is-better {name} or --lower-is-better {name}; or choose another"
            " with --metrics",
        )

    def select(self, task: str, present: Collection[str]) -> list[str]:
        """The metrics of a task that are compared, sorted; empty if it has none of ``names``.

        Args:
            task: its name, for the error.
            present: metrics that the task has.

        Raises:
            InputError: no metric was named, and the task has none that is known.
        """
        if self.names:
            return sorted(name for name in present if {name, base_name(name)} & {*self.names})
        if default := first_metric(task, present):
            return sorted(name for name in present if base_name(name) == default)
        known = sorted(name for name in present if self._is_known(name))
        if known:
            return [name for name in known if base_name(name) == base_name(known[0])]
        raise InputError(
            f"task {task!r} has no metric that is known: {', '.join(sorted(present)) or 'none'}",
            "choose with --metrics, and say --higher-is-better or --lower-is-better",
        )

    def check_names(self, present: Sequence[str]) -> None:
        """Check that every metric in ``names`` is present.

        Raises:
            InputError: no task has a metric; suggests the nearest name.
        """
        known = sorted({*present, *map(base_name, present)})
        for name in self.names:
            check_known(name, known, f"no task has the metric {name!r}", "there are")

    def _is_known(self, metric: str) -> bool:
        try:
            return bool(self.sign(metric))
        except InputError:
            return False


def is_lower_better(metric: str) -> bool:
    """Whether lower is known to be better."""
    return base_name(metric) in _LOWER or is_ratio_scale(metric)


def is_ratio_scale(metric: str) -> bool:
    """Whether languages are compared by relative changes: bits, losses and perplexities.

    A byte carries less in a script of three bytes per character, so that equal differences of bits
    per byte are not equal losses.
    """
    name = base_name(metric)
    return name in {"bits", "loss", "nll", "perplexity"} or (
        name.startswith("bits_per_") or name.endswith("_perplexity")
    )


def unit(metric: str) -> str:
    """Unit of a difference of the metric: points for shares.

    >>> unit("acc"), unit("bits_per_byte"), unit("chrf")
    ('points', 'bits per byte', 'chrf')
    """
    if is_share(metric):
        return "points"
    name = base_name(metric)
    if name.startswith("bits_per_"):
        return f"bits per {name.removeprefix('bits_per_')}"
    return name


def display_scale(metric: str) -> float:
    """Factor from a difference to its ``unit``: 100 for shares, else 1."""
    return 100.0 if is_share(metric) else 1.0


def has_ratio(metric: str) -> bool:
    """Whether a relative change means something, because the scale has a true zero."""
    return "likelihood" not in base_name(metric) and base_name(metric) != "mcc"
