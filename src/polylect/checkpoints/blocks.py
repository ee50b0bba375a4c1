"""Tensors computed block by block in threads and written in order: memory stays constant."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from polylect.checkpoints.dtypes import Bytes
from polylect.checkpoints.progress import WriteProgress
from polylect.checkpoints.tensors import block_ranges
from polylect.checkpoints.writer import ShardWriter, TensorSpec

_BLOCKS_PER_JOB = 8  # handing over a job costs as much as half a block


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the bytes of a tensor are computed, block by block.

    Attributes:
        spec: the tensor.
        compute: the bytes of elements ``start`` to ``stop``, from any thread; valid until the
            thread's next call.
        step: elements of a block.
        align: blocks begin and end at multiples of this (or at the tensor's end).
        counts: for the ledger: number by event.
    """

    spec: TensorSpec
    compute: Callable[[int, int], Bytes]
    step: int
    align: int = 1
    counts: Mapping[str, int] = field(default_factory=dict)

    def ranges(self, step: int | None = None) -> Iterator[tuple[int, int]]:
        """All blocks, in order; of about ``step`` elements if given."""
        return block_ranges(self.spec.num_elements, step or self.step, self.align)


def write_blocks(
    writer: ShardWriter,
    specs: Sequence[TensorSpec],
    plan: Callable[[TensorSpec, Executor], Blocks],
    progress: WriteProgress,
    *,
    num_threads: int,
) -> None:
    """Compute and write every block of every tensor.

    Every block is computed on its own, so the bytes depend neither on the number of threads nor on
    the size of blocks. Nor does the error depend on threads: it is that of the first bad block.

    Args:
        writer: takes the bytes.
        specs: the tensors, in the order in which they are written.
        plan: how the blocks of a tensor are computed; called for one tensor after the other.
        progress: records what was written, and knows what an earlier process wrote.
        num_threads: number of blocks computed at once.

    Raises:
        InputError: what ``plan`` and its blocks raise.
        StorageError: the disk is full or failed.
    """
    with ThreadPoolExecutor(num_threads) as threads:
        # Results are taken in order, which makes the first error the first bad block, and only a
        # few jobs wait at a time: a large model has too many of them to submit at once.
        waiting: deque[tuple[Future[None], str, int]] = deque()

        def settle(max_waiting: int) -> None:
            while len(waiting) > max_waiting:
                future, name, stop = waiting.popleft()
                future.result()
                progress.note(writer, name, stop)

        try:
            for spec in specs:
                done = progress.resume(spec.name, spec.num_elements)
                writer.skip(spec.name, 0, done)
                if done == spec.num_elements:
                    continue
                blocks = plan(spec, threads)
                progress.count(spec.name, blocks.counts)
                for start, stop in blocks.ranges(blocks.step * _BLOCKS_PER_JOB):
                    # An earlier process may have cut the tensor in another way.
                    if stop <= done:
                        continue
                    job = threads.submit(_write_span, writer, blocks, start, stop, done)
                    waiting.append((job, spec.name, stop))
                    settle(2 * num_threads)
            settle(0)
        finally:
            for future, _, _ in waiting:
                future.cancel()


def _write_span(writer: ShardWriter, blocks: Blocks, first: int, last: int, done: int) -> None:
    """Compute and write the blocks of a span of elements, except those before ``done``."""
    for offset, end in block_ranges(last - first, blocks.step, blocks.align):
        start, stop = first + offset, first + end
        if stop > done:
            raw = blocks.compute(start, stop)
            num_skipped = max(0, done - start)
            raw = raw[num_skipped * raw.size // (stop - start) :]
            writer.write(blocks.spec.name, start + num_skipped, raw)
