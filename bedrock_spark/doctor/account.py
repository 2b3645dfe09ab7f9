"""Are the credentials accepted, in which account, and does the clock agree with AWS's?"""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bedrock_spark.aws.credentials import are_fixed_and_temporary
from bedrock_spark.aws.errors import AWS_FAILURES
from bedrock_spark.doctor.asking import UnansweredError, ask
from bedrock_spark.doctor.findings import Finding, error, ok, unknown, warning
from bedrock_spark.doctor.world import Identity, World

# AWS refuses signatures that are older or newer: Amazon S3 API reference, "RequestTimeTooSkewed"
# (15 minutes), and IAM user guide, "Signature Version 4" (5 minutes, for most services).
_REFUSED_SECONDS = 300.0
# The clock of a lease is compared with S3's, and a reply takes a moment.
_FAR_SECONDS = 30.0
_LOGIN = "aws sso login    # or: aws configure, or set AWS_PROFILE"


def identity_of(client: Any) -> Identity:
    """Return who the caller is. Raises UnansweredError."""
    reply = ask(client.get_caller_identity, "sts:GetCallerIdentity")
    return Identity(str(reply["Account"]), str(reply["Arn"]))


def account_findings(world: World, *, why_not: UnansweredError | None = None) -> Iterator[Finding]:
    """Yield whether the credentials are of the account of the jobs.

    why_not: why STS has not answered
    """
    identity = world.identity
    if identity is None:
        if why_not is None or not why_not.is_about_credentials:
            yield unknown(f"the account: {why_not.why if why_not is not None else 'no reply'}")
        else:
            yield error(f"credentials: {why_not.why}", _LOGIN)
        return
    if identity.account == world.account:
        yield ok(f"credentials: {identity.arn}, account {identity.account}")
    else:
        yield error(
            f"credentials: {identity.arn} is of the account {identity.account}, and "
            f"batch.role_arn of {world.account}: a role can only be passed within its account",
            f"export AWS_PROFILE=PROFILE-OF-{world.account}",
        )
    if are_fixed_and_temporary():
        yield warning(
            "credentials: AWS_SESSION_TOKEN is set, so they end within hours, and nothing renews "
            "them; the same command carries the run on with new ones",
            "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN; "
            "export AWS_PROFILE=PROFILE",
        )


def clock_findings(
    ask: Callable[[], Mapping[str, Any]], now: Callable[[], float]
) -> Iterator[Finding]:
    """Yield how far this machine's clock is from that of AWS, by the header `Date` of a reply.

    ask: a call of boto3; an error of the service has the header, too
    """
    begun = now()
    try:
        reply = ask()
    except AWS_FAILURES as exc:
        reply = getattr(exc, "response", {})
    ended = now()
    headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        theirs = email.utils.parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        raise UnansweredError("no reply with the time of AWS") from None
    # The header has whole seconds, and was written at some moment between the two.
    off = max(0.0, theirs - ended, begun - theirs - 1.0)
    yield clock_finding(off, "this machine's clock", "AWS's")


def clock_finding(seconds: float, whose: str, other: str) -> Finding:
    """Return what a difference of two clocks means."""
    off = f"{whose} is {seconds:,.0f} seconds from {other}"
    fix = "sudo chronyc makestep    # or: sudo timedatectl set-ntp true"
    if seconds >= _REFUSED_SECONDS:
        return error(f"{off}; AWS refuses signatures from 300 seconds on", fix)
    if seconds >= _FAR_SECONDS:
        return warning(off, fix)
    return ok(f"{whose} agrees with {other}")
