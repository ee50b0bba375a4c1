"""The metric that stands for a task: what is printed, compared and searched where none is named."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from polylect.rows.metric_ranges import base_name

FIRST_METRICS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("xcopa", "xstorycloze", "xwinograd"), "acc"),
        **dict.fromkeys(("belebele", "global_mmlu", "okapi_mmlu"), "acc"),
        # Whole sentences of unequal length: the plain sum of log-likelihoods takes the shortest.
        **dict.fromkeys(
            ("next_sentence", "translation_choice", "translation_choice_english"), "acc_norm"
        ),
        # Four texts of much the same length, each right once: see evals/tasks/_quartets.py.
        **dict.fromkeys(("xquad_closed_choice", "humaneval_choice", "mbpp_choice"), "acc"),
        **dict.fromkeys(("xquad", "xquad_closed", "mgsm", "gsm8k", "ntrex_bits"), "bits_per_byte"),
        **dict.fromkeys(("humaneval", "mbpp", "mbpp_text"), "bits_per_byte"),
        **dict.fromkeys(
            ("mgsm_direct", "mgsm_native_cot", "mgsm_en_cot", "gsm8k_generate"), "exact_match"
        ),
        "xquad_generate": "f1",
        **dict.fromkeys(("translate_from_english", "translate_into_english"), "chrf"),
        **dict.fromkeys(("flores_from_english", "flores_into_english"), "chrf"),
        "xlsum": "rougeLsum",
        "xstest": "over_refusal",
        **dict.fromkeys(("humaneval_run", "mbpp_run", "mbpp_text_run"), "pass@1"),
    }
)
"""The first metric of every built-in task."""
_ANY_TASK = (
    "acc", "exact_match", "pass@1", "chrf", "rougeLsum", "f1", "bits_per_byte", "bits", "acc_norm",
    "log_likelihood",
)  # fmt: skip
"""Of another task: the first of these that it has."""


def first_metric(task: str, present: Collection[str]) -> str | None:
    """The metric that stands for a task, without its filter; None where no known one is there.

    >>> first_metric("next_sentence@1", {"acc", "acc_norm"}), first_metric("mine", {"acc"})
    ('acc_norm', 'acc')

    Args:
        task: its name, with or without ``@version``.
        present: metrics that it has, with or without a filter.
    """
    names = {base_name(metric) for metric in present}
    order = (FIRST_METRICS.get(task.partition("@")[0], ""), *_ANY_TASK)
    return next((name for name in order if name in names), None)
