"""Turn one input line of a batch job into one output line.

A record that cannot be answered has an `error` in its own line. It never makes the job fail.
"""

from __future__ import annotations

import fnmatch
import json
import logging
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.answers.prompt import PromptError
from bedrock_emulator.errors import ServiceError
from bedrock_emulator.families import converse
from bedrock_emulator.families.batch_rules import RecordRefusedError, check_batch_record
from bedrock_emulator.families.family import Answer, BodyError, Context, Family, read_body
from bedrock_emulator.faults import RecordErrors, is_retryable
from bedrock_emulator.state.draws import body_digest, draw, draw_record_id
from bedrock_emulator.state.paid_answers import request_digest
from bedrock_emulator.wire.serialization import dump
from bedrock_emulator.wire.service_model import error_statuses

log = logging.getLogger(__name__)

_MESSAGES = {
    400: "The model returned the following errors: the request body is not valid for this model.",
    403: "Customer doesn't have permissions to invokeModel",
    408: "The model did not answer in time.",
    424: "The model failed while it processed the request.",
    429: "Too many requests, please wait before trying again.",
    500: "The system encountered an unexpected error during processing. Try your request again.",
    503: "Service is unavailable, please try again.",
}


@dataclass(frozen=True)
class RecordRules:
    """The record errors of a fault script, and the seed they are drawn from."""

    rules: tuple[RecordErrors, ...]
    seed: int

    def permanent(self, digest: str) -> RecordErrors | None:
        """Return the error that a body gets in every batch job and every runtime call, or None."""
        for index, rule in enumerate(self.rules):
            is_permanent = not rule.is_retryable and not rule.record_ids and rule.jobs == "*"
            if is_permanent and draw(self.seed, "permanent", index, digest) < rule.share:
                return rule
        return None

    def in_job(self, job_name: str, record_id: str, digest: str) -> RecordErrors | None:
        """Return the error that a record gets in this job, or None."""
        for index, rule in enumerate(self.rules):
            if not fnmatch.fnmatchcase(job_name, rule.jobs):
                continue
            if rule.record_ids and record_id not in rule.record_ids:
                continue
            if rule.is_retryable:
                chance = draw(self.seed, "retryable", index, job_name, record_id)
            else:
                chance = draw(self.seed, "permanent", index, digest)
            if chance < rule.share:
                return rule
        return None


@dataclass(frozen=True)
class RecordResult:
    """An output line and its token counts, which are 0 for a record that is not `ok`.

    digest: of the body, as `request_digest` returns it
    """

    record_id: str
    ok: bool
    line: bytes
    digest: bytes
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class RecordWork:
    """Answers the records of one job."""

    job_name: str
    family: Family
    context: Context
    is_converse: bool
    rules: RecordRules
    errors_in_model_output: bool = False
    null_members: bool = True

    def process(self, raw: bytes, number: int) -> RecordResult:
        """Return the output line of an input line. `number` is its position in the job, from 0."""
        record_id = draw_record_id(self.rules.seed, self.job_name, number)
        try:
            record = json.loads(raw)
            own_id = record.get("recordId")
            if isinstance(own_id, str) and own_id:
                record_id = own_id
            return self._process(record_id, record.get("modelInput"))
        except RecursionError:
            # The line could be parsed, but is nested too deep for a later step.
            message = "Malformed input request: the body is nested too deep"
            return self._failed(record_id, None, 400, message, False)
        except Exception:
            # A defect of the emulator is the error of this record, not of the job.
            log.exception("job %s: record %d failed", self.job_name, number)
            message = "The emulator failed; its log has the traceback."
            return self._failed(record_id, None, 500, message, True)

    def _process(self, record_id: str, body: Any) -> RecordResult:
        # Only the rules need the digest: they draw from it.
        digest = body_digest(body) if self.rules.rules else ""
        fault = self.rules.in_job(self.job_name, record_id, digest)
        if fault is not None:
            message = fault.message or _MESSAGES.get(fault.code, "The record failed.")
            return self._failed(record_id, body, fault.code, message, fault.is_retryable)
        try:
            answer = self._answer(body)
        except RecordRefusedError as exc:
            return self._failed(record_id, body, exc.code, exc.message, False)
        except (BodyError, PromptError) as exc:
            return self._failed(record_id, body, 400, exc.message, False)
        except ServiceError as exc:
            # The backend could not answer, or the answer script has an error.
            code = error_statuses().get(exc.code, 500)
            return self._failed(record_id, body, code, exc.message, is_retryable(code))
        line = dump({"modelInput": body, "modelOutput": answer.body, "recordId": record_id})
        paid = request_digest(body, self.is_converse)
        return RecordResult(record_id, True, line, paid, answer.input_tokens, answer.output_tokens)

    def _answer(self, body: Any) -> Answer:
        model_id = self.context.model_id
        if self.is_converse:
            converse.check_body(body, model_id)
            check_batch_record(model_id, body, is_converse=True)
            if not self.family.has_converse:
                raise BodyError("This model does not support the Converse type.")
            response = converse.answer(body, self.context.for_body(body, waits=False))
            output = response.body
            if self.null_members:
                output = converse.as_batch_output(output)
            return Answer(output, response.input_tokens, response.output_tokens)
        checked = read_body(self.family, body)
        check_batch_record(model_id, body, is_converse=False)
        return self.family.answer(checked, self.context.for_body(body, waits=False))

    def _failed(
        self, record_id: str, body: Any, code: int, message: str, retryable: bool
    ) -> RecordResult:
        error = error_object(code, message, retryable=retryable)
        member = "modelOutput" if self.errors_in_model_output else "error"
        line = dump({"modelInput": body, member: error, "recordId": record_id})
        return RecordResult(record_id, False, line, request_digest(body, self.is_converse))


def error_object(
    code: int, message: str, *, retryable: bool, expired: bool = False
) -> dict[str, Any]:
    """Return the `error` of an output line, with the members that real output lines have."""
    return {
        "errorCode": code,
        "errorMessage": message,
        "expired": expired,
        "retryable": retryable,
    }


def as_expired(line: bytes) -> bytes:
    """Return an output line as it is for a record that the job did not reach before its timeout.

    For job rules with `unprocessed: expired`.
    """
    record = json.loads(line)
    error = error_object(408, "The job timed out before the record.", retryable=True, expired=True)
    return dump(
        {"modelInput": record["modelInput"], "error": error, "recordId": record["recordId"]}
    )
