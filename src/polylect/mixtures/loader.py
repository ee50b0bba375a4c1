"""The loader: training order is a function of text, mixture and seed, so that resuming is an index.

The documents of a share are reshuffled for each epoch and taken until its token quota is used up;
the last run of a share is cut to make the count exact, and counted. A later stage goes on in the
text of a share where the stage before it stopped (docs/decisions/0014-mixtures.md). The shares are
then interleaved evenly over the stage, and the runs packed into rows without padding.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from polylect.base import InputError, Ledger, generator
from polylect.mixtures.mixture import Mixture, Share, interleave, plan_stage
from polylect.mixtures.tokens import TokenStore
from polylect.text import Segment, TokenBatch, pack


@dataclass(frozen=True)
class Loader:
    """Batches by step.

    Attributes:
        store: the tokenized text.
        runs: int64 [N, 5] in training order: document, first token, number of tokens (without BOS
            and EOS), whether it ends with EOS, stage.
        bounds: int64 [num_steps + 1]; step k takes runs bounds[k] to bounds[k+1].
        languages: language of each document.
        starts: first token of each document in the store, int64 [documents].
        bos_id: put before every run.
        eos_id: put after the last run of a document.
        tokens_by_language: exact number of tokens of each language, BOS and EOS included.
        ledger: counts of what was cut or repeated.
    """

    store: TokenStore
    runs: np.ndarray
    bounds: np.ndarray
    languages: list[str]
    starts: np.ndarray
    bos_id: int
    eos_id: int
    tokens_by_language: dict[str, int]
    ledger: Ledger

    @property
    def num_steps(self) -> int:
        """Number of batches."""
        return len(self.bounds) - 1

    def read(self) -> pl.DataFrame:
        """What the batches hold: a row per language and source, sorted.

        Columns language, source, tokens (BOS and EOS included), predicted (without BOS), runs,
        documents (distinct).
        """
        document, length = self.runs[:, 0], self.runs[:, 2] + 1 + self.runs[:, 3]
        frame = pl.DataFrame({"document": document, "tokens": length})
        names = self.store.documents.select("language", "source")
        frame = frame.with_columns(names[document])
        return (
            frame.group_by("language", "source")
            .agg(
                tokens=pl.col("tokens").sum(),
                predicted=(pl.col("tokens") - 1).sum(),
                runs=pl.len(),
                documents=pl.col("document").n_unique(),
            )
            .sort("language", "source")
        )

    def batch(self, step: int) -> TokenBatch:
        """The packed row of a step (from 0), whatever was loaded before."""
        return self._row(self.bounds[step], self.bounds[step + 1])

    def passes(self, step: int, micro_batch_tokens: int) -> list[TokenBatch]:
        """The runs of a step as packed rows of about ``micro_batch_tokens`` tokens."""
        start, stop = self.bounds[step], self.bounds[step + 1]
        ends = [start + end for end in _cuts(self.runs[start:stop], micro_batch_tokens)]
        return [self._row(a, b) for a, b in pairwise([start, *ends])]

    def _row(self, start: int, stop: int) -> TokenBatch:
        segments = []
        for document, first, tokens, ends, _ in self.runs[start:stop]:
            body = self.store.ids(int(self.starts[document] + first), int(tokens))
            ids = np.concatenate([[self.bos_id], body, [self.eos_id] if ends else []])
            weight = np.ones(len(ids), np.float32)
            weight[0] = 0.0
            segments.append(Segment(ids, weight, self.languages[document], item=int(document)))
        return pack(segments)


class _Place(NamedTuple):
    """Where the reading of a share stands: epoch, document in its order, token of that document."""

    epoch: int = 0
    at: int = 0
    first: int = 0


def make_loader(
    store: TokenStore,
    mixture: Mixture,
    *,
    context_tokens: int,
    batch_tokens: int,
    first_stage: int = 0,
) -> Loader:
    """The loader of a mixture over a store.

    Tokens are counted as the model sees them, BOS and EOS included. A batch holds ``batch_tokens``
    tokens, give or take less than one run; stages do not share a batch.

    Args:
        store: the tokenized text.
        mixture: what is read. A share (a language and a source) is one text over all stages: a
            stage goes on where the one before stopped, and repeats text only beyond an epoch.
        context_tokens: longest run.
        batch_tokens: of a step.
        first_stage: stages before it were read already, by an earlier training: they are passed
            over, in the text too.

    Raises:
        InputError: a share has no text, or a stage asks for more text than there is.
    """
    documents = store.documents
    tokenizer = store.tokenizer()
    sizes = store.sizes()
    ledger = Ledger()
    all_runs: list[np.ndarray] = []
    bounds = [0]
    tokens_by_language: dict[str, int] = {}
    places: dict[tuple[str, str], _Place] = {}
    for number, stage in enumerate(mixture.stages):
        is_read = number < first_stage
        quotas = plan_stage(stage, sizes, f"stage {number + 1} of the mixture")
        queues = []
        for share, quota in zip(stage.shares, quotas, strict=True):
            name = (share.language, share.source)
            place, counts = places.get(name, _Place()), Ledger() if is_read else ledger
            queue, places[name] = _queue(
                documents, share, quota, context_tokens, mixture.seed, place, counts
            )
            if is_read:
                continue
            queues.append(queue)
            had = tokens_by_language.get(share.language, 0)
            tokens_by_language[share.language] = had + int((queue[:, 2] + 1 + queue[:, 3]).sum())
        queues = [queue for queue in queues if len(queue)]
        if is_read:
            continue
        if not queues:
            raise InputError(
                f"stage {number + 1} of the mixture: {stage.tokens} tokens over"
                f" {len(stage.shares)} shares leave no share a single run",
                "ask for more tokens",
            )
        lengths = [queue[:, 2] + 1 + queue[:, 3] for queue in queues]
        order = _interleaved(queues, lengths)
        stage_runs = np.concatenate([order, np.full((len(order), 1), number)], axis=1)
        all_runs.append(stage_runs)
        bounds += [bounds[-1] + end for end in _cuts(stage_runs, batch_tokens)]
    return Loader(
        store=store,
        runs=np.concatenate(all_runs),
        bounds=np.array(bounds),
        languages=documents["language"].to_list(),
        starts=documents["start"].to_numpy(),
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        tokens_by_language=tokens_by_language,
        ledger=ledger,
    )


def _queue(
    documents: pl.DataFrame,
    share: Share,
    quota: int,
    context_tokens: int,
    seed: int,
    place: _Place,
    ledger: Ledger,
) -> tuple[np.ndarray, _Place]:
    """Runs of a share, exactly ``quota`` tokens, from a place on, and the place after them.

    A run is document, first token, tokens, ends: int64 [N, 4].
    """
    chosen = pl.col("language") == share.language
    if share.source != "*":
        chosen &= pl.col("source") == share.source
    table = documents.with_row_index("document").filter(chosen & (pl.col("tokens") > 0))
    index, tokens = table["document"].to_numpy(), table["tokens"].to_numpy()
    room = context_tokens - 1
    runs: list[tuple[int, int, int, int]] = []
    left, split, repeated = quota, 0, 0
    epoch, at, first = place
    while left > 0:
        # The 0 was the number of the stage, when every stage had an order of its own.
        names = (0, share.language, share.source)
        order = generator(seed, "order", *names, epoch).permutation(len(index))
        repeated += int(epoch > 0 and at == first == 0)
        while at < len(order) and left > 0:
            number = order[at]
            body = int(tokens[number]) + 1  # EOS
            split += max(0, -(-body // room) - 1) if first == 0 else 0
            while first < body and left > 0:
                length = min(room, body - first, left - 1)
                if left - (length + 1) == 1:
                    length -= 1  # a single token left has no room for BOS and a target
                if length <= 0:
                    ledger.count("unused: share too small for a run", left, share.language)
                    left = 0
                    break
                ends = int(first + length == body)
                if length < min(room, body - first):
                    ledger.count("cut: last document of a share", 1, share.language)
                runs.append((int(index[number]), first, length - ends, ends))
                left -= length + 1
                first += room if left else length
            if first >= body:
                at, first = at + 1, 0
        if at == len(order):
            epoch, at = epoch + 1, 0
    ledger.count("split: document longer than the context", split, share.language)
    ledger.count("repeated: further epochs over a share", repeated, share.language)
    return np.array(runs, dtype=np.int64).reshape(-1, 4), _Place(epoch, at, first)


def _interleaved(queues: list[np.ndarray], lengths: list[np.ndarray]) -> np.ndarray:
    pairs = interleave(lengths)
    offsets = np.cumsum([0, *[len(queue) for queue in queues[:-1]]])
    return np.concatenate(queues)[offsets[pairs[:, 0]] + pairs[:, 1]]


def _cuts(runs: np.ndarray, batch_tokens: int) -> list[int]:
    """Index of the run that ends each step; a run belongs to the step of its first token."""
    lengths = runs[:, 2] + 1 + runs[:, 3]
    starts = np.cumsum(lengths) - lengths
    steps = starts // batch_tokens
    ends = np.flatnonzero(np.diff(steps)) + 1
    return [*ends.tolist(), len(runs)]
