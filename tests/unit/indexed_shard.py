"""A shard with its index, in a storage that counts what is read."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.shard_records import read_records
from bedrock_spark.shards.index_builder import IndexBuilder
from bedrock_spark.shards.lines import ShardLine
from bedrock_spark.shards.record_ids import encode
from bedrock_spark.storage import Storage

PREPARE_ID = "0a1b2c3d4e5f"
# The only shard of the only bucket.
SHARD = layout.shard_id(0, 0)
KEY, INDEX_KEY = layout.shard_key(SHARD, PREPARE_ID), layout.index_key(SHARD, PREPARE_ID)


class Counted:
    """A storage that counts the bytes that it returns, and the calls for them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.calls: list[str] = []
        self.bytes = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        def counted(*arguments: Any) -> Any:
            reply = method(*arguments)
            self.calls.append(name)
            self.bytes += len(reply) if isinstance(reply, bytes) else 0
            return reply

        return counted


class IndexedShard:
    """A shard with its index. `ids`: its records in its order; `data`: its lines."""

    def __init__(self, storage: Storage, records: int, body_bytes: int) -> None:
        dice = random.Random(records)
        hashes = sorted(dice.getrandbits(64) - 2**63 for _ in range(records))
        self.ids = [encode(h) for h in hashes]
        lines = [
            b'{"recordId":"%b","modelInput":{"a":"%b"}}\n'
            % (i.encode(), b"x" * dice.randrange(body_bytes // 2, body_bytes * 3 // 2))
            for i in self.ids
        ]
        self.data = b"".join(lines)
        builder = IndexBuilder()
        sizes = np.array([len(line) for line in lines])
        builder.add(np.array([i.encode() for i in self.ids], "S11"), sizes)
        self.index = builder.finish().to_bytes()
        storage.write(KEY, self.data)
        storage.write(INDEX_KEY, self.index)
        self.storage: Any = Counted(storage)

    def read(self, ids: list[str]) -> list[ShardLine]:
        """Read records, and check that each is as it was written."""
        records = list(read_records(self.storage, SHARD, PREPARE_ID, ids))
        assert all(record.as_line() in self.data for record in records)
        return records
