"""A model's configuration with every default filled in, as transformers reads it."""

from collections.abc import Mapping
from typing import Any

from polylect.base import import_heavy
from polylect.models.nexus_config import is_nexus


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The content of a config.json with defaults, in the form that transformers writes today.

    Older files lack keys or spell them otherwise (``rope_theta`` for ``rope_parameters``). None
    for a kind of model that transformers does not know or cannot read, and where it is not
    installed.
    """
    try:
        if is_nexus(config):
            import_heavy("polylect.models.nexus_classes").register_nexus(config)
        auto = import_heavy("transformers.models.auto.configuration_auto")
        kind = auto.CONFIG_MAPPING[config["model_type"]]
        return kind.from_dict(dict(config)).to_dict()
    except Exception:  # its classes check their values, and raise whatever they like
        return None
