"""Whatever ends a compaction: the run goes on, the store is right, a later one ends it."""

from __future__ import annotations

import errno
import logging
import shutil
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bedrock_spark.answers import compact as compaction
from bedrock_spark.answers.after_run import compact_or_warn
from bedrock_spark.answers.compact import compact_if_many
from bedrock_spark.answers.compacting import CLAIM_SECONDS
from bedrock_spark.answers.store import DELETE_AFTER_SECONDS, pin_files
from bedrock_spark.errors import StorageAccessError, StorageError, StorageUnavailableError
from bedrock_spark.storage import LocalStorage
from tests.unit.answers.rows import answer, found, write
from tests.unit.fakes import FakeClock

SECRET = "what a customer wrote"
BODIES = [f"body {number}" for number in range(8)]
MANY, AT_A_TIME = 3, 2
# When the compaction that fails begins: what an earlier one replaced is to be deleted.
BEGIN = 1_000_000.0 + DELETE_AFTER_SECONDS + 1


class Killed(BaseException):
    """The process ends: nothing handles it."""


def full_disk() -> StorageError:
    error = StorageError("upload: No space left on device")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


# What each fault is, and what the warning says of it.
FAULTS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "the local disk is full": (lambda: OSError(errno.ENOSPC, "No space left"), "Free space on"),
    "the store's disk is full": (full_disk, "Free space on"),
    "Arrow": (lambda: pa.ArrowInvalid(f"cannot parse '{SECRET}'"), "ArrowInvalid"),
    "no memory": (lambda: pa.ArrowMemoryError("malloc of size 7 failed"), "more memory"),
    "S3 answers 500": (lambda: StorageUnavailableError("S3 replies with 500"), "500"),
    "not permitted": (lambda: StorageAccessError("AccessDenied"), "Allow this process"),
    "a mistake of ours": (lambda: KeyError(SECRET), "KeyError"),
    "killed": (Killed, ""),
}
_METHODS = (
    *("read", "read_if_present", "read_version", "fetch", "list"),
    *("create", "replace", "upload", "delete"),
)


class Faulty(LocalStorage):
    """A storage whose call number `at` fails, before or after its effect. calls: so far"""

    def __init__(
        self, uri: str, at: int, fault: Callable[[], BaseException], *, is_done: bool = False
    ) -> None:
        super().__init__(uri)
        self.calls = 0
        lock = threading.Lock()

        def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                with lock:
                    self.calls += 1
                    fails = self.calls == at
                if fails and not is_done:
                    raise fault()
                done = method(*arguments)
                if fails:
                    raise fault()
                return done

            return call

        for name in _METHODS:
            setattr(self, name, wrapped(getattr(self, name)))


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MANY_FILES", MANY)
    monkeypatch.setattr(compaction, "_AT_A_TIME", AT_A_TIME)


@pytest.fixture
def stores(tmp_path: Path) -> Callable[[], str]:
    """Return what makes equal stores: with small files, and files that may be deleted."""
    template = tmp_path / "template"
    storage = LocalStorage(str(template))
    for number in range(2 * MANY):
        rows = [answer(body, f"a{number}", at=number) for body in BODIES[number : number + 3]]
        write(storage, rows, at=float(number), label=f"run-{number}")
        if number == MANY - 1:
            assert compact_if_many(storage, FakeClock(1_000_000.0)).merged

    made = iter(range(1_000))

    def make() -> str:
        copy = tmp_path / f"store-{next(made)}"
        shutil.copytree(template, copy)
        return str(copy)

    return make


@cache
def steps(uri: str) -> int:
    """Return how many calls of the storage a compaction takes that nothing disturbs."""
    storage = Faulty(uri, 0, Killed)
    assert compact_if_many(storage, FakeClock(BEGIN)).deleted == AT_A_TIME
    return storage.calls


def check_right_and_ended(uri: str, expected: Any, pinned: Any) -> None:
    """A reader with the old list and one with a new list find all; the next compaction ends it."""
    storage = LocalStorage(uri)
    assert found(storage, BODIES, files=pinned) == expected
    assert found(storage, BODIES) == expected
    later = FakeClock(BEGIN + CLAIM_SECONDS + 1)
    compact_if_many(storage, later)
    assert len(pin_files(storage)) < MANY
    assert found(storage, BODIES) == expected


@pytest.mark.long
@pytest.mark.parametrize("name", ["S3 answers 500", "killed"])
def test_a_fault_at_any_call_of_the_storage(stores: Callable[[], str], name: str) -> None:
    """An error comes before or after the effect of a call, in turns: a reply may be lost."""
    fault, _ = FAULTS[name]
    total = steps(stores())
    assert total > 10
    for at in range(1, total + 1):
        uri = stores()
        pinned = pin_files(LocalStorage(uri))
        expected = found(LocalStorage(uri), BODIES)
        storage = Faulty(uri, at, fault, is_done=fault is not Killed and at % 2 == 0)
        try:
            compact_or_warn(storage, FakeClock(BEGIN))
        except Killed:
            assert fault is Killed
        assert storage.calls >= at
        check_right_and_ended(uri, expected, pinned)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("place", ["ParquetWriter", "scratch_folder"])
def test_a_fault_while_a_merged_file_is_made(
    stores: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    place: str,
) -> None:
    """One warning says what happened and what to do; no value of a row is in it."""
    fault, said = FAULTS[name]
    uri = stores()
    pinned, expected = pin_files(LocalStorage(uri)), found(LocalStorage(uri), BODIES)

    def fails(*_: Any, **__: Any) -> Any:
        raise fault()

    owner = "bedrock_spark.answers.table" + (".pq" if place == "ParquetWriter" else "")
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(f"{owner}.{place}", fails)
        if fault is Killed:
            with pytest.raises(Killed):
                compact_or_warn(LocalStorage(uri), FakeClock(BEGIN))
        else:
            compact_or_warn(LocalStorage(uri), FakeClock(BEGIN))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (0 if fault is Killed else 1)
    for message in messages:
        assert said in message
        assert f"`bedrock-spark answers compact {uri}`" in message
        assert SECRET not in message
    check_right_and_ended(uri, expected, pinned)
