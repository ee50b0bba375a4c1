"""Types of options that several commands share."""

from typing import Annotated

import tyro

Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""An option without a value, and without a ``--no-`` opposite."""
