"""The loader: training order is a function of text, mixture and seed, so that resuming is an index.

The documents of a share are reshuffled for each epoch and taken until its token quota is used up;
the last run of a share is cut to make the count exact, and counted. The shares are then interleaved
evenly over the stage, and the runs packed into rows without padding.
"""

from dataclasses import dataclass
from itertools import pairwise

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


def make_loader(
    store: TokenStore, mixture: Mixture, *, context_tokens: int, batch_tokens: int
) -> Loader:
    """The loader of a mixture over a store.

    Tokens are counted as the model sees them, BOS and EOS included. A batch holds ``batch_tokens``
    tokens, give or take less than one run; stages do not share a batch.

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
    for number, stage in enumerate(mixture.stages):
        quotas = plan_stage(stage, sizes, f"stage {number + 1} of the mixture")
        queues = []
        for share, quota in zip(stage.shares, quotas, strict=True):
            names = (number, share.language, share.source)
            queue = _queue(documents, share, quota, context_tokens, mixture.seed, names, ledger)
            queues.append(queue)
            had = tokens_by_language.get(share.language, 0)
            tokens_by_language[share.language] = had + int((queue[:, 2] + 1 + queue[:, 3]).sum())
        queues = [queue for queue in queues if len(queue)]
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
    names: tuple[int, str, str],
    ledger: Ledger,
) -> np.ndarray:
    """Runs of a share, exactly ``quota`` tokens: document, first token, tokens, ends [N, 4]."""
    chosen = pl.col("language") == share.language
    if share.source != "*":
        chosen &= pl.col("source") == share.source
    table = documents.with_row_index("document").filter(chosen & (pl.col("tokens") > 0))
    index, tokens = table["document"].to_numpy(), table["tokens"].to_numpy()
    room = context_tokens - 1
    runs: list[tuple[int, int, int, int]] = []
    left, epoch, split = quota, 0, 0
    while left > 0:
        order = generator(seed, "order", *names, epoch).permutation(len(index))
        for at in order:
            body = int(tokens[at]) + 1  # EOS
            split += max(0, -(-body // room) - 1)
            for first in range(0, body, room):
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
                runs.append((int(index[at]), first, length - ends, ends))
                left -= length + 1
                if left == 0:
                    break
            if left == 0:
                break
        epoch += 1
    ledger.count("split: document longer than the context", split, share.language)
    if epoch > 1:
        ledger.count("repeated: further epochs over a share", epoch - 1, share.language)
    return np.array(runs, dtype=np.int64).reshape(-1, 4)


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
