"""Segmentation of lines into words, as in the Language Confusion Benchmark."""

import warnings
from functools import cache

from polylect.base import InputError, import_optional
from polylect.evals.confusion.rules import Segment, code_of

EXTRA = "confusion"


def segmenter(language: str) -> Segment:
    """The word segmenter of a language: jieba in Chinese, MeCab in Japanese, spaces elsewhere.

    Raises:
        InputError: the package that this language needs is not installed.
    """
    code = code_of(language)
    if code == "zh":
        return _chinese()
    return _japanese() if code == "ja" else str.split


@cache
def _chinese() -> Segment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escape sequences in its source
        jieba = import_optional("jieba", "segmenting Chinese", EXTRA)
    jieba.setLogLevel("ERROR")
    return lambda line: list(jieba.cut(line))


@cache
def _japanese() -> Segment:
    fugashi = import_optional("fugashi", "segmenting Japanese", EXTRA)
    try:
        tagger = fugashi.Tagger("-O wakati -b 50000")
    except RuntimeError:
        raise InputError(
            "segmenting Japanese needs a dictionary", f"pip install -c constraints.txt '.[{EXTRA}]'"
        ) from None
    return lambda line: tagger.parse(line).split()
