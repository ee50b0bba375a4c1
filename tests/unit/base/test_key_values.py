import pytest

from polylect.base import InputError, parse_numbers, parse_pairs


def test_a_value_may_hold_an_equals_sign():
    assert parse_pairs("inputs", ["base=a=b", "other=c"]) == {"base": "a=b", "other": "c"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x"], "--set 'x' is not NAME=VALUE — give --set NAME=VALUE"),
        (["=1"], "--set '=1' is not NAME=VALUE"),
        (["x="], "--set 'x=' is not NAME=VALUE"),
        (["x=1", "x=2"], "--set x is given twice"),
    ],
)
def test_another_form_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        parse_pairs("set", arguments)


@pytest.mark.parametrize("text", ["much", "inf", "nan"])
def test_a_number_must_be_finite(text):
    assert parse_numbers("quota", ["en=2", "de=.5"]) == {"en": 2.0, "de": 0.5}
    with pytest.raises(InputError, match=f"--quota en={text}: not a number"):
        parse_numbers("quota", [f"en={text}"])
