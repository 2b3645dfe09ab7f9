"""Single calls and the store of answers: look up before a call is paid for, keep what was paid.

For the canary and for previews: a few bodies, from a process without Spark. An answer that is kept
serves every later run and preview that asks the same model the same thing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from bedrock_spark.answers.digest import asking_of, contexts_of, request_digest
from bedrock_spark.answers.lookup import Accept, KeptAnswers, Rules, as_bytes
from bedrock_spark.answers.store import begin_store, pin_files
from bedrock_spark.answers.table import BODY_HASH, MODEL_OUTPUT, RUN_ID, SCHEMA, write_answers
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config, TokenPrices
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.families import Answer, family_of
from bedrock_spark.outputs.judge import Judge
from bedrock_spark.outputs.outcomes import OK
from bedrock_spark.outputs.record_errors import ERROR_INSIDE, error_inside
from bedrock_spark.schema import parse_ddl
from bedrock_spark.shards.record_ids import body_hash
from bedrock_spark.storage import open_storage

CANARY, PREVIEW = "canary", "preview"


@dataclass(frozen=True)
class KeptCall:
    """An answer that was kept: its JSON, and the run that paid for it."""

    output: bytes
    run_id: str


def judge_of(config: Config) -> Judge:
    """Return the judge of a run's answers: as collect judges them."""
    parse = config.results.parse
    columns = parse_ddl(parse.columns) if parse is not None else ()
    return Judge(family_of(config), columns, config.request.answer_schema)


def kept_outcomes(config: Config) -> tuple[str, ...]:
    """Return the outcomes of answers that are kept, and used again."""
    return (OK, *(config.answers.keep if config.answers is not None else ()))


def rules_of(config: Config, now: float) -> Rules:
    """Return which kept answers count for a run. now: in seconds since the epoch"""
    max_age = config.answers.max_age if config.answers is not None else None
    oldest = 0.0 if max_age is None else now - max_age
    return Rules(contexts_of(config), int(oldest * 1_000_000), kept_outcomes(config))


def accepting(config: Config) -> Accept:
    """Return what tells of answers whether a run uses them: as its collect would judge them."""
    judge, outcomes = judge_of(config), kept_outcomes(config)

    def accept(outputs: Sequence[bytes]) -> list[bool]:
        _, judgements = judge.read_many(outputs)
        return [
            judgement.ended in outcomes and _may_be_a_line(output)
            for judgement, output in zip(judgements, outputs, strict=True)
        ]

    return accept


def _may_be_a_line(output: bytes) -> bool:
    """Tell whether collect would read an answer from an output line that has this one.

    A line break, which JSON may have between values, would end the line, and some outputs are read
    as errors. What this package keeps is neither.
    """
    return b"\n" not in output and (ERROR_INSIDE not in output or error_inside(output) is None)


def find_kept(
    config: Config, aws: AwsSettings, bodies: Iterable[bytes], now: float
) -> dict[bytes, KeptCall]:
    """Return the answers that are kept for some bodies; none if the config reads no store.

    An answer counts as in prepare: by the same models, age and outcomes, if it is what the run
    asks for.

    now: in seconds since the epoch
    Raises AnswerStoreError if the store is damaged.
    """
    answers = config.answers
    if answers is None or not answers.is_read:
        return {}
    store = open_storage(answers.uri, aws)
    files = pin_files(store)
    rules, accept = rules_of(config, now), accepting(config)
    ordered = sorted(dict.fromkeys(bodies), key=body_hash)
    if not files or not ordered:
        return {}
    hashes = np.array([body_hash(body) for body in ordered], np.int64)
    first, last = int(hashes[0]), int(hashes[-1])
    with closing(KeptAnswers(store, files, first, last, hashes)) as kept:
        found = kept.find(hashes, _sha256_of(ordered), rules, accept)
    outputs = as_bytes(found.answers.column(MODEL_OUTPUT))
    run_ids = found.answers.column(RUN_ID).to_pylist()
    each = zip(found.bodies.tolist(), outputs, run_ids, strict=True)
    return {ordered[n]: KeptCall(output, run_id or "") for n, output, run_id in each}


def _sha256_of(bodies: Sequence[bytes]) -> Callable[[Sequence[int]], list[bytes]]:
    return lambda numbers: [hashlib.sha256(bodies[n]).digest() for n in numbers]


class CallKeeper:
    """Gathers the answers of single calls, and adds them to the store as one file.

    Safe to use from many threads.

    model_id: the model that is called; served_by: CANARY or PREVIEW
    prices, per_image: on demand; None if not known
    """

    def __init__(
        self,
        config: Config,
        aws: AwsSettings,
        model_id: str,
        served_by: str,
        run_id: str,
        prices: TokenPrices | None,
        per_image: Decimal | None,
    ) -> None:
        answers = config.answers
        self._uri = answers.uri if answers is not None and answers.is_written else None
        self._aws = aws
        self._common = {"model_id": model_id, "served_by": served_by, "run_id": run_id}
        self._context = b"" if self._uri is None else asking_of(config).context(model_id)
        self._judge = judge_of(config)
        self._outcomes = kept_outcomes(config)
        self._prices, self._per_image = prices, per_image
        self._rows: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def add(self, body: bytes, output: bytes, at: float, record_id: str | None = None) -> None:
        """Add an answer, if its outcome is one that is kept.

        at: when it was given, in seconds since the epoch
        """
        if self._uri is None:
            return
        answer, judgement = self._judge.read(output)
        if judgement.ended not in self._outcomes:
            return
        cost = self._cost(answer)
        row = self._common | {
            BODY_HASH: body_hash(body),
            "request_digest": request_digest(hashlib.sha256(body).digest(), self._context),
            "answered_at": dt.datetime.fromtimestamp(at, dt.UTC),
            "outcome": judgement.ended,
            "record_id": record_id,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "cost_usd": None if cost is None else float(cost),
            MODEL_OUTPUT: str(output, "utf-8"),
        }
        with self._lock:
            self._rows.append(row)

    def _cost(self, answer: Answer) -> Decimal | None:
        is_counted = answer.input_tokens is not None or bool(answer.images)
        if not is_counted or (self._prices is None and self._per_image is None):
            return None
        tokens = Tokens(
            *(answer.input_tokens or 0, answer.output_tokens or 0, len(answer.images)),
            *(answer.cache_read_tokens or 0, answer.cache_write_tokens or 0),
        )
        return tokens.cost(self._prices, self._per_image)

    def write(self, now: float) -> int:
        """Add what was gathered to the store, and forget it; return the number of answers.

        now: in seconds since the epoch
        Raises AnswerStoreError if the store is of another format.
        """
        with self._lock:
            rows, self._rows = self._rows, []
        if not rows or self._uri is None:
            return 0
        store = open_storage(self._uri, self._aws)
        begin_store(store)
        rows.sort(key=lambda row: row[BODY_HASH])
        # A label of its own: two processes may write in the same millisecond.
        label = f"{self._common['run_id']}-{self._common['served_by']}-{secrets.token_hex(4)}"
        write_answers(store, now, label, 0, [pa.RecordBatch.from_pylist(rows, SCHEMA)])
        return len(rows)
