"""Options that are typed NAME=VALUE are dicts in Python."""

import pytest

from polylect.api.option_fields import option_fields
from polylect.api.values import from_keywords
from polylect.base import InputError
from polylect.recipes.alignment.clusters import ClustersConfig


def test_a_dict_stands_for_pairs_that_are_typed():
    fields = {field.key for field in option_fields(ClustersConfig)}
    assert "clusters" in fields
    given = from_keywords(
        ClustersConfig, {"model": "m", "clusters": {"north": ["da", "sv"], "south": "it"}}, "run"
    )
    assert given.clusters == ("north=da,sv", "south=it")
    with pytest.raises(InputError, match="--anchors is"):
        from_keywords(ClustersConfig, {"model": "m", "anchors": {"a": "b"}}, "run")
