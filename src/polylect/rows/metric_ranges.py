"""Which metrics are shares of items, and between which values a metric can lie at all."""

import math
import re

_SHARES = {
    "em", "greedy", "is_greedy", "contains", "line_pass", "word_pass", "win_rate", "no_number",
    "over_refusal", "unsafe_answered", "right_language",
}  # fmt: skip
_RANGES = dict.fromkeys(("f1", "rouge1", "rouge2", "rougeL", "rougeLsum"), (0.0, 1.0)) | {
    "bleu": (0.0, 100.0),
    "chrf": (0.0, 100.0),
}


def base_name(metric: str) -> str:
    """The metric without its filter.

    >>> base_name("exact_match[strict-match]")
    'exact_match'
    """
    return re.sub(r"\[.*\]$", "", metric)


def is_share(metric: str) -> bool:
    """Whether its values are shares of items, so that a difference is given in points."""
    name = base_name(metric)
    return name.startswith(("acc", "exact_match", "pass")) or name in _SHARES


def is_nonnegative(metric: str) -> bool:
    """Whether a metric without a highest value is never below 0.

    >>> is_nonnegative("bits_per_byte"), is_nonnegative("log_likelihood"), is_nonnegative("reward")
    (True, False, False)
    """
    return (
        re.match(r"bits$|bits_per_|perplexity|nll|.*(tokens|length)", base_name(metric)) is not None
    )


def metric_range(metric: str) -> tuple[float, float] | None:
    """The lowest and the highest value of an item; None where there is no limit, or none known.

    >>> metric_range("acc_norm"), metric_range("chrf"), metric_range("bits_per_byte")
    ((0.0, 1.0), (0.0, 100.0), None)
    """
    return (0.0, 1.0) if is_share(metric) else _RANGES.get(base_name(metric))


def possible_values(metric: str) -> tuple[float, float]:
    """The least and the greatest value that an item can have; infinite where none is known.

    f1, ROUGE, BLEU and chrF are given out of 1 or out of 100 by different tools, and have none.

    >>> possible_values("acc"), possible_values("word_perplexity"), possible_values("reward")
    ((0.0, 1.0), (1.0, inf), (-inf, inf))
    """
    if is_share(metric):
        return 0.0, 1.0
    return (1.0 if base_name(metric).endswith("perplexity") else -math.inf), math.inf
