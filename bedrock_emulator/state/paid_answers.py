"""Every answer that was paid for, by whatever path, so that a record paid for twice is found.

A request is known by a digest of its body, because only batch jobs have record ids. Two records
with equal bodies may each have an answer: so a body may have as many answers as record ids have
asked it in batch jobs, or one if no batch job has processed it. Bodies are not kept, only 16 bytes
of each.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.state.store import Store

BATCH = "batch"
DIGEST_BYTES = 16
_EXAMPLES = 10
# Members of a Converse call that say how it is served, not what is asked.
_TRANSPORT = frozenset(
    {"modelId", "guardrailConfig", "performanceConfig", "serviceTier", "requestMetadata"}
)


def request_digest(body: Any, is_converse: bool) -> bytes:
    """Return bytes that are equal for equal requests of batch jobs and of calls.

    The order of keys does not matter. The body of a Converse call passed through an SDK, which may
    write bytes as base64, 1.0 as 1, and leave nulls out: that does not matter either.
    """
    if is_converse and isinstance(body, dict):
        body = _plain({name: body[name] for name in body.keys() - _TRANSPORT})
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class BatchAnswer:
    """One record of a batch job.

    is_paid: whether it was answered; records that ended in an error, or that the job did not reach,
        are not paid for
    is_delivered: whether its line is in the output
    """

    digest: bytes
    record_id: str
    is_paid: bool
    is_delivered: bool = True


class PaidAnswers:
    """The answers of all batch jobs and calls, in the state file. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_job(self, job_arn: str, bill: dict[str, Any], answers: Iterable[BatchAnswer]) -> None:
        """Save a job's bill and all of its records. A job that is billed again replaces both."""
        rows = (
            (a.digest, BATCH, job_arn, _stored(a.record_id), a.is_paid, a.is_delivered)
            for a in answers
        )
        self._store.replace_job(job_arn, bill, rows)

    def add_call(self, operation: str, digest: bytes) -> int:
        """Save the answer to a call, and return its number."""
        return self._store.add_answer((digest, operation, "", "", True, True))

    def mark_lost(self, number: int) -> None:
        """Note that a fault kept the answer with this number from the caller."""
        self._store.mark_lost(number)

    def by_job(self) -> dict[str, dict[str, int]]:
        """Return, by job, how often each record id was paid for."""
        counts: dict[str, dict[str, int]] = {}
        for job_arn, record_id, count in self._store.select(
            "SELECT job_arn, record_id, count(*) FROM answers WHERE path = ? AND paid "
            "GROUP BY job_arn, record_id",
            BATCH,
        ):
            counts.setdefault(job_arn, {})[_loaded(record_id)] = count
        return counts

    def undelivered(self) -> dict[str, list[str]]:
        """Return, by job, the record ids that were paid for although a fault removed their line."""
        record_ids: dict[str, list[str]] = {}
        for job_arn, record_id in self._store.select(
            "SELECT job_arn, record_id FROM answers WHERE path = ? AND paid AND NOT delivered",
            BATCH,
        ):
            record_ids.setdefault(job_arn, []).append(_loaded(record_id))
        return record_ids

    def paid_again(self) -> dict[str, Any]:
        """Return the records that were paid for more than once; docs/emulator.md explains it."""
        records = answers = undelivered = 0
        by_path: Counter[str] = Counter()
        examples: list[str] = []
        for digest, allowed, payments in self._payments():
            records += 1
            answers += len(payments) - allowed
            undelivered += _repeats_of_lost(allowed, payments)
            by_path.update(payment.path for payment in payments)
            if len(examples) < _EXAMPLES:
                record_ids = (p.record_id for p in payments if p.record_id)
                examples.append(next(map(_loaded, record_ids), digest.hex()[:12]))
        return {
            "records": records,
            "answers": answers,
            "undelivered": undelivered,
            "by_path": dict(sorted(by_path.items())),
            "examples": examples,
        }

    def _payments(self) -> Iterator[tuple[bytes, int, list[_Payment]]]:
        """Yield each body with too many answers: digest, allowed answers, and all, oldest first."""
        rows = self._store.select(
            "SELECT answers.digest, allowed, path, record_id, delivered FROM answers JOIN ("
            " SELECT digest, max(1, count(DISTINCT nullif(record_id, ''))) AS allowed"
            " FROM answers GROUP BY digest"
            " HAVING sum(paid) > max(1, count(DISTINCT nullif(record_id, '')))"
            ") AS again ON again.digest = answers.digest "
            "WHERE paid ORDER BY answers.digest, answers.rowid"
        )
        for (digest, allowed), group in itertools.groupby(rows, lambda row: row[:2]):
            yield digest, allowed, [_Payment(*row[2:]) for row in group]


@dataclass(frozen=True)
class _Payment:
    """One answer that was paid for. The record id is as it is stored, "" for a call."""

    path: str
    record_id: bytes | str
    is_delivered: int


def _stored(record_id: str) -> bytes:
    """Return a record id as bytes: text with half a surrogate pair cannot be stored."""
    return record_id.encode("utf-8", "surrogatepass")


def _loaded(record_id: bytes | str) -> str:
    return record_id if isinstance(record_id, str) else record_id.decode("utf-8", "surrogatepass")


def _repeats_of_lost(allowed: int, payments: list[_Payment]) -> int:
    """Return how many answers beyond the allowed ones came while some were not delivered yet."""
    repeats = delivered = 0
    for number, payment in enumerate(payments):
        repeats += number >= allowed and delivered < allowed
        delivered += payment.is_delivered
    return repeats
