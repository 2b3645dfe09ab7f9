"""The account of this process's credentials. A run stays in the account in which it was begun."""

from __future__ import annotations

import logging

from bedrock_spark.aws.clients import AwsSettings, sts_client
from bedrock_spark.aws.errors import AWS_FAILURES, error_code

log = logging.getLogger(__name__)


def account_id(aws: AwsSettings, *, is_needed: bool = True) -> str | None:
    """Return the id of the account, or None if STS does not tell it.

    is_needed: whether somebody should be warned that it is not known

    The call needs no permission, but a private network may have no way to STS, and an endpoint of
    the user's own may not serve it.
    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    try:
        account = sts_client(aws).get_caller_identity().get("Account")
    except (*AWS_FAILURES, KeyError) as exc:  # botocore's KeyError: XML of something else than STS
        code = error_code(exc)
        level = logging.WARNING if is_needed else logging.INFO
        log.log(level, "STS does not tell the account: %s; it is not checked", code)
        return None
    return str(account) if account else None
