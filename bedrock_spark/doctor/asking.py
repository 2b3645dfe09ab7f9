"""Ask AWS a question that need not be answered: then the answer is why it could not be checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from bedrock_spark.aws.errors import (
    AWS_FAILURES,
    NO_CREDENTIALS,
    NO_REPLY,
    AwsFailure,
    credentials_advice,
    error_code,
    error_message,
    is_access_refused,
)

# An endpoint that is not AWS's own, such as the local Bedrock, has only some of the operations.
_NOT_THERE = frozenset({"NotImplemented", "UnknownOperationException", "UnknownOperation"})
# The words of AWS if a policy of the organization denies a call, whatever the caller's own say:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_BY_ORGANIZATION = "service control policy"


class UnansweredError(Exception):
    """Why a question has no answer, and what would allow it.

    is_denied_above: the organization denies the call, so no policy of the account allows it
    is_about_credentials: the caller is not known at all
    is_told_elsewhere: another probe has a line about the reason, so that one is enough
    """

    def __init__(
        self,
        why: str,
        fix: str | None = None,
        *,
        is_denied_above: bool = False,
        is_about_credentials: bool = False,
        is_told_elsewhere: bool = False,
    ) -> None:
        super().__init__(why)
        self.why, self.fix = why, fix
        self.is_denied_above, self.is_about_credentials = is_denied_above, is_about_credentials
        self.is_told_elsewhere = is_told_elsewhere


def ask(
    call: Callable[[], Any], action: str, resource: str = "*", *, absent: Collection[str] = ()
) -> Any:
    """Return the reply of a call of boto3. Raises UnansweredError.

    action, resource: what the call is checked on by IAM
    absent: error codes that say that there is no such thing; then None is returned
    """
    try:
        return call()
    except AWS_FAILURES as exc:
        if error_code(exc) in absent:
            return None
        raise _unanswered(exc, action, resource) from exc


def _unanswered(exc: AwsFailure, action: str, resource: str) -> UnansweredError:
    code = error_code(exc)
    if isinstance(exc, NO_CREDENTIALS) or credentials_advice(code) is not None:
        why = f"the credentials are not accepted ({code})"
        return UnansweredError(why, is_about_credentials=True)
    if code == "NoSuchBucket":
        return UnansweredError("the bucket does not exist", is_told_elsewhere=True)
    if code in _NOT_THERE:
        return UnansweredError(f"not supported here: the endpoint has no {action}")
    if isinstance(exc, NO_REPLY):
        return UnansweredError(f"no reply to {action} ({code})")
    if not is_access_refused(exc):
        return UnansweredError(f"{action} ended with {code}: {error_message(exc)}")
    if _BY_ORGANIZATION in error_message(exc):
        why = f"a service control policy of the organization denies {action}"
        return UnansweredError(why, is_denied_above=True)
    return UnansweredError(f"needs {action} on {resource}", statement([action], [resource]))


def statement(actions: Sequence[str], resources: Sequence[str]) -> str:
    """Return a statement of an IAM policy that allows actions, in one line to paste."""
    allowed = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return json.dumps(allowed)
