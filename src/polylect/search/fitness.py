"""From a candidate's scores to its aspects (higher is better), and to one number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polylect.base import InputError, did_you_mean
from polylect.search.archive import Entry, Score
from polylect.search.config import AspectsConfig, FitnessConfig

WORST = -1e30
"""The fitness of a candidate that has a score which is missing or not finite."""

_BROKEN_BOUND = -1e12  # below every fitness that a metric has, above WORST

Aspects = Mapping[str, float]
"""Values by aspect, of which more is better; NaN where a score is missing."""


def aspects_of(scores: Sequence[Score], config: AspectsConfig) -> dict[str, float]:
    """The aspects of a candidate: means of its scores, turned so that more is better.

    Within an aspect, first a task's or a language's scores are averaged, then those of the group;
    each counts alike, whatever its number of items.

    Raises:
        InputError: a metric, a task or a language that is not there, or two metrics of one task.
    """
    return {name: sum(values) / len(values) for name, values in _parts(scores, config).items()}


def signs_of(scores: Sequence[Score], config: AspectsConfig) -> dict[str, int]:
    """1 for an aspect of metrics where more is better, -1 where less is, 0 for a mixture.

    Raises:
        InputError: see ``aspects_of``.
    """
    used, found = _used(scores, config), {}
    for name, members in _members(used, config).items():
        signs = {-1 if one.metric in config.lower else 1 for one in used
                 if getattr(one, config.by) in members}  # fmt: skip
        found[name] = signs.pop() if len(signs) == 1 else 0
    return found


@dataclass(frozen=True)
class Fitness:
    """One number of a candidate; more is better.

    Attributes:
        aspects: how its scores are put together.
        config: how the aspects are.
        bounds: least values by aspect, turned as the aspects are.
        ranges: worst and best single checkpoint by aspect; empty where nothing is scaled.
    """

    aspects: AspectsConfig
    config: FitnessConfig
    bounds: Mapping[str, float] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, aspects: AspectsConfig, config: FitnessConfig, singles: Sequence[Entry]
    ) -> "Fitness":
        """The fitness for a pool, after the names in the configuration were held against it.

        Args:
            aspects: how scores are put together.
            config: how aspects are.
            singles: the single checkpoints, evaluated.

        Raises:
            InputError: an unknown aspect, task, language or metric; a bound on an aspect that mixes
                metrics.
        """
        values = [aspects_of(one.scores, aspects) for one in singles]
        signs = signs_of(singles[0].scores, aspects)
        named = [*config.weights, *config.bounds, *([config.maximize] if config.maximize else [])]
        for name in named:
            if name not in signs:
                hint = did_you_mean(name, list(signs)) or f"there are {', '.join(signs)}"
                raise InputError(f"fitness: no aspect {name!r}", hint)
        for name in config.bounds:
            if not signs[name]:
                raise InputError(
                    f"fitness: aspect {name!r} mixes metrics where more and where less is better",
                    "bound one of them",
                )
        bounds = {name: signs[name] * value for name, value in config.bounds.items()}
        ranges = {}
        for name in signs if config.scale else ():
            column = [one[name] for one in values if math.isfinite(one[name])]
            # An aspect in which all are equal has no range: it stays as it is.
            if column and max(column) > min(column):
                ranges[name] = (min(column), max(column))
        return cls(aspects, config, bounds, ranges)

    def __call__(self, scores: Sequence[Score]) -> float:
        """The fitness of a candidate's scores."""
        return self.of_aspects(aspects_of(scores, self.aspects))

    def of_aspects(self, values: Aspects) -> float:
        """The fitness of aspects, such as a model of the scores predicts them."""
        if not all(map(math.isfinite, values.values())):
            return WORST
        scaled = {name: self._scaled(name, value) for name, value in values.items()}
        kind, config = self.config.kind, self.config
        if kind == "min":
            return min(scaled.values())
        if kind == "weighted":
            whole = math.fsum(map(abs, config.weights.values()))
            return math.fsum(w * scaled[name] for name, w in config.weights.items()) / whole
        mean = math.fsum(scaled.values()) / len(scaled)
        if kind == "mean":
            return mean
        # Deb's rule: what keeps the bounds beats what does not; of those, the nearest is best.
        short = math.fsum(max(0.0, low - values[name]) for name, low in self.bounds.items())
        if short > 0:
            return _BROKEN_BOUND * (1 + short)
        return scaled[config.maximize] if config.maximize else mean

    def keeps_bounds(self, values: Aspects) -> bool:
        """Whether no aspect is below its bound."""
        return all(values[name] >= low for name, low in self.bounds.items())

    def _scaled(self, name: str, value: float) -> float:
        if name not in self.ranges:
            return value
        low, high = self.ranges[name]
        return (value - low) / (high - low)


def _used(scores: Sequence[Score], config: AspectsConfig) -> list[Score]:
    """The scores that count."""
    for task, metric in config.metrics.items():
        present = sorted({one.metric for one in scores if one.task == task})
        if metric not in present:
            hint = did_you_mean(metric, present) or f"it has {', '.join(present) or 'no scores'}"
            raise InputError(f"task {task!r} has no metric {metric!r}", hint)
    used = [one for one in scores if one.metric == config.metrics.get(one.task, one.metric)]
    seen: set[tuple[str, str]] = set()
    for one in used:
        if (one.task, one.language) in seen:
            metrics = sorted({other.metric for other in used if other.task == one.task})
            raise InputError(
                f"task {one.task!r} has the metrics {', '.join(metrics)}", "choose one of them"
            )
        seen.add((one.task, one.language))
    return used


def _members(used: Sequence[Score], config: AspectsConfig) -> dict[str, tuple[str, ...]]:
    """Tasks or languages of every aspect."""
    labels = list(dict.fromkeys(getattr(one, config.by) for one in used))
    for name, members in config.groups.items():
        for member in members:
            if member not in labels:
                hint = did_you_mean(member, labels) or f"there are {', '.join(labels)}"
                raise InputError(f"aspect {name}: no {config.by} {member!r}", hint)
    return dict(config.groups) or {label: (label,) for label in labels}


def _parts(scores: Sequence[Score], config: AspectsConfig) -> dict[str, list[float]]:
    """The values that each aspect is the mean of."""
    used = _used(scores, config)
    cells: dict[str, list[float]] = {}
    for one in used:
        sign = -1.0 if one.metric in config.lower else 1.0
        value = math.nan if one.value is None else sign * one.value
        cells.setdefault(getattr(one, config.by), []).append(value)
    means = {label: sum(values) / len(values) for label, values in cells.items()}
    return {
        name: [means[one] for one in members] for name, members in _members(used, config).items()
    }
