"""What a trained checkpoint says about its turns: the chat template, and the tokens at an end."""

from pathlib import Path
from typing import Any

from polylect.base import write_text
from polylect.checkpoints import CHAT_TEMPLATE, Checkpoint
from polylect.text import Style, Tokenizer, template_of


def write_template(out: Path, parent: Checkpoint, tokenizer: Tokenizer, style: Style) -> Tokenizer:
    """Write the template that was trained with; the tokenizer to save beside it.

    Where it is the parent's own, its files stay as they are. Otherwise ``chat_template.jinja``
    takes the place of all of them, and the tokenizer's configuration names no other.

    Args:
        out: holds what was carried from the parent.
        parent: the checkpoint before training.
        tokenizer: its tokenizer.
        style: the turns of the training.

    Raises:
        StorageError: the folder cannot be written.
    """
    if template_of(parent.path) == style.source:
        return tokenizer
    for name in parent.beside.templates:
        (out / name).unlink(missing_ok=True)
    write_text(out / CHAT_TEMPLATE, style.source)
    return tokenizer.without_template()


def end_turns(model: Any, tokenizer: Tokenizer, style: Style) -> None:
    """Let transformers' ``generate`` stop at the end of a turn, and at the end of a text.

    The tokens join those that the model's generation settings name already. A model that does not
    generate has no such settings.
    """
    settings = getattr(model, "generation_config", None)
    if settings is None:
        return
    named = settings.eos_token_id
    known = [] if named is None else [named] if isinstance(named, int) else [*named]
    ends = [*dict.fromkeys([*known, tokenizer.eos_id, *style.ends()])]
    settings.eos_token_id = ends[0] if len(ends) == 1 else ends
