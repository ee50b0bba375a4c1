"""What a metric means: which way is better, in which unit a difference is said, what is compared.

A metric may carry the filter that read the answer, ``exact_match[strict-match]``.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from polylect.base import InputError, did_you_mean

_HIGHER = {
    "acc", "acc_norm", "acc_bytes", "acc_norm_bytes", "acc_tokens", "acc_norm_tokens",
    "acc_mutual_info", "exact_match", "em", "greedy", "is_greedy", "log_likelihood", "likelihood",
    "f1", "bleu", "chrf", "ter_inverse", "rouge1", "rouge2", "rougeL", "rougeLsum", "mcc",
    "pass@1", "pass_at_1", "contains", "score", "line_pass", "word_pass", "win_rate", "grade",
}  # fmt: skip
_LOWER = {
    "bits", "bits_per_byte", "bits_per_character", "bits_per_sentence", "bits_per_token", "loss",
    "no_number", "over_refusal", "unsafe_answered", "nll", "perplexity", "word_perplexity",
    "byte_perplexity", "ter", "brier_score",
}  # fmt: skip
_FIRST = (
    "acc", "exact_match", "pass@1", "bits_per_byte", "bits", "acc_norm", "f1", "chrf",
    "rougeLsum", "log_likelihood",
)  # fmt: skip
"""What is compared where nothing was asked for: the first of these that a task has."""


@dataclass(frozen=True)
class Metrics:
    """Directions of metrics, and which were asked for.

    Attributes:
        asked: names to compare, with or without the filter; empty takes each task's first.
        higher: further metrics where higher is better.
        lower: further metrics where lower is better.
    """

    asked: tuple[str, ...] = ()
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()

    def sign(self, metric: str) -> int:
        """1 where higher is better, -1 where lower is.

        Raises:
            InputError: the metric is not known.
        """
        names = {metric, base_name(metric)}
        if names & {*self.higher}:
            return 1
        if names & {*self.lower}:
            return -1
        if base_name(metric) in _HIGHER or base_name(metric).startswith(("acc_", "pass@")):
            return 1
        if is_lower_better(metric):
            return -1
        raise InputError(
            f"metric {metric!r}: whether higher or lower is better is not known",
            f"say it: --higher-is-better {base_name(metric)} or --lower-is-better"
            f" {base_name(metric)}; or choose another with --metric",
        )

    def chosen(self, task: str, present: Collection[str]) -> list[str]:
        """The metrics of a task that are compared, in order of name; none where it has none.

        Raises:
            InputError: nothing was asked for, and the task has no metric that is known.
        """
        if self.asked:
            return sorted(one for one in present if {one, base_name(one)} & set(self.asked))
        for name in _FIRST:
            found = sorted(one for one in present if base_name(one) == name)
            if found:
                return found
        known = sorted(one for one in present if self._is_known(one))
        if known:
            return [one for one in known if base_name(one) == base_name(known[0])]
        raise InputError(
            f"task {task!r} has no metric that is known: {', '.join(sorted(present)) or 'none'}",
            "choose with --metric, and say --higher-is-better or --lower-is-better",
        )

    def check_asked(self, present: Sequence[str]) -> None:
        """Nothing, when every name that was asked for is there.

        Raises:
            InputError: a name that no task has; names the nearest.
        """
        names = {*present, *map(base_name, present)}
        for one in self.asked:
            if one not in names:
                raise InputError(
                    f"no task has the metric {one!r}",
                    did_you_mean(one, sorted(names)) or f"there are {', '.join(sorted(names))}",
                )

    def _is_known(self, metric: str) -> bool:
        try:
            return bool(self.sign(metric))
        except InputError:
            return False


def base_name(metric: str) -> str:
    """The metric without its filter."""
    return re.sub(r"\[.*\]$", "", metric)


def is_share(metric: str) -> bool:
    """Whether its values are shares of items, so that a difference is said in points."""
    name = base_name(metric)
    return name.startswith(("acc", "exact_match", "pass")) or name in {
        "em", "greedy", "is_greedy", "contains", "line_pass", "word_pass", "win_rate",
        "no_number", "over_refusal", "unsafe_answered",
    }  # fmt: skip


def is_lower_better(metric: str) -> bool:
    """Whether it is known that less is better."""
    return base_name(metric) in _LOWER or base_name(metric).startswith("bits")


def unit(metric: str) -> str:
    """What a difference of the metric is counted in."""
    if is_share(metric):
        return "points"
    name = base_name(metric)
    if name.startswith("bits_per_"):
        return f"bits per {name.removeprefix('bits_per_')}"
    return name


def scale(metric: str) -> float:
    """What a difference is multiplied by when it is shown: shares are shown in points."""
    return 100.0 if is_share(metric) else 1.0


def has_ratio(metric: str) -> bool:
    """Whether a relative change means something: the scale has a true zero."""
    return "likelihood" not in base_name(metric) and base_name(metric) != "mcc"
