"""Usage: what AWS would bill, which shows whether any record was paid for twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from bedrock_emulator.state.paid_answers import BatchAnswer, PaidAnswers
from bedrock_emulator.state.store import Store


@dataclass(frozen=True)
class JobBill:
    """The bill of one batch job. Records that ended in an error are not billed."""

    job_arn: str
    job_name: str
    client_request_token: str
    model_id: str
    input_uri: str
    records_billed: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class CallTokens:
    """The tokens of one call. Each kind has a price of its own.

    input_tokens: without those of the prompt cache; cache_write_...: by their lifetime
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_5m_input_tokens: int = 0
    cache_write_1h_input_tokens: int = 0

    @property
    def cache_write_input_tokens(self) -> int:
        """All tokens that were written to the prompt cache."""
        return self.cache_write_5m_input_tokens + self.cache_write_1h_input_tokens


_KINDS = tuple(field.name for field in fields(CallTokens))
_COUNTS = ("calls", *_KINDS)
# The part at the flex tier, which has other prices.
_NOTHING = dict.fromkeys([*_COUNTS, *(f"flex_{name}" for name in _COUNTS)], 0)


class Usage:
    """Bills of jobs and invocations, and the number of requests per operation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers = PaidAnswers(store)
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._invocations: dict[str, dict[str, int]] = dict(store.documents("invocations"))

    def bill_job(self, bill: JobBill, answers: Iterable[BatchAnswer]) -> None:
        """Save a job's bill and all of its records."""
        self._answers.add_job(bill.job_arn, asdict(bill), answers)

    def bill_call(
        self,
        operation: str,
        model_id: str,
        digest: bytes,
        tokens: CallTokens,
        *,
        is_flex: bool = False,
    ) -> int:
        """Save the answer to a call, and return its number.

        digest: of the request's body
        """
        with self._lock:
            self._add(model_id, 1, tokens, is_flex=is_flex)
            return self._answers.add_call(operation, digest)

    def add_tokens(self, model_id: str, tokens: CallTokens, *, is_flex: bool) -> None:
        """Add the tokens of a call that was billed when its stream began."""
        with self._lock:
            self._add(model_id, 0, tokens, is_flex=is_flex)

    def _add(self, model_id: str, calls: int, tokens: CallTokens, *, is_flex: bool) -> None:
        added = {"calls": calls, **asdict(tokens)}
        if is_flex:
            added |= {f"flex_{name}": count for name, count in added.items()}
        before = self._invocations.get(model_id, _NOTHING)
        total = {name: count + added.get(name, 0) for name, count in before.items()}
        self._invocations[model_id] = total
        # Still under the lock: else an older total could be the last one that is written.
        self._store.put("invocations", model_id, total)

    def mark_lost(self, number: int) -> None:
        """Note that a fault kept the answer with this number from the caller."""
        self._answers.mark_lost(number)

    def count_request(self, operation: str) -> int:
        """Count a call, and return its number among the calls of its operation, from 1."""
        with self._lock:
            self._requests[operation] += 1
            return self._requests[operation]

    def count_error(self, operation: str, code: str) -> None:
        with self._lock:
            self._errors[f"{operation} {code}"] += 1

    def requests(self) -> dict[str, Any]:
        """Return the number of calls by operation, and of error replies by operation and code."""
        with self._lock:
            return {"requests": dict(self._requests), "errors": dict(self._errors)}

    def report(self) -> dict[str, Any]:
        """Return all bills as JSON types."""
        jobs = [body for _, body in self._store.documents("bill")]
        with self._lock:
            invocations = dict(self._invocations)
        return {
            "jobs": jobs,
            "records": self._answers.by_job(),
            "paid_again": self._answers.paid_again(),
            "undelivered": self._answers.undelivered(),
            "invocations": invocations,
            "totals": {
                "records_billed": sum(bill["records_billed"] for bill in jobs),
                "batch_input_tokens": sum(bill["input_tokens"] for bill in jobs),
                "batch_output_tokens": sum(bill["output_tokens"] for bill in jobs),
                "invocations": sum(total["calls"] for total in invocations.values()),
                **{
                    f"invocation_{kind}": sum(total[kind] for total in invocations.values())
                    for kind in _KINDS
                },
            },
        }
