"""What the trials of a study say: facets, verdicts, adaptation, tax; and as plain values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from polylect.people.crowd import Crowd
from polylect.people.description import Description, Figure, describe
from polylect.people.facets import (
    ALL_PAIRS,
    Curves,
    Facet,
    Ranked,
    measure_facets,
    overtakes,
    pair_slices,
    pairs_needed,
)
from polylect.people.splits import SPLIT_KINDS
from polylect.people.study import REFERENCE, StudyConfig, Trials
from polylect.people.tax import Tax, measure_tax
from polylect.people.trials import NUMBERS
from polylect.people.verdicts import OPEN, Verdict, method_verdicts
from polylect.stats import rank_correlation

FULL_SHARE = 0.95
"""Of the individual model's accuracy with all pairs, that an adapted model is to reach."""


@dataclass(frozen=True)
class Study:
    """Whom each method serves, and what it costs.

    Attributes:
        kind: of the split.
        num_seeds: divisions.
        crowd: the preferences.
        description: of the crowd.
        ranked: every held-out pair of every division.
        facets: performance and fairness of every method.
        against: verdicts on every method against the pooled one.
        pairs: verdicts on every two methods.
        curves: adaptation of users left out.
        taxes: of every method and group; empty without a general set.
        user_tax: of each user on all groups, against the pooled model; NaN for users without a
            model [methods, users].
        is_base_given: whether a fitted model is the base.
    """

    kind: str
    num_seeds: int
    crowd: Crowd
    description: Description
    ranked: Ranked
    facets: tuple[Facet, ...]
    against: tuple[Verdict, ...]
    pairs: tuple[Verdict, ...]
    curves: Curves
    taxes: tuple[Tax, ...]
    user_tax: np.ndarray
    is_base_given: bool

    @property
    def methods(self) -> tuple[str, ...]:
        """Names; the first is the pooled one."""
        return self.ranked.methods

    @property
    def label(self) -> str:
        """Of the split; says whether it leaks."""
        return SPLIT_KINDS[self.kind]

    def figure(self, method: str, name: str) -> Figure:
        """A figure of a method; see ``measure_facets`` for the names."""
        return next(row.figure for row in self.facets
                    if row.method == method and row.figure.name == name)  # fmt: skip

    def ordered(self) -> list[str]:
        """The methods by macro accuracy, best first."""
        value = {method: self.figure(method, "macro").value or 0.0 for method in self.methods}
        return sorted(self.methods, key=lambda method: (-value[method], method))

    def spread(self) -> tuple[Verdict, float]:
        """The verdict on the best against the worst method, and by how much they differ."""
        best, worst = self.ordered()[0], self.ordered()[-1]
        verdict = next((pair for pair in self.pairs if {pair.first, pair.second} == {best, worst}),
                       Verdict(worst, best, 0.0, None, None, 1.0, OPEN, "these users"))  # fmt: skip
        return verdict, abs(verdict.difference)

    def needed(self, method: str) -> int | None:
        """Pairs of a new user until 95 % of the individual model's accuracy with all pairs.

        Of the method's own, where ``individual`` is not in the study; None if not reached.
        """
        means = dict(zip(self.methods, self.curves.means(), strict=True))
        full = means.get("individual", means[method])[-1]
        return pairs_needed(self.curves.numbers, means[method], FULL_SHARE * full)

    def crossing(self) -> int | None:
        """Pairs from which on the individual model is better than the pooled one."""
        if "individual" not in self.methods:
            return None
        means = dict(zip(self.methods, self.curves.means(), strict=True))
        return overtakes(self.curves.numbers, means["individual"], means[REFERENCE])

    def room_correlations(self) -> dict[str, Any]:
        """Of each method, over users: gain over the pooled model against the user's own room."""
        room = self.description.consistency.value - self.description.agreement
        accuracy = self.ranked.accuracy()
        gain = (accuracy - accuracy[0]).tolist()
        return {method: asdict(rank_correlation(gain[i], room.tolist()))
                for i, method in enumerate(self.methods) if i}  # fmt: skip


def study_of(trials: Trials, config: StudyConfig, num_resamples: int = 200) -> Study:
    """The study of all trials.

    Args:
        trials: by method and division.
        config: of the study.
        num_resamples: of the users, for intervals.
    """
    crowd, methods = trials.crowd, tuple(trials.trials)
    first = trials.trials[methods[0]]
    ranked = Ranked(
        methods, crowd.users, crowd.user[np.concatenate([trial.pair for trial in first])],
        np.repeat(np.arange(len(first)), [len(trial.pair) for trial in first]),
        np.concatenate([trial.pair for trial in first]),
        np.stack([np.concatenate([trial.right for trial in row])
                  for row in trials.trials.values()]),
    )  # fmt: skip
    curves = Curves(
        methods, NUMBERS, np.concatenate([trial.user for trial in first]),
        np.repeat(np.arange(len(first)), [len(trial.user) for trial in first]),
        np.concatenate([trial.available for trial in first]),
        np.stack([_with_all([trial.accuracy for trial in row]) for row in trials.trials.values()]),
    )  # fmt: skip
    description = describe(crowd, config.seed, num_resamples, lambda _: trials.seen)
    rows = measure_facets(ranked, description.is_minority, description.is_decided,
                          pair_slices(crowd), reference=REFERENCE, seed=config.seed,
                          num_resamples=num_resamples)  # fmt: skip
    taxes, user_tax = _taxes(trials, config.seed, num_resamples)
    # By user, what is held out of the training is a share of the users.
    share = config.left_out_share if config.kind == "user" else config.test_share
    return Study(
        config.kind, config.seeds, crowd, description, ranked, tuple(rows),
        tuple(method_verdicts(ranked, share, REFERENCE)), tuple(method_verdicts(ranked, share)),
        curves, tuple(taxes), user_tax, trials.is_base_given,
    )  # fmt: skip


