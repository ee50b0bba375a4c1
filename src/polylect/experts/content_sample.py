"""A sample of texts that depends on a seed and on what they say, not on their order."""

import hashlib
import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


class ContentSample(Generic[T]):
    """At most so many distinct texts of all that are offered; an equal text counts once.

    Args:
        size: most texts.
        seed: of the draw.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.num_offered = 0
        """Texts that were offered, equal ones too."""
        self._size, self._seed = size, seed
        self._kept: list[tuple[int, str, T]] = []
        self._held: set[int] = set()

    def offer(self, text: str, about: T) -> None:
        """Consider a text.

        Args:
            text: what it says.
            about: what the caller keeps beside it.
        """
        self.num_offered += 1
        data = f"{self._seed}\0{text}".encode("utf-8", "surrogatepass")
        key = -int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "big")
        if key in self._held or (len(self._kept) == self._size and key < self._kept[0][0]):
            return
        self._held.add(key)
        if len(self._kept) < self._size:
            heapq.heappush(self._kept, (key, text, about))
        else:
            self._held.discard(heapq.heappushpop(self._kept, (key, text, about))[0])

    def drawn(self) -> list[tuple[str, T]]:
        """The texts of the sample with what is kept beside them, in an order of content and seed.

        Of equal texts it is the first one's.
        """
        kept = sorted(self._kept, key=lambda entry: -entry[0])
        return [(text, about) for _, text, about in kept]
