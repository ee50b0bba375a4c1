"""Translation by a sequence-to-sequence checkpoint: NLLB, M2M100, mBART, Marian, T5.

Languages are those of the tokenizer's own table: its special tokens that name one (``deu_Latn``,
``__de__``, ``de_DE``, ``>>deu<<``), or the prefixes in a T5's config. A checkpoint for one pair
says it in its tokenizer's config (``source_lang``, ``target_lang``); or the user says it, with
``DIR#en:de``.
Decoding is greedy or by beams, never sampled; texts are batched by length in an order of their own,
so that a resumed run computes the same batches.
"""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polylect.base import (
    InputError,
    Ledger,
    digest_of,
    english_name,
    import_optional,
    language,
    likely_script,
    read_json,
)
from polylect.engine import EngineConfig, Journal
from polylect.feedback.translation.protocol import Pair, Traits, nearest_pair
from polylect.runs import Files, Reporter

TOO_LONG = "not translated: longer than the model takes"
NOT_NORMALIZED = "fell back: Marian's punctuation is not normalized, for want of sacremoses"
UNENDED = "not translated: the answer did not end"
_CODE = re.compile(r"(?:__|>>)?([a-z]{2,3})(?:_([A-Z][a-z]{3}|[A-Z]{2}))?(?:__|<<)?")
_PREFIX = re.compile(r"translation_([a-z]{2,3})_to_([a-z]{2,3})")
_BATCH = 16


@dataclass(frozen=True)
class Seq2SeqSource:
    """A local sequence-to-sequence checkpoint.

    Attributes:
        name: as the user named it.
        folder: of the checkpoint.
        stated: the pair that the user states; None for the checkpoint's own.
        max_new_tokens: longest translation of a text.
        num_beams: beams of the search; 1 is greedy.
        engine: threads, device and dtype.
    """

    name: str
    folder: Path
    stated: Pair | None = None
    max_new_tokens: int = 512
    num_beams: int = 1
    engine: EngineConfig = field(default_factory=EngineConfig)

    traits = Traits(by_line=True, longest=600)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The checkpoint's config.json."""
        return read_json(self.folder / "config.json")

    @cached_property
    def tokenizer(self) -> Any:
        """Transformers' tokenizer of the checkpoint.

        Raises:
            InputError: it cannot be read.
        """
        transformers = import_optional("transformers", "a local translator", "models")
        try:
            with warnings.catch_warnings():  # of Marian's: see NOT_NORMALIZED
                warnings.simplefilter("ignore")
                return transformers.AutoTokenizer.from_pretrained(
                    self.folder, local_files_only=True
                )
        except (OSError, ValueError, ImportError, KeyError) as error:
            why = str(error).strip().split("\n")[0]
            raise InputError(f"{self.folder}: no tokenizer can be read ({why})",
                             "save the tokenizer beside the checkpoint") from None  # fmt: skip

    @cached_property
    def codes(self) -> dict[str, str]:
        """The token of each language in the tokenizer's table, by tag; empty where it has none."""
        tokenizer = self.tokenizer
        tokens = [*tokenizer.all_special_tokens, *getattr(tokenizer, "extra_special_tokens", [])]
        tokens += getattr(tokenizer, "lang_code_to_token", {}).values()  # M2M100's
        tokens += [token for token in tokenizer.get_vocab() if token.startswith(">>")]
        codes: dict[str, str] = {}
        for token in dict.fromkeys(map(str, tokens)):
            if (match := _CODE.fullmatch(token)) is not None:
                region = "" if match[2] in (None, "XX") else f"-{match[2]}"
                try:
                    tag = language(f"{match[1]}{region}").tag
                except InputError:
                    continue
                codes.setdefault(tag, token)
                # A region in a code is a model's habit (de_DE), and so is the likeliest script.
                base = language(match[1]).tag
                if len(region) == 3 or likely_script(base) == match[2]:
                    codes.setdefault(base, token)
        return codes

    @cached_property
    def prefixes(self) -> dict[Pair, str]:
        """The prefixes of T5's translation tasks, by pair."""
        tasks = self.config.get("task_specific_params") or {}
        return {
            (language(match[1]).tag, language(match[2]).tag): settings["prefix"]
            for name, settings in tasks.items()
            if (match := _PREFIX.fullmatch(name)) and isinstance(settings.get("prefix"), str)
        }

    @property
    def digest(self) -> str:
        """Digest of the checkpoint's files and of how it decodes."""
        settings = [self.stated, self.max_new_tokens, self.num_beams, self.engine.dtype, _BATCH]
        return digest_of({"model": Files(self.folder).digest, "settings": settings})

    def pairs(self) -> frozenset[Pair]:
        """The pairs of the tokenizer's table, of the config's prefixes, or the one stated.

        Raises:
            InputError: there is none.
        """
        if self.stated is not None:
            return frozenset([self.stated])
        if self.prefixes:
            return frozenset(self.prefixes)
        of_one = [getattr(self.tokenizer, f"{side}_lang", None) for side in ("source", "target")]
        if all(isinstance(code, str) and code for code in of_one) and not self.codes:
            return frozenset([(language(str(of_one[0])).tag, language(str(of_one[1])).tag)])
        if self.codes and isinstance(of_one[0], str) and of_one[0]:  # Marian into many
            first = language(of_one[0]).tag
            return frozenset((first, tag) for tag in self.codes if tag != first)
        pairs = frozenset((a, b) for a in self.codes for b in self.codes if a != b)
        if not pairs:
            raise InputError(
                f"{self.folder}: neither its tokenizer nor its config names languages",
                f"name its pair: {self.folder}#en:de",
            )
        return pairs

    def limited(self, pairs: Iterable[Pair]) -> "Seq2SeqSource":
        """The same."""
        return self

    def open(self, work: Path, report: Reporter, ledger: Ledger) -> "Seq2Seq":
        """The translator; its weights are loaded when something is translated."""
        if self.config.get("model_type") == "marian" and find_spec("sacremoses") is None:
            ledger.count(NOT_NORMALIZED)
        return Seq2Seq(self, work, report, ledger)


