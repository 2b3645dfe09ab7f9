"""Find the answers that are kept under one digest, such as for a record that somebody looks at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import pin_files
from bedrock_spark.answers.table import BODY_HASH, MODEL_OUTPUT, REQUEST_DIGEST, SCHEMA
from bedrock_spark.storage import Storage

_NARROW = [BODY_HASH, REQUEST_DIGEST]
_ABOUT = [name for name in SCHEMA.names if name not in (BODY_HASH, MODEL_OUTPUT)]


@dataclass(frozen=True)
class StoredAnswer:
    """An answer as the store has it; docs/answers.md describes the columns.

    file: the key of the file that has it
    answered_at: in UTC; cost_usd: None if the prices of that run are not known
    model_output: the answer as JSON, byte for byte
    """

    file: str
    request_digest: str
    answered_at: dt.datetime | None
    outcome: str | None
    model_id: str | None
    run_id: str | None
    record_id: str | None
    served_by: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    model_output: bytes


def find_by_digest(
    storage: Storage, digest: str, body_hash: int | None = None
) -> tuple[StoredAnswer, ...]:
    """Return the answers that a store has under a digest, the newest first; none without a store.

    digest: in hexadecimal, as in the column request_digest of results
    body_hash: of the body that was asked, signed, if it is known: `hash_of_id` in
        shards/record_ids.py tells it of a record. Then only row groups with this hash are read;
        otherwise the digests of the whole store are
    Raises AnswerStoreError if the store or a file that is read is damaged.
    """
    found: list[StoredAnswer] = []
    for file in pin_files(storage):
        if body_hash is None or file.has_part_of(body_hash, body_hash):
            with closing(OpenAnswers(storage, file)) as opened:
                found += _in_file(opened, digest, body_hash)
    oldest = dt.datetime.fromtimestamp(0, dt.UTC)
    return tuple(sorted(found, key=lambda one: one.answered_at or oldest, reverse=True))


def _in_file(opened: OpenAnswers, digest: str, body_hash: int | None) -> Iterator[StoredAnswer]:
    groups = opened.groups if body_hash is None else opened.groups_of(body_hash, body_hash)
    for group in groups:
        is_it = pc.equal(opened.read(group.number, _NARROW).column(REQUEST_DIGEST), digest)
        rows = np.flatnonzero(pc.fill_null(is_it, False).to_numpy())
        if not len(rows):
            continue
        taken = pa.array(rows)
        outputs = opened.read(group.number, [MODEL_OUTPUT]).take(taken).column(0)
        texts = outputs.cast(pa.string()).to_pylist()
        about = opened.read(group.number, _ABOUT).take(taken).to_pylist()
        for values, text in zip(about, texts, strict=True):
            yield StoredAnswer(opened.file.key, **values, model_output=(text or "").encode())
