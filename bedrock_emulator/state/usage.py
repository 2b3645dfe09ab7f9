"""Usage: what AWS would bill, which shows whether any record was paid for twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
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
class Tokens:
    """Calls and tokens of one model through the runtime operations.

    flex_...: the part of them at the flex tier, which has a price of its own
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    flex_calls: int = 0
    flex_input_tokens: int = 0
    flex_output_tokens: int = 0

    def plus(self, calls: int, input_tokens: int, output_tokens: int, *, is_flex: bool) -> Tokens:
        flex = (calls, input_tokens, output_tokens) if is_flex else (0, 0, 0)
        return Tokens(
            self.calls + calls,
            self.input_tokens + input_tokens,
            self.output_tokens + output_tokens,
            self.flex_calls + flex[0],
            self.flex_input_tokens + flex[1],
            self.flex_output_tokens + flex[2],
        )


class Usage:
    """Bills of jobs and invocations, and the number of requests per operation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers = PaidAnswers(store)
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._invocations = {
            model_id: Tokens(**body) for model_id, body in store.documents("invocations")
        }

    def bill_job(self, bill: JobBill, answers: Iterable[BatchAnswer]) -> None:
        """Save a job's bill and all of its records."""
        self._answers.add_job(bill.job_arn, asdict(bill), answers)

    def bill_call(
        self,
        operation: str,
        model_id: str,
        digest: bytes,
        input_tokens: int,
        output_tokens: int,
        *,
        is_flex: bool = False,
    ) -> int:
        """Save the answer to a call, and return its number.

        digest: of the request's body
        """
        with self._lock:
            self._add(model_id, 1, input_tokens, output_tokens, is_flex=is_flex)
            return self._answers.add_call(operation, digest)

    def add_tokens(
        self, model_id: str, input_tokens: int, output_tokens: int, *, is_flex: bool
    ) -> None:
        """Add the tokens of a call that was billed when its stream began."""
        with self._lock:
            self._add(model_id, 0, input_tokens, output_tokens, is_flex=is_flex)

    def _add(
        self, model_id: str, calls: int, input_tokens: int, output_tokens: int, *, is_flex: bool
    ) -> None:
        before = self._invocations.get(model_id, Tokens())
        total = before.plus(calls, input_tokens, output_tokens, is_flex=is_flex)
        self._invocations[model_id] = total
        # Still under the lock: else an older total could be the last one that is written.
        self._store.put("invocations", model_id, asdict(total))

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
            invocations = {model: asdict(total) for model, total in self._invocations.items()}
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
                "invocation_input_tokens": sum(t["input_tokens"] for t in invocations.values()),
                "invocation_output_tokens": sum(t["output_tokens"] for t in invocations.values()),
            },
        }
