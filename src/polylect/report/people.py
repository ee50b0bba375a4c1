"""The page of a study of people: whom each method serves, and what it costs whom.

Users are dots, called by number unless their names are asked for; a group that is too small is not
there.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polylect.base import Ledger
from polylect.people import (
    ALL_PAIRS,
    Facet,
    Figure,
    Study,
    Tax,
    Verdict,
    few_figures,
    hidden_figures,
)
from polylect.report.charts import Dot, Point, curves, dot_plot, legend, scatter
from polylect.report.crowd import figure_text
from polylect.report.formats import (
    DASH,
    ledger_section,
    minus,
    percent,
    sentence_list,
    signed,
    signed_interval,
)
from polylect.report.page import Html, join, section, table, table_section, tag, write_page

_WORST = 20
_MOST_SERIES = 8
_FEW_SERIES = 4
_WORDS = {"better": "better", "worse": "worse", "not separable": "level"}
_FACETS = (
    ("micro", "all pairs"), ("consensus", "all agree"), ("divergent", "divergent"),
    ("highly divergent", "highly divergent"), ("with the majority", "with the majority"),
    ("against the majority", "against the majority"),
)  # fmt: skip
_FAIR = (
    ("worst user", "worst user"), ("worst tenth", "worst tenth"), ("gap", "gap"), ("sd", "sd"),
    ("gini", "Gini"), ("minority", "minority"), ("majority", "majority"),
    ("protection ratio", "protection ratio"),
)  # fmt: skip


def write_people_page(
    path: Path, study: Study, ledger: Ledger, names: Sequence[str], min_group: int
) -> None:
    """Write the page; the file appears complete or not at all.

    Args:
        path: the HTML file.
        study: what is shown.
        ledger: what was left out.
        names: what each user is called on the page: a number, or a name.
        min_group: the least number of users that are shown as a group.
    """
    hidden = hidden_figures(study.description, min_group)
    few = few_figures(study, min_group)
    order = study.ordered()
    words = (
        f"{len(order)} ways to learn from {int((study.ranked.num_pairs() > 0).sum()):,} users,"
        f" {study.crowd.num_pairs:,} preferences between {len(study.crowd.texts):,} texts; means"
        f" of {study.num_seeds} divisions. Split {study.label}."
    )
    warning = tag("p", "These results leak: the methods learned from the texts that they are asked"
                  " about. Never quote them alone.", class_="alert")  # fmt: skip
    top = [tag("p", words, class_="lead"), *([warning] if study.kind == "pair" else []),
           sentence_list(study_sentences(study))]  # fmt: skip
    parts = [
        _strip(study, order, names, is_minority_shown=not hidden),
        _methods(study, order),
        _worst_off(study, order, names),
        _best_for(study, min_group),
        _facet_table(study, order, "Performance by agreement", _FACETS, hidden | few,
                     "Means over users who have such pairs: pairs that all agree on, on which some"
                     " differ, on which more than 30 % differ; pairs on which the user is with the"
                     " majority of the others, or against it."),
        _facet_table(study, order, "Fairness", _FAIR, hidden | few,
                     "Of the users' accuracies. The worst of noisy accuracies is worse than the"
                     " worst user. Protection ratio: what the minority has above chance over what"
                     " the majority has."),
        _tax(study, order, names),
        _adaptation(study, order),
        _data(study, min_group),
        ledger_section(ledger.rows()),
    ]  # fmt: skip
    write_page(path, "Whom each method serves", join(top), parts)


def study_sentences(study: Study) -> list[str]:
    """What was found, in sentences."""
    best = study.ordered()[0]
    verdict, spread = study.spread()
    room = study.description.figure("room for personalization").value
    said = f"{100 * room:.1f} points" if room is not None else "not measured"
    sentences = [
        f"Best and worst method ({verdict_names(study)}) are {100 * spread:.1f} points apart:"
        f" {_separable(verdict)}. Measured room for personalization: {said}."
    ]
    rows = {row.second: row for row in study.against}
    if best in rows:
        row = rows[best]
        sentences.append(
            f"{best} serves users {100 * row.difference:+.1f} points better than one model for all:"
            f" {_separable(row)}."
        )
    better = [name for name, row in rows.items() if row.verdict == "better"]
    worse = [name for name, row in rows.items() if row.verdict == "worse"]
    if rows:
        sentences.append(
            f"Better than pooled: {', '.join(better) or 'none'}; worse:"
            f" {', '.join(worse) or 'none'}; the other"
            f" {len(rows) - len(better) - len(worse)} cannot be told from it."
        )
    worst = study.figure("pooled", "worst user").value
    if worst is not None:
        kept = max(study.methods, key=lambda name: study.figure(name, "worst user").value or 0.0)
        sentences.append(
            f"The worst-served user has {worst:.1%} with pooled, and {_worst(study, kept):.1%}"
            f" with {kept}."
        )
    crossing = study.crossing()
    if "individual" in study.methods and len(study.curves.user):
        when = "never" if crossing is None else f"at {_pairs(crossing)} pairs"
        sentences.append(f"A model of a new user alone overtakes the pooled one: {when}.")
    taxes = [tax for tax in study.taxes if tax.against == "pooled" and tax.group == "safety"]
    if taxes:
        most = max(taxes, key=lambda tax: tax.mean)
        sentences.append(
            f"Safety pays most with {most.method}: {100 * most.mean:+.1f} points below pooled on"
            f" average, {100 * most.worst:+.1f} for the worst user."
        )
    return sentences


def verdict_names(study: Study) -> str:
    """Best and worst method."""
    order = study.ordered()
    return f"{order[0]} and {order[-1]}"


def _worst(study: Study, method: str) -> float:
    return study.figure(method, "worst user").value or 0.0


def _separable(verdict: Verdict) -> str:
    """A verdict in words, with its p-value and what it holds for."""
    if verdict.verdict == "not separable":
        return "not separable"
    return f"separable for {verdict.holds_for} (Holm's p {verdict.p:.3f})"


def _strip(
    study: Study, order: Sequence[str], names: Sequence[str], *, is_minority_shown: bool
) -> Html:
    """A row per method, each user a dot."""
    accuracy = study.ranked.accuracy()
    minority = study.description.is_minority & is_minority_shown
    rows = []
    for method in order:
        values = accuracy[study.methods.index(method)]
        users = np.flatnonzero(np.isfinite(values))
        users = users[np.argsort(values[users], kind="stable")]
        dots = []
        for place, user in enumerate(users.tolist()):
            value = 100 * float(values[user])
            title = f"user {names[user]}, {method}: {value:.1f} %"
            dots.append((place, Dot(value, value, value, int(minority[user]), title)))
        # Every third beside the line, so that near dots do not hide each other.
        dots.sort(key=lambda item: (item[0] * 7 % 5, item[0]))
        rows.append((method, [dot for _, dot in dots]))
    has_minority = bool(minority.any())
    parts = [legend(["others", "minority users"])] if has_minority else []
    note = ("Each dot is a user: the share of held-out pairs that the method ranks as the user"
            " does. Best method first.")  # fmt: skip
    chart = dot_plot(rows, "right of the user's pairs, %", ends=("worst served", "best served"),
                     line=34, gap=16)  # fmt: skip
    return section("Who is served", *parts, chart, note=note)


def _methods(study: Study, order: Sequence[str]) -> Html:
    verdicts = {row.second: row for row in study.against}
    rows = []
    for method in order:
        facet = next(row for row in study.facets
                     if row.method == method and row.figure.name == "macro")  # fmt: skip
        verdict = verdicts.get(method)
        rows.append([
            method, percent(facet.figure.value), _bounds(facet.figure), *_change(facet),
            tag("span", verdict.verdict, class_=_WORDS[verdict.verdict]) if verdict else DASH,
            _p(verdict.p_users) if verdict else DASH, _p(verdict.p_splits) if verdict else DASH,
            _p(verdict.p) if verdict else DASH,
        ])  # fmt: skip
    head = ["method", "accuracy", "95 %", "points to pooled", "95 % of that", "than pooled",
            "p, users", "p, divisions", "p, Holm"]  # fmt: skip
    holds = study.against[0].holds_for if study.against else "these users"
    note = (
        f"Mean over users. A verdict holds for {holds}: both tests must say so, over users"
        " (Student's t, from six users on) and over divisions (corrected for the training data that"
        " they share: Nadeau and Bengio 2003), after Holm's correction for all methods."
    )
    return section("Methods", table(head, rows, numbers=(1, 2, 3, 4, 6, 7, 8)), note=note)


def _p(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _bounds(figure: Figure) -> str:
    if figure.lower is None or figure.upper is None:
        return DASH
    return minus(f"{figure.lower:.1%} to {figure.upper:.1%}")


def _change(facet: Facet) -> tuple[str, str]:
    change = facet.change
    if change is None or change.value is None:
        return DASH, DASH
    if change.lower is None or change.upper is None:
        return signed(100 * change.value, 1), DASH
    return signed(100 * change.value, 1), signed_interval(100 * change.lower, 100 * change.upper, 1)


def _worst_off(study: Study, order: Sequence[str], names: Sequence[str]) -> Html:
    """The users whom the pooled model serves worst, with a few methods each."""
    accuracy = study.ranked.accuracy()
    there = np.flatnonzero(np.isfinite(accuracy[0]))
    worst = there[np.argsort(accuracy[0][there], kind="stable")][:_WORST].tolist()
    shown = list(dict.fromkeys(["pooled", *order[:1], *[name for name in ("individual", "shrinkage")
                                                        if name in order]]))  # fmt: skip
    at = [study.methods.index(method) for method in shown]
    rows = [
        (f"user {names[user]}",
         [Dot(value, value, value, series, f"user {names[user]}, {method}: {value:.1f} %")
          for series, method in enumerate(shown)
          for value in [100 * float(accuracy[at[series], user])]])
        for user in worst
    ]  # fmt: skip
    num = study.ranked.num_pairs()
    cells = [
        [f"user {names[user]}", f"{num[user]:,}", percent(float(accuracy[0, user])),
         *_best_method(study, accuracy[:, user])]
        for user in worst
    ]  # fmt: skip
    head = ["", "held-out pairs", "pooled", "best method", "with it"]
    note = (f"The {len(worst)} users whom one model for all serves worst, and what other methods do"
            " for them. The best of many methods is best by chance, too.")  # fmt: skip
    return section(
        "Worst-off users", legend(shown), dot_plot(rows, "right of the user's pairs, %"),
        table(head, cells, numbers=(1, 2, 4)), note=note,
    )  # fmt: skip


def _best_method(study: Study, values: np.ndarray) -> tuple[str, str]:
    at = int(np.nanargmax(values))
    return study.methods[at], percent(float(values[at]))


def _best_for(study: Study, min_group: int) -> Html:
    """How many users each method serves best."""
    accuracy = study.ranked.accuracy()
    there = np.flatnonzero(np.isfinite(accuracy[0])).tolist()
    count = Counter(_best_method(study, accuracy[:, user])[0] for user in there)
    rows = [[method, f"{num:,}"] for method, num in count.most_common() if num >= min_group]
    is_hidden = any(num < min_group for num in count.values())
    note = f"Methods with fewer than {min_group} users are not shown." if is_hidden else ""
    return table_section("Users whom a method serves best", ["method", "users"], rows,
                         numbers=(1,), note=note)  # fmt: skip


def _facet_table(
    study: Study,
    order: Sequence[str],
    title: str,
    columns: Sequence[tuple[str, str]],
    hidden: set[str],
    note: str,
) -> Html:
    shown = [(name, head) for name, head in columns if name not in hidden
             and any(study.figure(method, name).value is not None for method in order)]  # fmt: skip
    rows = []
    for method in order:
        cells: list[object] = [method]
        for name, _ in shown:
            figure = study.figure(method, name)
            value = DASH if figure.value is None else minus(
                f"{figure.value:.1%}" if figure.is_share and name != "gini"
                else f"{figure.value:.3f}"
            )  # fmt: skip
            small = tag("small", f"({_bounds(figure)})") if _has_bounds(figure, name) else ""
            cells.append(tag("span", value, " ", small) if small else value)
        rows.append(cells)
    head = ["method", *[head for _, head in shown]]
    return table_section(title, head, rows, numbers=range(1, len(head)), note=note)


def _has_bounds(figure: Figure, name: str) -> bool:
    return figure.lower is not None and figure.is_share and name != "gini"


def _tax(study: Study, order: Sequence[str], names: Sequence[str]) -> Html:
    """Tax against gain, each user a dot; the tax by method and group."""
    if not study.taxes:
        return Html("")
    accuracy = study.ranked.accuracy()
    shown = [method for method in order if method != "pooled"][:_FEW_SERIES]
    points = [
        Point(100 * float(gain), 100 * float(cost), series,
              f"user {names[user]}, {method}: gain {100 * gain:+.1f}, tax {100 * cost:+.1f}")
        for series, method in enumerate(shown)
        for user, (gain, cost) in enumerate(zip(
            accuracy[study.methods.index(method)] - accuracy[0],
            study.user_tax[study.methods.index(method)], strict=True))
        if np.isfinite(gain + cost)
    ]  # fmt: skip
    chart = scatter(points, shown, "gain over pooled on the user's held-out pairs, points",
                    "tax against pooled on the general set, points") if points else ""  # fmt: skip
    by = {(tax.method, tax.group, tax.against): tax for tax in study.taxes}
    groups = list(dict.fromkeys(tax.group for tax in study.taxes))
    rows = [
        [method, group, *_tax_cells(by.get((method, group, "pooled"))),
         *_tax_cells(by.get((method, group, "base")))]
        for group in groups for method in order
    ]  # fmt: skip
    head = ["method", "pairs", "against pooled", "worst user", "against the base", "worst user"]
    base = (
        "a fitted model" if study.is_base_given
        else "nothing learned, so that every pair is a tie (50 %)"
    )  # fmt: skip
    note = (f"Points of accuracy on general pairs that a user's model loses; above 0 it costs. The"
            f" base: {base}.")  # fmt: skip
    return section("Tax against gain", chart, table(head, rows, numbers=(2, 3, 4, 5)), note=note)


def _tax_cells(tax: Tax | None) -> tuple[object, object]:
    if tax is None:
        return DASH, DASH
    value = signed(100 * tax.mean, 1)
    worst = signed(100 * tax.worst, 1)
    if tax.lower is None or tax.upper is None:
        return value, worst
    bounds = signed_interval(100 * tax.lower, 100 * tax.upper, 1)
    return tag("span", value, " ", tag("small", bounds)), worst


def _adaptation(study: Study, order: Sequence[str]) -> Html:
    """Accuracy of users left out, by how many of their pairs are learned from."""
    if not len(study.curves.user):
        return Html("")
    means = dict(zip(study.methods, 100 * study.curves.means(), strict=True))
    numbers = study.curves.numbers
    lines = {
        method: [(float(num), float(value)) for num, value in zip(numbers, means[method],
                                                                  strict=True)
                 if num != ALL_PAIRS and np.isfinite(value)]
        for method in order[:_MOST_SERIES]
    }  # fmt: skip
    chart = curves(lines, "pairs of the new user", "right of the user's held-out pairs, %")
    num_users = study.curves.num_users()
    head = [
        "method",
        *[
            f"{_pairs(num)} ({users:,} users)"
            for num, users in zip(numbers, num_users, strict=True)
        ],
        "pairs for 95 %",
    ]
    rows = [[method, *[f"{value:.1f}" if np.isfinite(value) else DASH for value in means[method]],
             _pairs(study.needed(method))] for method in order]  # fmt: skip
    full = "the individual model's" if "individual" in study.methods else "the method's own"
    note = (f"Users whom the model never saw, adapted with their first pairs. Pairs for 95 %: the"
            f" fewest with 95 % of {full} accuracy with all pairs.")  # fmt: skip
    return section("New users", chart, table(head, rows, numbers=range(1, len(head))), note=note)


def _pairs(num: int | None) -> str:
    if num is None:
        return "not reached"
    return "all" if num == ALL_PAIRS else f"{num:,}"


def _data(study: Study, min_group: int) -> Html:
    rows = []
    num_users = int((study.description.pairs > 0).sum())
    for figure in study.description.figures:
        value, interval = figure_text(figure, min_group, num_users)
        rows.append([figure.name, value, interval or DASH, f"{figure.num:,} {figure.of}"])
    note = f"Consistency by {study.description.consistency.measure or 'no measure'}."
    return section("The people", table(["figure", "value", "95 %", "of"], rows, numbers=(1, 2, 3)),
                   note=note)  # fmt: skip
