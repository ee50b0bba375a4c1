"""The table of all options: the same thing has the same name, one name has one meaning."""

from pathlib import Path

import pytest

from polylect.cli.option_table import option_table, options_by_name

TABLE = Path(__file__).parents[3] / "docs" / "guides" / "options.md"
BY_NAME = options_by_name()
PROMISED = {"--answers", "--by", "--files"}
"""Names whose interface was fixed: of ``feedback pool`` how many answers, of ``grade`` which; how
``feedback route`` chooses, by what ``rank`` groups; files without a name."""


def test_the_committed_table_is_what_the_verbs_have():
    said = "python -m polylect.cli.option_table > docs/guides/options.md"
    assert TABLE.read_text(encoding="utf-8") == option_table(), said


@pytest.mark.parametrize(
    "name",
    [name for name, uses in BY_NAME.items() if len(uses) > 1 and name not in PROMISED],
)
def test_a_name_takes_and_means_one_thing_in_all_verbs(name):
    kinds = {
        (field.kind if field.kind in (int, float) else str, field.pairs, field.switch)
        for _, field in BY_NAME[name]
    }
    assert len(kinds) == 1, kinds
    begins = {field.help.split()[0].lower().rstrip(".,:;") for _, field in BY_NAME[name]}
    assert len(begins) == 1, {field.help: command for command, field in BY_NAME[name]}


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Language tags", {"--languages", "--held-out-languages", "--seen", "--anchors"}),
        ("Folder with one folder per dataset", {"--datasets"}),
        ("CPU threads", {"--threads"}),
        ("Seed of", {"--seed"}),
        ("Folder for the result", {"--out"}),
        ("Confidence level", {"--level"}),
        ("Only the first", {"--limit"}),
    ],
)
def test_a_thing_has_one_name(word, name):
    names = {
        option for option, uses in BY_NAME.items()
        if any(field.help.startswith(word) for _, field in uses)
    }  # fmt: skip
    assert names
    assert names <= name
