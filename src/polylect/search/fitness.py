"""From a candidate's scores to its aspects (higher is better), and to one fitness."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polylect.base import InputError, check_known, did_you_mean
from polylect.search.archive import Entry, Score
from polylect.search.config import AspectsConfig, FitnessConfig

WORST = -1e30  # a candidate with a score that is missing or not finite
_BROKEN_BOUND = -1e12  # below every fitness that a metric gives, above WORST

Aspects = Mapping[str, float]
"""Values by aspect, higher is better; NaN where a score is missing."""


def aspects_of(scores: Sequence[Score], config: AspectsConfig) -> dict[str, float]:
    """The aspects of a candidate: means of its scores, negated where lower is better.

    Within an aspect, the scores of each task (or language) are averaged first, then those means;
    each counts the same, whatever its number of items.

    Raises:
        InputError: an unknown metric, task or language, or two metrics of one task.
    """
    used = _used(scores, config)
    by_label: dict[str, list[float]] = {}
    for score in used:
        sign = -1.0 if score.metric in config.lower else 1.0
        value = math.nan if score.value is None else sign * score.value
        by_label.setdefault(getattr(score, config.by), []).append(value)
    means = {label: sum(values) / len(values) for label, values in by_label.items()}
    return {
        name: sum(means[label] for label in labels) / len(labels)
        for name, labels in _groups(used, config).items()
    }


@dataclass(frozen=True)
class Fitness:
    """One number for a candidate; higher is better.

    Attributes:
        aspects: how scores are averaged into aspects.
        config: how aspects are combined.
        bounds: least value by aspect, with the sign of the aspects.
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
        """The fitness for a pool, after checking the names in the configuration.

        Args:
            aspects: how scores are averaged into aspects.
            config: how aspects are combined.
            singles: the single checkpoints, evaluated.

        Raises:
            InputError: an unknown aspect, task, language or metric; a bound on an aspect that mixes
                metrics.
        """
        values = [aspects_of(entry.scores, aspects) for entry in singles]
        signs = signs_of(singles[0].scores, aspects)
        for name in [*config.weights, *config.bounds, *filter(None, [config.maximize])]:
            check_known(name, signs, f"fitness: no aspect {name!r}", "there are")
        for name in config.bounds:
            if not signs[name]:
                raise InputError(
                    f"fitness: aspect {name!r} mixes metrics where more and where less is better",
                    "bound one of them",
                )
        bounds = {name: signs[name] * value for name, value in config.bounds.items()}
        ranges = {}
        for name in signs if config.scale else ():
            column = [row[name] for row in values if math.isfinite(row[name])]
            # An aspect in which all are equal has no range: it is not scaled.
            if column and max(column) > min(column):
                ranges[name] = (min(column), max(column))
        return cls(aspects, config, bounds, ranges)

    def __call__(self, scores: Sequence[Score]) -> float:
        """The fitness of a candidate's scores."""
        return self.of_aspects(aspects_of(scores, self.aspects))

    def of_aspects(self, values: Aspects) -> float:
        """The fitness of aspects, e.g. of those that a surrogate predicts."""
        if not all(map(math.isfinite, values.values())):
            return WORST
        scaled = {name: self._scaled(name, value) for name, value in values.items()}
        kind, config = self.config.kind, self.config
        if kind == "min":
            return min(scaled.values())
        if kind == "weighted":
            total = math.fsum(map(abs, config.weights.values()))
            return math.fsum(w * scaled[name] for name, w in config.weights.items()) / total
        mean = math.fsum(scaled.values()) / len(scaled)
        if kind == "mean":
            return mean
        # Deb's rule: feasible candidates beat infeasible ones, of which the nearest is best.
        violation = math.fsum(max(0.0, low - values[name]) for name, low in self.bounds.items())
        if violation > 0:
            return _BROKEN_BOUND * (1 + violation)
        return scaled[config.maximize] if config.maximize else mean

    def _scaled(self, name: str, value: float) -> float:
        if name not in self.ranges:
            return value
        low, high = self.ranges[name]
        return (value - low) / (high - low)


def best_entry(entries: Sequence[Entry], fitness: Fitness) -> Entry:
    """The fittest candidate; of equals the first."""
    return max(entries, key=lambda entry: (fitness(entry.scores), -entry.number))


def best_so_far(entries: Sequence[Entry], fitness: Fitness) -> list[tuple[int, float]]:
    """Number of evaluations and best fitness so far, at every candidate that improved it."""
    curve: list[tuple[int, float]] = []
    for entry in entries:
        value = fitness(entry.scores)
        if not curve or value > curve[-1][1]:
            curve.append((entry.number + 1, value))
    return curve


def signs_of(scores: Sequence[Score], config: AspectsConfig) -> dict[str, int]:
    """1 for an aspect of metrics where higher is better, -1 where lower is, 0 for a mixture."""
    used = _used(scores, config)
    aspects = {}
    for name, labels in _groups(used, config).items():
        metrics = {score.metric for score in used if getattr(score, config.by) in labels}
        signs = {-1 if metric in config.lower else 1 for metric in metrics}
        aspects[name] = signs.pop() if len(signs) == 1 else 0
    return aspects


def _used(scores: Sequence[Score], config: AspectsConfig) -> list[Score]:
    """The scores that count: one metric of each task in each language."""
    for task, metric in config.metrics.items():
        present = sorted({score.metric for score in scores if score.task == task})
        if metric not in present:
            hint = did_you_mean(metric, present) or f"it has {', '.join(present) or 'no scores'}"
            raise InputError(f"task {task!r} has no metric {metric!r}", hint)
    used = [s for s in scores if s.metric == config.metrics.get(s.task, s.metric)]
    seen: set[tuple[str, str]] = set()
    for score in used:
        if (score.task, score.language) in seen:
            metrics = sorted({other.metric for other in used if other.task == score.task})
            raise InputError(
                f"task {score.task!r} has the metrics {', '.join(metrics)}", "choose one of them"
            )
        seen.add((score.task, score.language))
    return used


def _groups(used: Sequence[Score], config: AspectsConfig) -> dict[str, tuple[str, ...]]:
    """Tasks or languages of every aspect."""
    labels = list(dict.fromkeys(getattr(score, config.by) for score in used))
    for name, members in config.groups.items():
        for member in members:
            check_known(member, labels, f"aspect {name}: no {config.by} {member!r}", "there are")
    return dict(config.groups) or {label: (label,) for label in labels}
