"""Files from before a setting was renamed still open."""

from polylect.base import current_names


def test_a_former_name_becomes_the_current_one_at_every_depth():
    old = {"config": {"examples": {"tokens_per_pass": 1}}, "rows": [{"licence": "MIT"}]}
    new = {"config": {"examples": {"micro_batch_tokens": 1}}, "rows": [{"license": "MIT"}]}
    assert current_names(old) == new
    assert current_names({"licence": "a", "license": "b"}) == {"licence": "a", "license": "b"}


def test_a_name_that_means_something_else_elsewhere_is_renamed_in_its_place_alone():
    old = {"optim": {"floor": 0.1, "clip": 1.0}, "floor": 0.02, "bounds": {"floor": 3}}
    new = {"optim": {"min_lr_ratio": 0.1, "max_grad_norm": 1.0}, "floor": 0.02,
           "bounds": {"floor": 3}}  # fmt: skip
    assert current_names(old) == new
