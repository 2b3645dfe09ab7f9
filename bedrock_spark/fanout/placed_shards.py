"""Shards by id, and the place of each in their order: what is known of them may be in lists.

A list takes a sixth of the memory of a dict. Whoever goes through many shards in their order looks
up nothing: in a dict of 100,000 names, a look-up takes twice as long as in one of 10,000, because
the dict does not fit into the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bedrock_spark.run_folder.manifest import Shard


class PlacedShards(Mapping[str, Shard]):
    """Shards by id. ids: of all of them, in their order; a place is an index of this list."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._shards = list(shards)
        self.ids = [shard.shard_id for shard in self._shards]
        self._places = {shard_id: place for place, shard_id in enumerate(self.ids)}

    def __getitem__(self, shard_id: str) -> Shard:
        return self._shards[self._places[shard_id]]

    def __contains__(self, shard_id: object) -> bool:
        return shard_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def in_order(self) -> list[Shard]:
        """Return all shards. The list must not be changed."""
        return self._shards

    def place(self, shard_id: str) -> int:
        """Return the place of a shard. Raises KeyError if it is none of these."""
        return self._places[shard_id]

    def find(self, shard_id: str) -> int | None:
        """Return the place of a shard; None if it is none of these."""
        return self._places.get(shard_id)

    def places(self, shard_ids: Iterable[str]) -> Iterator[int | None]:
        """Yield the place of each shard; None for one that is none of these.

        As a rule, each is the one after the one before it. Then nothing is looked up.
        """
        ids, following = [*self.ids, None], 0
        for shard_id in shard_ids:
            place = following if ids[following] == shard_id else self._places.get(shard_id)
            if place is not None:
                following = place + 1
            yield place
