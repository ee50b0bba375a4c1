"""JSON that no file can be written with again is refused, with its place and key."""

import pytest

from polylect.base import InputError, parse_json, read_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "f:3: 'a' is nan, which JSON has not"),
        ('{"a": [1, -Infinity]}', "f:3: 'a[2]' is -inf, which JSON has not"),
        ('{"a": {"b": 1e999}}', "f:3: 'a.b' is inf, which JSON has not"),
        ('{"a": "x\\ud83d"}', "f:3: 'a' has half a character (\\ud83d"),
        ('{"\\udc00": 1}', "has half a character (\\udc00"),
        ('{"a": 1, "a": 2}', "f:3: 'a' is there twice — keep one of them"),
        ('{"a": 1,}', "f:3: not JSON ("),
        ("[" * 100_000, "f:3: not JSON (nested too deeply)"),
        ("1" * 5_000, "f:3: not JSON ("),
    ],
)
def test_what_is_refused_and_where(text, message):
    with pytest.raises(InputError) as caught:
        parse_json(text, "f:3")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_characters_and_large_numbers_are_read():
    assert parse_json('["\\ud83d\\ude00", 1e300, 12345678901234567890]', "f") == [
        "\U0001f600", 1e300, 12345678901234567890
    ]  # fmt: skip
    assert parse_json("[NaN]", "f", constants=True)[0] != 0


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{\n "a": 1,\n "b": "\\ud83d"\n}', ":3: 'b' has half"),
        ('{\n "a": "\\ud83d\\ude00",\n "b": "\\ude00"\n}', ":3: 'b' has half"),
        ('{\n "a": 1\n "b": 2\n}', ":3: not JSON"),
    ],
)
def test_a_file_is_named_with_the_line(text, place, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}{place}")


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ('{"a": "ü"}'.encode("latin-1"), "iconv -f LATIN1"),
        ('{"a": "ü"}'.encode("utf-16"), "iconv -f UTF-16"),
        (b"\x1f\x8b\x08\x00", "it is gzip: call it file.json.gz"),
    ],
)
def test_another_encoding_is_converted_by_the_hint(data, hint, tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_json(path)
    assert hint in str(caught.value)