def _taxes(trials: Trials, seed: int, num_resamples: int) -> tuple[list[Tax], np.ndarray]:
    """Taxes by method, group and reference; and of each user on all pairs [methods, users]."""
    general = trials.general
    shape = (len(trials.trials), len(trials.crowd.users))
    if general is None:
        return [], np.full(shape, np.nan)
    masks = {"all": None, **{name: general.mask(group=name) for name in general.groups}}
    masks |= {f"{how} (RM-Bench)": general.mask(style=how) for how in ("hard", "normal", "easy")
              if how in general.style}  # fmt: skip
    if len(general.groups) == 1:
        masks.pop("all")
    names = ["all", *general.groups]
    rows: list[Tax] = []
    accuracy = {(method, name): _mean_of_divisions(
                    [general.accuracy(trial.general, mask) for trial in trials.trials[method]])
                for method in trials.trials for name, mask in masks.items()}  # fmt: skip
    for (method, name), values in accuracy.items():
        base = np.full(shape[1], float(general.accuracy(trials.base, masks[name])))
        for against, reference in ((REFERENCE, accuracy[REFERENCE, name]), ("base", base)):
            if method == against:
                continue
            tax = measure_tax(method, name, against, values, reference, seed, num_resamples)
            rows += [tax] if tax is not None else []
    name = next(name for name in names if name in masks)
    user_tax = np.stack([accuracy[REFERENCE, name] - accuracy[method, name]
                         for method in trials.trials])  # fmt: skip
    return rows, user_tax


def _with_all(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Accuracies of users left out; fewer pairs than a number are all that a user has."""
    table = np.concatenate(parts)
    return np.where(np.isnan(table), table[:, -1:], table).T


def _mean_of_divisions(values: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over the divisions in which a user has a model, NaN without any [users]."""
    table = np.stack(values)
    num = np.isfinite(table).sum(axis=0)
    return np.where(num > 0, np.nansum(table, axis=0) / np.maximum(num, 1), np.nan)


def study_json(
    study: Study, names: Sequence[str], min_group: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """A study as plain values; a group of fewer than ``min_group`` users is not in it.

    Args:
        study: of a crowd.
        names: what each user is called: a number, or a name.
        min_group: the least number of users that are shown as a group.
        settings: of the study.
    """
    hidden = hidden_figures(study.description, min_group)
    accuracy, num = study.ranked.accuracy(), study.ranked.num_pairs()
    few = min(min_group, int((num > 0).sum()))
    verdict, spread = study.spread()
    room = study.description.figure("room for personalization")
    means = study.curves.means()
    value = {
        "split": study.kind, "split_label": study.label, "leaks": study.kind == "pair",
        "seeds": study.num_seeds, "reference": REFERENCE, "settings": dict(settings),
        "users": len(names), "preferences": study.crowd.num_pairs,
        "data": [asdict(figure) for figure in study.description.figures
                 if figure.name not in hidden
                 and not (figure.of == "users" and 0 < figure.num < few)],
        "consistency_measure": study.description.consistency.measure,
        "methods": study.ordered(),
        "facets": [
            _facet(row) for row in study.facets
            if row.figure.name not in hidden | few_figures(study, min_group)
        ],
        "served": [
            {"user": names[i], "pairs": int(num[i]),
             "minority": bool(study.description.is_minority[i]) if not hidden else None,
             "accuracy": dict(zip(study.methods, accuracy[:, i].tolist(), strict=True))}
            for i in np.flatnonzero(num > 0).tolist()
        ],
        "against_pooled": [asdict(row) for row in study.against],
        "every_two": [asdict(row) for row in study.pairs],
        "spread": {"best": study.ordered()[0], "worst": study.ordered()[-1], "difference": spread,
                   "verdict": verdict.verdict, "p": verdict.p, "room": room.value,
                   "gain_against_room": study.room_correlations()},
        "adaptation": {
            "pairs": [_pairs(num) for num in study.curves.numbers],
            "users": study.curves.num_users(),
            "accuracy": dict(zip(study.methods, means.tolist(), strict=True)),
            "needed_for_95_percent": {method: _pairs(study.needed(method))
                                      for method in study.methods},
            "individual_overtakes_pooled": _pairs(study.crossing()),
        },
        "tax": [asdict(row) for row in study.taxes],
        "base": "a fitted model" if study.is_base_given else "nothing learned: every pair a tie",
    }  # fmt: skip
    return _finite(value)


def hidden_figures(description: Description, min_group: int) -> set[str]:
    """Figures of a group of fewer users than are shown: the minority's, and what tells it."""
    num = int(description.is_minority.sum())
    if not 0 < num < min_group:
        return set()
    return {"minority", "majority", "protection ratio", "minority users"}


def few_figures(study: Study, min_group: int) -> set[str]:
    """Facets that are means over fewer users than are shown; the crowd as a whole is no group."""
    few = min(min_group, int((study.ranked.num_pairs() > 0).sum()))
    return {
        row.figure.name for row in study.facets
        if row.figure.of == "users" and 0 < row.figure.num < few
    }  # fmt: skip


def _pairs(num: int | None) -> int | str | None:
    return "all" if num == ALL_PAIRS else num


def _facet(row: Facet) -> dict[str, Any]:
    change = row.change
    return {
        "method": row.method, "facet": row.facet, **asdict(row.figure),
        "change": change.value if change else None,
        "change_lower": change.lower if change else None,
        "change_upper": change.upper if change else None,
    }  # fmt: skip


def _finite(value: Any) -> Any:
    """Plain values without numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
