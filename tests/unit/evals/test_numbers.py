import re
import sys
import unicodedata
from decimal import Decimal
from math import comb

import pytest

from polylect.evals.numbers import last_number, numbers_in
from polylect.evals.pass_at_k import pass_at_k


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The answer is 18.", "en", "18"),
        ("so 1,000 dollars", "en", "1000"),
        ("$1,234.50!", "en", "1234.50"),
        ("1.000 Euro", "de", "1000"),
        ("1.000", "en", "1.000"),
        ("1.234,5", "de", "1234.5"),
        ("1.234,5", "en", "1234.5"),
        ("1,5", "fr", "1.5"),
        ("0.125", "de", "0.125"),
        ("1\u202f234\u202f567,5", "fr", "1234567.5"),
        ("1 234", "ru", "1234"),
        ("3 4", "en", "4"),
        ("1,00,000", "hi", "100000"),
        ("१,०००", "hi", "1000"),
        ("الجواب هو ١٬٢٣٤٫٥", "ar", "1234.5"),
        ("۴۲", "fa", "42"),
        ("উত্তর ১৮", "bn", "18"),
        ("答えは１，２００です。", "ja", "1200"),
        ("คำตอบคือ ๑๘", "th", "18"),
        ("1'000", "de", "1000"),
        ("it is −7", "en", "-7"),
        ("it is - 7", "en", "7"),
        ("- 42", "en", "42"),
        ("1 234", "en", "234"),
        ("1\u00a0234", "en", "1234"),
        ("12 345,6", "fr", "12345.6"),
        ("20 1,5", "fr", "1.5"),
        ("eins 1\n234", "fr", "234"),
        ("an area of 10 cm²", "en", "10"),
        ("5² ①", "en", "5"),
        ("1,2,3", "en", "3"),
        ("1.2.3", "de", "3"),
        ("2024.01.15", "en", "15"),
        ("5'10", "en", "10"),
        ("1,234,567", "de", "1234567"),
        ("1.234.567,89", "en", "1234567.89"),
        ("12,34,567.5", "hi", "1234567.5"),
        ("１２，３４５．６", "ja", "12345.6"),
        ("50 %", "de", "50"),
        (r"\boxed{-18}", "en", "-18"),
        ("10-3", "en", "3"),
        ("1.000.000", "en", "1000000"),
    ],
)
def test_the_last_number_in_any_writing(text, language, expected):
    assert last_number(text, language) == Decimal(expected)


def test_an_answer_without_a_number_is_none():
    assert last_number("I do not know.", "en") is None
    assert last_number("", "ar") is None
    assert numbers_in("2 and 3 are 5", "en") == [2, 3, 5]


FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")


def flexible(text):
    """The harness's flexible-extract of gsm8k: the last match, without $, commas, a last point."""
    matches = [first or second for first, second in FLEXIBLE.findall(text)]
    return re.sub(r",|\$|\.$", "", matches[-1]) if matches else None


@pytest.mark.parametrize("number", ["7", "18", "-3", "1,234", "2.5", "0.125", "1,234,567", "0"])
@pytest.mark.parametrize(
    "text",
    [
        "{}", "The answer is {}.", "So she has {} apples", "${}", "2 + 2 = 4, then 4 + 1 = {}.",
        "#### {}", "- {}", "it is: {}!", "{}%", "{} cm²", "{}\n\nThat is all.", "**{}**", "({})",
        r"\boxed{{{}}}", "on day 1 {} people came", "x2 is {}km", "about 3 - {}", "10 {}",
        "from 9:30 to {}", "No number here", "2/{}", "= {} €", "A) 4 B) {}", "5’ {}",
    ],
)  # fmt: skip
def test_on_english_text_it_is_the_harness_s_last_number(text, number):
    text = text.format(number)
    expected = flexible(text)
    assert last_number(text, "en") == (None if expected is None else Decimal(expected))


def test_every_decimal_digit_of_unicode_is_read():
    digits = [one for one in map(chr, range(sys.maxunicode + 1)) if one.isdecimal()]
    assert len(digits) > 600
    for one in digits:
        assert last_number(f"x {one}{one} y", "en") == 11 * unicodedata.decimal(one), one


def test_pass_at_k_is_the_closed_form():
    for n in range(1, 12):
        for c in range(n + 1):
            for k in range(1, n + 1):
                expected = 1 - comb(n - c, k) / comb(n, k)
                assert abs(pass_at_k(n, c, k) - expected) < 1e-12
