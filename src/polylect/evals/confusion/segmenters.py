"""Words of a line, as the Language Confusion Benchmark cuts them."""

import importlib
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

from polylect.base import InputError
from polylect.evals.confusion.rules import Segment, code_of

EXTRA = "pip install -c constraints.txt '.[confusion]'"


def segmenter(language: str) -> Segment:
    """What cuts a line into words: jieba in Chinese, MeCab in Japanese, spaces elsewhere.

    Raises:
        InputError: the package that this language needs is not installed.
    """
    code = code_of(language)
    if code == "zh":
        return _chinese()
    return _japanese() if code == "ja" else str.split


def package(name: str, what: str) -> Any:
    """An optional package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f"{what} needs the package {name!r}", EXTRA) from None


@cache
def _chinese() -> Segment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own source: old escapes in texts
        jieba = package("jieba", "cutting Chinese into words")
    jieba.setLogLevel("ERROR")
    return lambda line: list(jieba.cut(line))


@cache
def _japanese() -> Segment:
    fugashi = package("fugashi", "cutting Japanese into words")
    try:
        tagger = fugashi.Tagger("-O wakati -b 50000")
    except RuntimeError:
        raise InputError("cutting Japanese into words needs a dictionary", EXTRA) from None

    def cut(line: str) -> Sequence[str]:
        return tagger.parse(line).split()

    return cut
