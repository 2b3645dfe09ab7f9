"""Rows of a store of answers, for tests."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bedrock_spark.answers.digest import request_digest
from bedrock_spark.answers.lookup import FOUND, REASONS, KeptAnswers, Rules
from bedrock_spark.answers.store import HIGHEST, LOWEST, AnswersFile, begin_store, pin_files
from bedrock_spark.answers.table import SCHEMA, write_answers
from bedrock_spark.shards.record_ids import body_hash
from bedrock_spark.storage import LocalStorage, Storage

HERE, ELSEWHERE = hashlib.sha256(b"here").digest(), hashlib.sha256(b"elsewhere").digest()
DAY = 86_400


def answer(
    body: str,
    text: str = "yes",
    *,
    at: float = 0.0,
    context: bytes = HERE,
    outcome: str = "ok",
    hashed: int | None = None,
) -> dict[str, Any]:
    """Return a row. hashed: its hash, if it is not that of the body"""
    data = body.encode()
    return {
        "body_hash": body_hash(data) if hashed is None else hashed,
        "request_digest": request_digest(hashlib.sha256(data).digest(), context),
        "answered_at": dt.datetime.fromtimestamp(at, dt.UTC),
        "outcome": outcome,
        "model_id": "a.model",
        "run_id": "run-1",
        "record_id": "0" * 11,
        "served_by": "batch",
        "input_tokens": 3,
        "output_tokens": 1,
        "cost_usd": 0.25,
        "model_output": f'{{"text":"{text}"}}',
    }


def write(
    storage: Storage, rows: Sequence[dict[str, Any]], *, at: float = 0.0, label: str = "run-1"
) -> AnswersFile:
    """Write rows, in any order, as one file; begin the store."""
    begin_store(storage)
    ordered = sorted(rows, key=lambda row: row["body_hash"])
    batch = pa.RecordBatch.from_pylist(ordered, SCHEMA)
    file = write_answers(storage, at, label, 0, [batch])
    assert file is not None
    return file


def store_at(folder: Path) -> LocalStorage:
    """Return an empty store."""
    storage = LocalStorage(str(folder / "store"))
    begin_store(storage)
    return storage


def found(
    storage: Storage,
    bodies: Sequence[str],
    *,
    contexts: tuple[bytes, ...] = (HERE,),
    oldest: float = 0.0,
    outcomes: tuple[str, ...] = ("ok",),
    refused: Sequence[str] = (),
    hashed: int | None = None,
    files: Sequence[AnswersFile] | None = None,
    streamed: Sequence[dict[str, Any]] = (),
) -> tuple[dict[str, str], dict[str, int]]:
    """Look bodies up; return the text of each answer, and why the others have none.

    refused: texts that the run does not accept; hashed: the hash of the only body
    streamed: answers that are in no file, in any order
    """
    hashes = {body: body_hash(body.encode()) if hashed is None else hashed for body in bodies}
    ordered = sorted(bodies, key=hashes.__getitem__)
    pinned = pin_files(storage) if files is None else files
    kept = KeptAnswers(storage, pinned, LOWEST, HIGHEST)
    answers = kept.find(
        np.array([hashes[body] for body in ordered], np.int64),
        lambda which: [hashlib.sha256(ordered[n].encode()).digest() for n in which],
        Rules(contexts, int(oldest * 1_000_000), outcomes),
        lambda outputs: [text_of(output.decode()) not in refused for output in outputs],
        pa.Table.from_pylist(list(streamed), SCHEMA) if streamed else None,
    )
    kept.close()
    texts = map(text_of, answers.answers.column("model_output").to_pylist())
    pairs = zip(answers.bodies.tolist(), texts, strict=True)
    reasons = Counter(REASONS[number] for number in answers.why.tolist() if number != FOUND)
    return {ordered[n]: text for n, text in pairs}, dict(reasons)


def text_of(output: str) -> str:
    """Return the text in a modelOutput of `answer`."""
    return output.split('"')[3]
