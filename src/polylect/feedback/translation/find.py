"""The one place where the name of a translator is read."""

from pathlib import Path

from polylect.base import InputError, language, read_json
from polylect.engine import EngineConfig, Server, read_address
from polylect.feedback.translation.apertium import APERTIUM, ApertiumSource
from polylect.feedback.translation.protocol import Pair, TranslatorSource
from polylect.feedback.translation.seq2seq import Seq2SeqSource
from polylect.feedback.translation.served import instructed
from polylect.feedback.translation.stored import PARALLEL, StoredSource

TRANSLATOR_FORMS = (
    "NAME=DIR (a checkpoint), NAME=http://HOST:PORT/v1#MODEL, NAME=FILE (.jsonl, .parquet, .tsv),"
    " NAME=parallel:DIR, or NAME=apertium"
)
_TABLES = (".tsv", ".jsonl", ".ndjson", ".jsonl.gz", ".parquet")


def find_translator(
    text: str,
    *,
    instruction: str = "",
    max_new_tokens: int = 1024,
    num_beams: int = 1,
    template: str = "own",
    engine: EngineConfig | None = None,
    server: "Server | None" = None,
) -> TranslatorSource:
    """The translator of ``NAME=FORM``, to be handed down to who translates.

    Args:
        text: FORM is a folder (a sequence-to-sequence checkpoint, with ``#en:de`` where it does
            not say its pair; or a causal one), an OpenAI-style server's address with ``#MODEL``, a
            table of translations, ``parallel:DIR``, ``apertium`` or ``apertium:DIR``.
        instruction: prompt for models that follow instructions; empty for the default.
        max_new_tokens: longest translation of a piece of text.
        num_beams: beams of a sequence-to-sequence model.
        template: chat template of a causal checkpoint.
        engine: how a local checkpoint is run.
        server: the server with its limits, where the form is an address.

    Raises:
        InputError: it has another form, or there is no such file, folder or program.
    """
    name, sign, form = text.partition("=")
    if not sign or not name.strip() or not form.strip():
        raise InputError(f"--translator {text!r} is not NAME=FORM", f"give {TRANSLATOR_FORMS}")
    engine = engine or EngineConfig()
    address = read_address(form)
    if address is not None:
        model = server or Server(address[0], address[1])
        return instructed(name, model, instruction, max_new_tokens=max_new_tokens)
    if form == APERTIUM or form.startswith(f"{APERTIUM}:"):
        folder = form.partition(":")[2]
        return ApertiumSource(name, Path(folder)) if folder else ApertiumSource(name)
    if form.startswith(PARALLEL):
        path = Path(form.removeprefix(PARALLEL))
        _check(path.is_dir(), text, f"{path}: no such folder")
        return StoredSource(name, path, is_parallel=True)
    if form.lower().endswith(_TABLES):
        _check(Path(form).is_file(), text, f"{form}: no such file")
        return StoredSource(name, Path(form))
    place, _, pair = form.partition("#")
    folder = Path(place)
    _check((folder / "config.json").is_file(), text, f"{place}: no checkpoint and no table")
    stated = _pair(pair, text) if pair else None
    if read_json(folder / "config.json").get("is_encoder_decoder"):
        return Seq2SeqSource(name, folder, stated, max_new_tokens, num_beams, engine)
    _check(not pair, text, "an instructed model has no pair of its own: leave out #")
    return instructed(
        name, folder, instruction, max_new_tokens=max_new_tokens, template=template, engine=engine
    )


def _check(is_there: bool, text: str, problem: str) -> None:
    if not is_there:
        raise InputError(f"--translator {text}: {problem}", f"give {TRANSLATOR_FORMS}")


def _pair(text: str, given: str) -> Pair:
    source, colon, target = text.partition(":")
    _check(bool(colon), given, f"#{text} is no pair such as #en:de")
    return language(source, "--translator").tag, language(target, "--translator").tag
