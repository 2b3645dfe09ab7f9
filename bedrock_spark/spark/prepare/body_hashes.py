"""Hash request bodies, before the shuffle: where a row is known by what it asks.

The hash is XXH64 with seed 42 of the body as it stands in the JSONL, so that anybody can recompute
a record id from a line. Rows that cannot be rendered keep a hash of their values; they are rejected
after the shuffle, where every reject is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from bedrock_spark.config import Config
from bedrock_spark.families.request_body import body_template
from bedrock_spark.shards.record_ids import body_hash
from bedrock_spark.spark.prepare.columns import HASH, KEY, REPEATED, TIE
from bedrock_spark.spark.prepare.media_batches import open_objects, with_media
from bedrock_spark.spark.prepare.render import ANY_ID, body_of, render_lines
from bedrock_spark.templates.body_template import BodyTemplate


@dataclass(frozen=True)
class HashBodies:
    """Put the hash and the digest of the body in place of the key's; sent to executors.

    is_keyed: rows come sorted by key, and a key that the row before had is noted in REPEATED.
    """

    config: Config
    is_keyed: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return the batches with their bodies hashed."""
        with open_objects(self.config) as objects:
            template = body_template(self.config, objects.fetch)
            parts = (p for batch in batches for p in with_media(batch, template, objects))
            yield from self._hashed(parts, template)

    def _hashed(
        self, batches: Iterator[pa.RecordBatch], template: BodyTemplate
    ) -> Iterator[pa.RecordBatch]:
        last: str | None = None
        for batch in batches:
            keys = batch.column(KEY).to_pylist()
            repeated = self._repeated(keys, last)
            last = keys[-1] if keys else last
            hashes, digests = self._hashes(batch, template)
            changed = {
                HASH: pa.array(hashes, pa.int64()),
                KEY: pa.array(digests, pa.string()),
                REPEATED: pa.array(repeated, pa.string()),
            }
            columns = [
                changed.get(f.name, c) for f, c in zip(batch.schema, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _repeated(self, keys: list[str | None], last: str | None) -> list[str | None]:
        if not self.is_keyed:
            return [None] * len(keys)
        return [k if k == b else None for k, b in zip(keys, [last, *keys[:-1]], strict=True)]

    def _hashes(
        self, batch: pa.RecordBatch, template: BodyTemplate
    ) -> tuple[list[int], list[str | None]]:
        ids = pa.repeat(ANY_ID, batch.num_rows)
        lines, _ = render_lines(ids, batch, template, self.config.shards.max_bytes)
        hashes: list[int] = batch.column(TIE).to_pylist()
        digests: list[str | None] = [None] * batch.num_rows
        for i, line in enumerate(lines.to_pylist()):
            if line is not None:
                body = body_of(line)
                hashes[i], digests[i] = body_hash(body), hashlib.sha256(body).hexdigest()
        return hashes, digests
