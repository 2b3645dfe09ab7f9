"""Hash request bodies before the shuffle, for runs whose record ids come from bodies.

These are runs without a key, and runs in which equal bodies share a record (`request.dedupe`). The
hash is XXH64 (https://xxhash.com), seed 42, of the body's bytes in the JSONL, so that anyone can
recompute a record id from a line. A row that cannot be rendered keeps a hash of its values: like
all rejects, it is rejected after the shuffle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.families.request_body import body_template
from bedrock_spark.shards.record_ids import body_hash
from bedrock_spark.spark.prepare.columns import HASH, KEY, REPEATED, TIE
from bedrock_spark.spark.prepare.media_batches import open_objects, with_media
from bedrock_spark.spark.prepare.render import (
    ANY_ID,
    body_of,
    render_lines,
    slices_in_cache,
)
from bedrock_spark.spark.worker_process import set_up_worker
from bedrock_spark.templates.body_template import BodyTemplate, RowRejected

_CHANGED = "was replaced while prepare read it"


def reject_changed(
    template: BodyTemplate,
    batch: pa.RecordBatch,
    lines: pa.Array,
    rejected: dict[int, RowRejected],
) -> None:
    """Reject the rows whose images were replaced since their bodies were hashed.

    Else the answer about a new image would be that of all rows with the old one.

    batch: with the SHA-256 of each body as KEY; lines: null for a row that is rejected
    """
    if not template.media:
        return
    for row, digest in enumerate(batch.column(KEY).to_pylist()):
        line = lines[row].as_py()
        if line is not None and hashlib.sha256(body_of(line)).hexdigest() != digest:
            rejected[row] = RowRejected(template.media[0].column, _CHANGED)


@dataclass(frozen=True)
class HashBodies:
    """Replace the key's hash by the body's hash, and the key text by the body's SHA-256.

    Sent to executors.

    is_keyed: the rows are sorted by key; REPEATED gets each key that the row before has too. If
        not, no key repeats, or there are none
    """

    config: Config
    aws: AwsSettings
    is_keyed: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches with HASH, KEY and REPEATED replaced, their other columns unchanged."""
        set_up_worker()
        with open_objects(self.aws) as objects:
            template = body_template(self.config, objects.fetch)
            fetched = (s for batch in batches for s in with_media(batch, template, objects))
            yield from self._with_hashes(fetched, template)

    def _with_hashes(
        self, batches: Iterator[pa.RecordBatch], template: BodyTemplate
    ) -> Iterator[pa.RecordBatch]:
        last_key: str | None = None
        for batch in batches:
            keys = batch.column(KEY).to_pylist()
            repeated = self._repeated_keys(keys, last_key)
            last_key = keys[-1] if keys else last_key
            hashes: list[int] = []
            digests: list[str | None] = []
            for cached in slices_in_cache(batch):
                own_hashes, own_digests = self._hash_bodies(cached, template)
                hashes += own_hashes
                digests += own_digests
            replaced = {
                HASH: pa.array(hashes, pa.int64()),
                KEY: pa.array(digests, pa.string()),
                REPEATED: pa.array(repeated, pa.string()),
            }
            columns = [
                replaced.get(f.name, c) for f, c in zip(batch.schema, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _repeated_keys(self, keys: list[str | None], last_key: str | None) -> list[str | None]:
        """Return each key that is equal to the one before it, None for the others."""
        if not self.is_keyed:
            return [None] * len(keys)
        pairs = zip(keys, [last_key, *keys[:-1]], strict=True)
        return [key if key == previous else None for key, previous in pairs]

    def _hash_bodies(
        self, batch: pa.RecordBatch, template: BodyTemplate
    ) -> tuple[list[int], list[str | None]]:
        """Return hash and SHA-256 of each row's body; TIE and None if it cannot be rendered."""
        ids = pa.repeat(ANY_ID, batch.num_rows)
        lines, _ = render_lines(ids, batch, template, self.config.shards.max_bytes)
        hashes: list[int] = batch.column(TIE).to_pylist()
        digests: list[str | None] = [None] * batch.num_rows
        for i, line in enumerate(lines.to_pylist()):
            if line is not None:
                body = body_of(line)
                hashes[i], digests[i] = body_hash(body), hashlib.sha256(body).hexdigest()
        return hashes, digests
