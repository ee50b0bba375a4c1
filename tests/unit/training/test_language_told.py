"""Rewards, the gate and the metrics where an identifier cannot tell a language."""

import pytest

from polylect.base import InputError, Ledger
from polylect.engine import Question
from polylect.rows import Message
from polylect.text import DEFAULT_IDENTIFIER, open_identifier
from polylect.training import LanguageSource, check_languages, in_language
from polylect.training.batch_metrics import batch_means
from polylect.training.rewards import gated

GERMAN, WELSH = (
    "Das Wetter ist heute schön und warm.",
    "Mae'r tywydd yn braf heddiw ac mae'n gynnes.",
)


@pytest.fixture(scope="module")
def identifier():
    return open_identifier(DEFAULT_IDENTIFIER)


def _question(tag, *answers):
    return Question((Message("user", "?"),), tag, list(answers))


def test_an_answer_is_right_wrong_or_cannot_be_told(identifier):
    questions = [
        _question("de", GERMAN, WELSH),
        _question("pt-BR", "O tempo hoje está muito bonito e quente.", GERMAN),
        _question("gl", GERMAN, WELSH),
        _question("x-mine", GERMAN),
    ]
    assert in_language(questions, identifier) == [[True, False], [True, False], [None] * 2, [None]]


def test_a_slovak_answer_is_not_right_in_czech(identifier):
    slovak = "Rýchla hnedá líška skáče cez lenivého psa, ktorý si potom ľahne pod strom."
    assert in_language([_question("cs", slovak)], identifier) == [[False]]


@pytest.mark.parametrize("tag", ["cy", "gl", "ne", "sr-Latn", "x-mine"])
def test_a_reward_refuses_to_start_where_it_cannot_tell_and_the_gate_where_it_never_can(
    identifier, tag
):
    with pytest.raises(InputError, match="--reward language: cannot tell the language: fast-"):
        check_languages(identifier, ["de", tag], "language", gate=False)
    with pytest.raises(InputError, match=r"the language gate \(--no-gate leaves it out\)"):
        check_languages(identifier, [tag], "judge", gate=True)
    check_languages(identifier, iter([tag, "de"]), "judge", gate=True)
    check_languages(identifier, [tag], "judge", gate=False)
    reward = LanguageSource().open("own", 1, Ledger())
    with pytest.raises(InputError, match="cannot tell"):
        reward([_question(tag, GERMAN)], Ledger())


def test_the_users_own_identifier_rewards_a_language_of_the_users_own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "def guess(texts): return ['x-mine' if 'mae' in t.lower() else 'de' for t in texts]"
    )
    name = f"{file}:guess"
    check_languages(open_identifier(name), ["x-mine"], "language", gate=False)
    reward = LanguageSource().open("own", 1, Ledger(), identifier=name)
    assert reward([_question("x-mine", WELSH, GERMAN)], Ledger()) == [[1.0, 0.0]]


def test_the_gate_leaves_what_cannot_be_told_its_reward():
    ledger = Ledger()
    questions = [_question("de", "a", "b"), _question("gl", "c", "d")]
    values, flags = [[3.0, 5.0], [1.0, 2.0]], [[True, False], [None, None]]
    assert gated(values, flags, questions, ledger) == [[3.0, 2.0], [1.0, 2.0]]
    assert list(ledger.rows()) == [
        ("not gated: the language of an answer cannot be told", "gl", 2),
        ("scored last: answer in another language than its prompt", "de", 1),
    ]


def test_a_mean_is_of_what_is_known():
    rows = [
        {"language": "de", "wrong_language": 1.0, "kl": 1.0},
        {"language": "gl", "wrong_language": None, "kl": 3.0},
    ]
    means = batch_means(rows, "answers")
    assert (means["wrong_language"], means["kl"], means["answers"]) == (1.0, 2.0, 2)
    assert "wrong_language" not in means["by_language"]["gl"]
