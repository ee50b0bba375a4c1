"""What is done with several checkpoints of one family, in the words of its hints."""

from typing import NamedTuple


class Joining(NamedTuple):
    """How a command that joins models calls what it does.

    Attributes:
        verb: begins a hint: "merge models with the same tokenizer".
        other_tokens: the option that takes models with other tokens; empty if there is none.
        other_types: the option that takes tensors of other types; empty if there is none.
    """

    verb: str
    other_tokens: str = ""
    other_types: str = ""


MERGING = Joining("merge", "--vocabulary union", "--out-dtype BF16")
