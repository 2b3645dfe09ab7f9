"""A lost reply to the write of a lease or a claim is no takeover by another process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bedrock_spark.answers.compacting import CLAIM_FILE, CompactionClaim
from bedrock_spark.errors import ObjectChangedError, RunHeldError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.storage import LocalStorage, Storage
from bedrock_spark.storage.held_object import replace_held
from tests.unit.fakes import FakeClock


class Repeating(LocalStorage):
    """A storage whose client repeats a call by itself after the first reply was lost."""

    is_repeating = True

    def replace(self, key: str, data: bytes, version: str | None) -> str:
        new = super().replace(key, data, version)
        if self.is_repeating:
            self.is_repeating = False
            return super().replace(key, data, version)
        return new


def holder_of(data: bytes) -> str | None:
    return data.decode().partition(" ")[0] or None


@pytest.mark.parametrize(
    ("there", "known", "is_written"),
    [
        (None, None, True),
        (b"me 1", "the same", True),
        (b"other 1", "the same", True),  # its lease is over: this process takes over what it read
        (b"me 1", None, True),  # the reply to the first write was lost
        (b"me 1", "older", True),
        (b"other 1", None, False),
        (b"other 1", "older", False),
        (b" no holder", "older", False),
        (None, "older", False),  # it was deleted
    ],
)
def test_only_the_holder_writes_an_object_of_another_version(
    tmp_path: Path, there: bytes | None, known: str | None, is_written: bool
) -> None:
    storage = LocalStorage(str(tmp_path))
    version = None if there is None else storage.replace("lease", there, None)
    known = version if known == "the same" else known
    if not is_written:
        with pytest.raises(ObjectChangedError):
            replace_held(storage, "lease", b"me 2", known, holder_of)
        assert storage.read_if_present("lease") == there
        return
    new = replace_held(storage, "lease", b"me 2", known, holder_of)
    assert storage.read_version("lease") == (b"me 2", new)


def lease_of(storage: Storage, clock: FakeClock) -> Callable[[], None]:
    lease = Lease(storage, clock)
    lease.acquire()
    return lease.renew


def claim_of(storage: Storage, clock: FakeClock) -> Callable[[], None]:
    claim = CompactionClaim(storage, clock)
    claim.acquire()
    return claim.renew


@pytest.mark.parametrize(
    ("acquire", "key"), [(lease_of, layout.LEASE_FILE), (claim_of, CLAIM_FILE)]
)
def test_a_lease_or_a_claim_is_acquired_though_the_reply_is_lost(
    tmp_path: Path, acquire: Callable[[Storage, FakeClock], Callable[[], None]], key: str
) -> None:
    """And renewed; another process is refused, and the holder stays the same."""
    storage, clock = Repeating(str(tmp_path)), FakeClock(1_000.0)
    renew = acquire(storage, clock)
    first = json.loads(storage.read(key))
    clock.sleep(5)
    storage.is_repeating = True
    renew()
    with pytest.raises(RunHeldError, match="since 1970-01-01 00:16:40 UTC"):
        acquire(storage, clock)
    last = json.loads(storage.read(key))
    assert last == {**first, "until": first["until"] + 5}
