"""Credentials, account and clock."""

from __future__ import annotations

import email.utils
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bedrock_spark.aws.credentials import are_fixed_and_temporary
from bedrock_spark.doctor.account import account_findings, clock_findings
from bedrock_spark.doctor.asking import UnansweredError
from bedrock_spark.doctor.world import Identity, World
from tests.unit.fakes import make_config

NOW = 1_800_000_000.0


def headers(at: float) -> dict[str, Any]:
    date = email.utils.formatdate(at, usegmt=True)
    return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}


@pytest.mark.parametrize(
    ("off", "level"),
    [(0, "ok"), (20, "ok"), (-20, "ok"), (100, "warning"), (-100, "warning"), (900, "error")],
)
@pytest.mark.parametrize("is_refused", [False, True])
def test_the_clock_is_compared_with_the_header_of_a_reply(
    off: float, level: str, is_refused: bool
) -> None:
    """Of an error, too: with a clock that is far off, AWS answers nothing else."""
    reply = headers(NOW + off)

    def call() -> dict[str, Any]:
        if is_refused:
            error: Any = {"Error": {"Code": "SignatureDoesNotMatch"}, **reply}
            raise ClientError(error, "GetCallerIdentity")
        return reply

    (found,) = clock_findings(call, lambda: NOW)
    assert found.level == level
    assert (found.fix is None) == (level == "ok")


def test_a_reply_that_takes_long_is_no_skew() -> None:
    times = iter([NOW, NOW + 500])
    (found,) = clock_findings(lambda: headers(NOW + 200), lambda: next(times))
    assert found.level == "ok"


def test_without_the_header_the_clock_is_not_known() -> None:
    with pytest.raises(UnansweredError, match="no reply with the time"):
        list(clock_findings(dict, lambda: NOW))


def world(identity: Identity | None) -> World:
    return World(make_config(), "us-east-1", lambda *_: None, identity)


def test_no_credentials_are_an_error_and_no_reply_of_sts_is_not() -> None:
    why = UnansweredError("the credentials are not accepted (x)", is_about_credentials=True)
    (found,) = account_findings(world(None), why_not=why)
    assert (found.level, "aws sso login" in str(found.fix)) == ("error", True)
    (found,) = account_findings(world(None), why_not=UnansweredError("no reply to sts"))
    assert found.level == "not checked"


def test_the_account_must_be_that_of_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Identity("123456789012", "arn:aws:iam::123456789012:user/ana")
    assert [f.level for f in account_findings(world(own))] == ["ok"]
    other = Identity("999999999999", "arn:aws:iam::999999999999:user/ana")
    assert [f.level for f in account_findings(world(other))] == ["error"]
    monkeypatch.setenv("AWS_SESSION_TOKEN", "local")
    assert are_fixed_and_temporary()
    assert [f.level for f in account_findings(world(own))] == ["ok", "warning"]
