"""Every gate has a translation that fails it, and one that passes."""

import pytest

from polylect.base import Ledger
from polylect.feedback import GatesConfig, failed_gates
from polylect.feedback.translation.gates import UNCHECKED, length_ratio
from polylect.text import open_identifier

ENGLISH = "The old house on the hill has three rooms, and my sister sleeps in the smallest one."
GERMAN = "Das alte Haus auf dem Hügel hat drei Zimmer, und meine Schwester schläft im kleinsten."
CHINESE = "山上的老房子有三个房间，我妹妹睡在最小的那个房间里。"
THAI = "บ้านเก่าบนเนินเขามีสามห้อง และน้องสาวของฉันนอนในห้องที่เล็กที่สุด"
HINDI = "पहाड़ी पर बने पुराने घर में तीन कमरे हैं और मेरी बहन सबसे छोटे कमरे में सोती है।"
ARABIC = "البيت القديم على التل فيه ثلاث غرف، وأختي تنام في أصغرها."
DUTCH = "Het oude huis op de heuvel heeft drie kamers en mijn zus slaapt in de kleinste ervan."


def failed(text, translation, target="de", source="en", back=None, ledger=None, **settings):
    config = GatesConfig(**settings)
    identifier = open_identifier(config.identifier)
    (reasons,) = failed_gates(
        [text], [translation], source, target, config, identifier,
        Ledger() if ledger is None else ledger, back,
    )  # fmt: skip
    return reasons


@pytest.mark.parametrize(
    ("text", "translation", "target", "reasons"),
    [
        (ENGLISH, GERMAN, "de", []),
        (ENGLISH, CHINESE, "zh-Hans", []),
        (ENGLISH, THAI, "th", []),
        (ENGLISH, HINDI, "hi", []),
        (ENGLISH, ARABIC, "ar", []),
        (ENGLISH, "Das Haus.", "de", ["length"]),
        (ENGLISH, CHINESE * 3, "zh-Hans", ["length", "repeated"]),
        (ENGLISH, CHINESE[:8], "zh-Hans", ["length"]),
        (ENGLISH, DUTCH, "de", ["language"]),
        (ENGLISH, HINDI, "ar", ["language"]),
        (ENGLISH, ENGLISH, "de", ["language", "copy"]),
        (ENGLISH, "Das alte Haus auf dem " * 4, "de", ["repeated"]),
        ("A house is here.", "Ein Haaaaaaaaaaaaaaaaus ist hier.", "de", ["repeated"]),
        ("It cost 1,250 in 1984.", "Es kostete 1984 1.250 Mark.", "de", []),
        ("It cost 1,250 in 1984.", "Es kostete im Jahr 1984 viel.", "de", ["numbers"]),
        ("In 1984 it was cold.", "سنة ١٩٨٤ كان الجو باردا.", "ar", []),
        ("Take {x} and run `y` now.", "Nimm {x} und starte `y` jetzt.", "de", []),
        ("Take {x} and run `y` now.", "Nimm {x} und starte z jetzt.", "de", ["kept"]),
        ("Angela Merkel", "Angela Merkel", "de", []),
        ("OK", "OK", "de", []),
        ("", "", "de", []),
    ],
)  # fmt: skip
def test_a_gate_fails_what_it_should_and_nothing_else(text, translation, target, reasons):
    assert failed(text, translation, target) == reasons


def test_back_translation_must_be_near_the_text():
    near = "The old house on the hill has three rooms and my sister sleeps in the smallest."
    assert failed(ENGLISH, GERMAN, back=[near], least_back=40.0) == []
    assert failed(ENGLISH, GERMAN, back=["A dog barks."], least_back=40.0) == ["back"]
    assert failed(ENGLISH, GERMAN, back=[None], least_back=40.0) == ["back"]


def test_numbers_are_not_compared_where_ten_thousands_are_counted():
    assert failed("It cost 10,000 in all.", "一共花了1万。", "zh-Hans") == []


def test_a_language_that_cannot_be_told_is_counted_not_refused():
    ledger = Ledger()
    assert failed("The cat sleeps.", "Ka ngeru e moe ana.", "mi", ledger=ledger) == []
    assert ledger.by_event() == {UNCHECKED: 1}


def test_limits_are_settings():
    assert failed(ENGLISH, "Das alte Haus hat drei Zimmer.", longest_ratio=9.0) == []
    assert "numbers" not in failed("In 1984 it was cold.", "Es war kalt damals.", numbers=False)


def test_the_ratio_does_not_depend_on_the_side():
    for other in (GERMAN, CHINESE, HINDI, ARABIC):
        assert length_ratio(ENGLISH, other) == pytest.approx(length_ratio(other, ENGLISH))
        assert length_ratio(ENGLISH, other) < 1.5
