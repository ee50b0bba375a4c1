"""The one place where the name of a reward is read."""

import os
from pathlib import Path

from polylect.base import InputError, did_you_mean
from polylect.engine import FunctionSource, RewardSource
from polylect.people import PEOPLE, people_source
from polylect.training import LANGUAGE, LanguageSource, ModelSource

FORMS = f"a folder of polylect train reward, FILE.py:function, {PEOPLE}DIR#USER, or {LANGUAGE}"


def find_reward(name: str | os.PathLike[str], option: str = "--reward") -> RewardSource:
    """The reward of a name, to be handed down to who scores answers.

    Args:
        name: a reward model's folder, ``FILE.py:function`` (called with prompt, answer and
            language, it gives a number), ``people:DIR#user`` (a user of a fitted personal model;
            the crowd for a user whom it does not know), or ``language`` (1 for an answer in its
            prompt's language, else 0).
        option: what errors call it.

    Raises:
        InputError: there is no such folder or file.
    """
    text = os.fspath(name)
    if text == LANGUAGE:
        return LanguageSource()
    if text.startswith(PEOPLE):
        return people_source(text, option)
    file, colon, function = text.rpartition(":")
    if colon and file.endswith(".py"):
        if not Path(file).is_file():
            raise InputError(f"{option} {text}: no such file", f"give {FORMS}")
        return FunctionSource(Path(file), function)
    if text.endswith(".py") and Path(text).is_file():
        raise InputError(f"{option} {text}: which function?", f"{option} {text}:function")
    if not Path(text).is_dir():
        near = did_you_mean(text, [LANGUAGE])
        raise InputError(f"{option} {text}: no such folder or file", near or f"give {FORMS}")
    return ModelSource(Path(text))
