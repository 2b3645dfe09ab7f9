"""No probe ends another one: not by an error, and not by hanging."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from bedrock_spark.doctor.asking import UnansweredError, ask
from bedrock_spark.doctor.findings import Diagnosis, Finding, Level, error, ok, unknown, warning
from bedrock_spark.doctor.probes import Probe, run_probes
from bedrock_spark.doctor.run_folder import folder_findings
from bedrock_spark.errors import (
    ConfigError,
    StorageAccessError,
    StorageError,
    StorageUnavailableError,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import LocalStorage

NOW = 1_800_000_000.0


def failing(exc: Exception) -> Callable[[], Iterator[Finding]]:
    def look() -> Iterator[Finding]:
        yield ok("first")
        raise exc

    return look


def lines(*looks: Callable[[], Iterator[Finding]], seconds: float = 60.0) -> list[Finding]:
    probes = [Probe("subject", f"probe {i}", look) for i, look in enumerate(looks)]
    return [finding for _, finding in run_probes(probes, seconds)]


@pytest.mark.parametrize(
    ("exc", "found"),
    [
        (UnansweredError("needs a:B", "fix"), unknown("probe 0: needs a:B", "fix")),
        (ConfigError("two\n  lines"), error("two; lines")),
        (StorageUnavailableError("throttled"), unknown("probe 0: throttled")),
        (
            ValueError("a secret"),
            unknown("probe 0: the probe failed (ValueError); -v shows it"),
        ),
    ],
)
def test_a_failure_is_a_line_and_what_came_before_counts(
    exc: Exception, found: Finding, caplog: pytest.LogCaptureFixture
) -> None:
    """The stack of a fault of the probe itself is for --verbose."""
    with caplog.at_level(logging.INFO, "bedrock_spark"):
        assert lines(failing(exc), lambda: iter([ok("other")])) == [ok("first"), found, ok("other")]
    assert [r.levelname for r in caplog.records] == ["INFO"] * isinstance(exc, ValueError)


def no_reply() -> StorageError:
    error = StorageError("no connection")
    error.__cause__ = EndpointConnectionError(endpoint_url="x")
    return error


@pytest.mark.parametrize("verb", ["create", "read", "list", "delete"])
@pytest.mark.parametrize(
    ("exc", "level", "has_fix"),
    [
        (StorageUnavailableError("throttled"), Level.UNKNOWN, False),
        (no_reply(), Level.UNKNOWN, False),
        (StorageAccessError("refused"), Level.ERROR, True),
        (StorageError("no such bucket"), Level.ERROR, False),
    ],
)
def test_what_the_run_folder_does_not_take(
    verb: str,
    exc: StorageError,
    level: Level,
    has_fix: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No reply says nothing; a policy is the correction of a refusal only."""
    storage = LocalStorage(str(tmp_path))

    def fail(*_: object) -> None:
        raise exc

    monkeypatch.setattr(storage, verb, fail)
    monkeypatch.setattr(storage, "uri", "s3://my-bucket/runs/one")
    (found,) = lines(lambda: folder_findings(storage, "aws", NOW))
    assert (found.level, found.fix is not None) == (level, has_fix)
    assert "no connection" not in found.what


def test_what_a_killed_doctor_left_is_deleted(tmp_path: Path) -> None:
    """Not the object of one that may be at work, nor the proofs of a run."""
    storage = LocalStorage(str(tmp_path))
    old, young = layout.doctor_key(NOW - 7_200, "0a"), layout.doctor_key(NOW - 60, "0b")
    others = [young, layout.probe_key("0c", "driver"), layout.RUN_FILE]
    for key in (old, *others):
        storage.write(key, b"x")
    (found,) = lines(lambda: folder_findings(storage, "aws", NOW))
    assert found.level == Level.OK
    assert sorted(o.key for o in storage.list("")) == sorted(others)


def test_what_another_probe_tells_is_told_once() -> None:
    assert lines(failing(UnansweredError("x", is_told_elsewhere=True))) == [ok("first")]


def test_a_probe_that_hangs_is_left_alone() -> None:
    """Its findings so far count; the others have their lines."""
    end, is_found = threading.Event(), threading.Event()

    def hang() -> Iterator[Finding]:
        yield ok("before")
        is_found.set()
        end.wait()

    def other() -> Iterator[Finding]:
        is_found.wait()
        yield ok("other")

    found = lines(other, hang, seconds=0.2)
    end.set()
    assert found == [
        ok("other"),
        ok("before"),
        unknown("probe 1: no answer within 0 seconds"),
    ]


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetRole")


@pytest.mark.parametrize(
    ("exc", "why", "has_fix"),
    [
        (refused("AccessDenied"), "needs iam:GetRole on arn:r", True),
        (refused("AccessDeniedException"), "needs iam:GetRole on arn:r", True),
        (refused("403"), "needs iam:GetRole on arn:r", True),
        (
            refused("AccessDenied", "with an explicit deny in a service control policy"),
            "a service control policy of the organization denies iam:GetRole",
            False,
        ),
        (refused("ExpiredToken"), "the credentials are not accepted (ExpiredToken)", False),
        (NoCredentialsError(), "the credentials are not accepted (NoCredentialsError)", False),
        (refused("NotImplemented"), "not supported here: the endpoint has no iam:GetRole", False),
        (refused("Throttling", "slow down"), "iam:GetRole ended with Throttling: slow down", False),
        (
            EndpointConnectionError(endpoint_url="http://x"),
            "no reply to iam:GetRole (EndpointConnectionError)",
            False,
        ),
    ],
)
def test_a_call_that_fails_says_what_would_allow_it(
    exc: Exception, why: str, has_fix: bool
) -> None:
    def call() -> object:
        raise exc

    with pytest.raises(UnansweredError) as raised:
        ask(call, "iam:GetRole", "arn:r")
    assert raised.value.why == why
    allowed = '{"Effect": "Allow", "Action": ["iam:GetRole"], "Resource": ["arn:r"]}'
    assert raised.value.fix == (allowed if has_fix else None)
    assert raised.value.is_about_credentials == ("credentials" in why)


def test_what_does_not_exist_is_an_answer() -> None:
    def call() -> object:
        raise refused("NoSuchEntity")

    assert ask(call, "iam:GetRole", absent=("NoSuchEntity",)) is None
    assert ask(lambda: {"a": 1}, "iam:GetRole") == {"a": 1}


def test_a_diagnosis_counts_and_keeps_the_order() -> None:
    found = [("b", ok("1")), ("a", warning("2")), ("b", error("3")), ("a", unknown("4"))]
    diagnosis = Diagnosis.of("c.yaml", found)
    assert [group.subject for group in diagnosis.groups] == ["b", "a"]
    assert [f.what for f in diagnosis.groups[0].findings] == ["1", "3"]
    assert (diagnosis.errors, diagnosis.warnings, diagnosis.not_checked) == (1, 1, 1)
