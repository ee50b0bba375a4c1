"""Lets transformers load mixtures of experts: importing this file is all.

    import polylect.models.nexus_families
    model = AutoModelForCausalLM.from_pretrained("moe")

polylect's own commands make known only the family that they load.
"""

from polylect.models.nexus_classes import family_classes
from polylect.models.nexus_config import FAMILIES


def register_all() -> None:
    """Make every family known to transformers' Auto classes."""
    for family in FAMILIES:
        family_classes(family)


register_all()
