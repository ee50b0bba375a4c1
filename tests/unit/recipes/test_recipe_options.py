"""The options of the recipes: where a comma is a part of a value, and where it is between two."""

import pytest

from polylect.api.option_fields import option_fields
from polylect.api.recipe_runs import recipe_verb
from polylect.api.values import from_keywords
from polylect.cli.arguments import parse
from polylect.recipes import SHIPPED

NAMED = [
    ("clusters", "clusters", ("west=de,en", "east=en,tr")),
    ("search", "groups", ("west=de,en", "east=en,tr")),
    ("soups", "tracks", ("chats=a,b.jsonl",)),
    ("soups", "preferences", ("pairs=a,b.jsonl", "more=c.jsonl")),
]


@pytest.mark.parametrize(("recipe", "option", "values"), NAMED)
def test_a_comma_in_the_value_of_a_name_is_a_part_of_it(recipe, option, values):
    job = recipe_verb(recipe)
    typed = parse(job.options, [f"--{option}", *values], job.name)
    called = from_keywords(job.options, {option: list(values)}, job.name)
    single = from_keywords(job.options, {option: values[0]}, job.name)
    assert getattr(typed.config, option) == values
    assert typed == called
    assert getattr(single.config, option) == values[:1]


@pytest.mark.parametrize("recipe", SHIPPED)
def test_where_the_help_says_that_a_name_has_several_tags_or_a_file_no_comma_separates(recipe):
    texts = [field for field in option_fields(recipe_verb(recipe).options) if field.many]
    assert {field.key for field in texts if field.keeps_commas} == {
        field.key for field in texts if "NAME=TAG" in field.help or "NAME=FILE" in field.help
    }


def test_names_and_numbers_may_be_joined_by_commas():
    job = recipe_verb("search")
    words = ["--languages", "de,en", "--bounds", "de=0.2,en=0.3"]
    typed = parse(job.options, words, job.name)
    assert typed.config.languages == ("de", "en")
    assert typed.config.bounds == ("de=0.2", "en=0.3")
