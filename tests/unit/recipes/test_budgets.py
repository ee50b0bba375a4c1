"""Budgets of tokens: the default gives way to the text there is; what is asked for does not."""

import pytest

from polylect.base import InputError, Ledger
from polylect.mixtures import Share, Stage, seems_other
from polylect.mixtures.mixture import plan_stage
from polylect.recipes.pretraining.budgets import SMALLER, Budget, fit_budget
from polylect.recipes.pretraining.lifecycle import LifecycleConfig, budgets_of, shares_of
from polylect.report.seeming import seeming_section

SIZES = {("cy", "a"): 1000, ("cy", "b"): 500, ("eu", "a"): 300, ("code", "a"): 200}


def budget(tokens=None, default=10_000, **trainings):
    trainings = trainings or {"eu": (Share(language="eu"),), "cy": (Share(language="cy"),)}
    return Budget(option="expert-tokens", tokens=tokens, default=default, trainings=trainings)


@pytest.mark.parametrize(
    ("asked", "multiple", "tokens", "left_out"),
    [
        (budget(default=1200), 1, 1200, 0),
        (budget(), 1, 1200, 8800),
        (budget(), 1024, 1024, 8976),
        (budget(), 5000, 1200, 8800),
        (budget(tokens=77), 1024, 77, 0),
    ],
)
def test_a_default_is_as_much_as_the_text_gives(asked, multiple, tokens, left_out):
    ledger = Ledger()
    fitted = fit_budget(asked, SIZES, multiple, ledger)
    assert fitted["tokens"] == tokens
    assert ledger.total(SMALLER) == left_out
    assert bool(fitted["note"]) == bool(left_out)
    # The oracle: the plan of the training itself takes it, and refuses one more than the most.
    shares = asked.trainings["eu"]
    assert plan_stage(Stage(tokens=tokens, shares=shares), SIZES, "") == [tokens]
    with pytest.raises(InputError):
        plan_stage(Stage(tokens=1201, shares=shares), SIZES, "")


def test_what_was_asked_for_is_refused_with_a_hint_that_works():
    with pytest.raises(InputError, match="--expert-tokens 1201: 4 epochs over the text of eu") as e:
        fit_budget(budget(tokens=1201), SIZES, 1, Ledger())
    assert "--expert-tokens 1200, or a higher --max-epochs" in str(e.value)
    assert fit_budget(budget(tokens=1200), SIZES, 1, Ledger())["tokens"] == 1200
    more = budget(tokens=1201, eu=(Share(language="eu", max_epochs=5),))
    assert fit_budget(more, SIZES, 1, Ledger())["tokens"] == 1201


def test_the_rival_of_all_experts_reads_as_many_tokens_as_they_do_together():
    config = LifecycleConfig(max_epochs=2)
    tags = ("code", "cy", "eu")
    everything = shares_of(config, tags, 0.15)
    experts = {tag: shares_of(config, (tag,), 0.5) for tag in tags}
    base, each = budgets_of(config, everything, experts).budgets
    assert fit_budget(base, SIZES, 1, Ledger())["tokens"] == 4000
    assert fit_budget(each, SIZES, 1, Ledger())["tokens"] == 400  # code is the least
    for name, shares in experts.items():
        assert sum(plan_stage(Stage(tokens=400, shares=shares), SIZES, name)) == 400
    assert sum(plan_stage(Stage(tokens=1200, shares=everything), SIZES, "")) == 1200


def test_the_page_names_the_pairs_said_and_seems_and_the_worst_file():
    ledger = Ledger()
    ledger.count("kept: seems to be in another language than it is said to be", 3, "cy seems en")
    ledger.count(
        "dropped: seems to be in another language than it is said to be", 9, "x-a seems de"
    )
    ledger.count("seems to be in another language: most in one file", 2, "cy seems en: cy/a: b.txt")
    ledger.count("dropped: language not asked for", 4, "fr")
    ledger.count("dropped: language not identified", 5, "es or gl")
    ledger.count("dropped: language not identified", 6, "")
    pairs = [(pair.said, pair.seems, pair.kept, pair.dropped) for pair in seems_other(ledger)]
    assert pairs == [("x-a", "de", 0, 9), ("cy", "en", 3, 0)]
    page = str(seeming_section(ledger))
    for words in ("Cymraeg", "cy/a: b.txt: 2", "x-a", "Français", "es or gl", "cannot tell"):
        assert words in page
    assert str(seeming_section(Ledger())) == ""