@dataclass(frozen=True)
class Seq2Seq:
    """The translator."""

    source: Seq2SeqSource
    work: Path
    report: Reporter
    ledger: Ledger

    @cached_property
    def model(self) -> Any:
        """The model, ready to generate."""
        torch = import_optional("torch", "a local translator", "models")
        transformers = import_optional("transformers", "a local translator", "models")
        engine = self.source.engine
        torch.set_num_threads(engine.threads)
        is_cuda = engine.device == "cuda" or (engine.device == "auto" and torch.cuda.is_available())
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
            self.source.folder, local_files_only=True, dtype=getattr(torch, engine.dtype)
        )
        return model.eval().to("cuda" if is_cuda else "cpu")

    def __call__(self, texts: Sequence[str], source: str, target: str) -> list[str | None]:
        """The translations; see ``Translator``."""
        pair = nearest_pair(self.source.pairs(), source, target)
        assert pair is not None, "pairs are checked before"
        key = digest_of([list(texts), source, target])[:16]
        with Journal(self.work / f"{key}.jsonl") as journal:
            order = sorted(range(len(texts)), key=lambda i: (-len(texts[i]), texts[i], i))
            for start in range(0, len(order), _BATCH):
                batch = order[start : start + _BATCH]
                if any((i, 0) not in journal.rows for i in batch):
                    rows = self._translate([texts[i] for i in batch], pair)
                    for i, (text, stopped) in zip(batch, rows, strict=True):
                        if (i, 0) not in journal.rows:
                            journal.add(i, 0, text=text, stopped=stopped)
                self.report.update(min(start + _BATCH, len(order)), len(order), "texts")
            results = [journal.rows[i, 0] for i in range(len(texts))]
        for row in results:
            self.ledger.count(TOO_LONG, int(row["stopped"] == "refused"), target)
            self.ledger.count(UNENDED, int(row["stopped"] == "length"), target)
        return [row["text"].strip() or None if row["stopped"] == "end" else None for row in results]

    def _translate(self, texts: Sequence[str], pair: Pair) -> list[tuple[str, str]]:
        """Text and how it ended, of every text of a batch."""
        import torch

        tokenizer, model, source = self.source.tokenizer, self.model, self.source
        prefix, forced = "", None
        if pair in source.prefixes:
            prefix = source.prefixes[pair]
        elif source.codes and pair[1] in source.codes:
            code = source.codes[pair[1]]
            if code.startswith(">>"):
                prefix = f"{code} "
            else:
                forced = tokenizer.convert_tokens_to_ids(code)
                tokenizer.src_lang = _bare(tokenizer, source.codes[pair[0]])
        elif source.stated is not None and "t5" in str(source.config.get("model_type")):
            names = [english_name(tag) or tag for tag in pair]
            prefix = f"translate {names[0]} to {names[1]}: "
        limit = source.config.get("max_position_embeddings") or source.config.get("n_positions")
        encoded = tokenizer([prefix + text for text in texts], padding=True, return_tensors="pt")
        fits = encoded["attention_mask"].sum(1) <= (limit or 1 << 30)
        results = [("", "refused")] * len(texts)
        rows = fits.nonzero().flatten().tolist()
        if not rows:
            return results
        ids = encoded["input_ids"][rows].to(model.device)
        mask = encoded["attention_mask"][rows].to(model.device)
        longest = min(source.max_new_tokens, (limit or 1 << 30) - 2)
        options = {} if forced is None else {"forced_bos_token_id": forced}
        with torch.no_grad():
            output = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=longest, do_sample=False,
                num_beams=source.num_beams, **options,
            )  # fmt: skip
        ends = model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        for row, tokens in zip(rows, output.tolist(), strict=True):
            ended = any(token in ends for token in tokens[1:])
            text = tokenizer.decode(tokens, skip_special_tokens=True)
            results[row] = (text, "end" if ended else "length")
        return results


def _bare(tokenizer: Any, token: str) -> str:
    """The code that a tokenizer takes for the language of its input: of ``__de__``, ``de``."""
    known = getattr(tokenizer, "lang_token_to_id", None)
    return token.strip("_") if known is not None and token in known else token
