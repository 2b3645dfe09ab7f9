"""Who compacts a store: a claim, so that two processes do not merge the same files.

Two compactions at once would only leave duplicates, which do no harm. So a claim that ends by the
clock is enough: nobody waits for it, and one that was left by a dead process ends by itself. It is
released by being written again: whoever keeps answers may have no right to delete.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bedrock_spark.errors import ObjectChangedError, RunHeldError
from bedrock_spark.storage import Storage

CLAIM_FILE = "compacting.json"
CLAIM_SECONDS = 3_600.0


class CompactionClaim:
    """The claim of one process. Every method raises RunHeldError if another process has it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._holder = secrets.token_hex(8)
        self._version: str | None = None

    def acquire(self, now: float) -> None:
        """Claim the store until CLAIM_SECONDS after `now`, in seconds since the epoch."""
        found = self._storage.read_version(CLAIM_FILE)
        self._version = None if found is None else found[1]
        until = 0.0 if found is None else _until(found[0])
        # One that lasts longer than a claim can was written by a clock that is wrong.
        if now < until <= now + CLAIM_SECONDS:
            raise self._held(until)
        self.renew(now)

    def renew(self, now: float) -> None:
        """Let the claim last until CLAIM_SECONDS after `now`."""
        self._write(now + CLAIM_SECONDS)

    def release(self) -> None:
        """End the claim, unless another process has it."""
        with suppress(RunHeldError):
            self._write(0.0)

    def _write(self, until: float) -> None:
        data = json.dumps({"holder": self._holder, "until": until}).encode()
        try:
            self._version = self._storage.replace(CLAIM_FILE, data, self._version)
        except ObjectChangedError as exc:
            raise self._held(None) from exc

    def _held(self, until: float | None) -> RunHeldError:
        time = None if until is None else dt.datetime.fromtimestamp(until, dt.UTC)
        when = "" if time is None else f", until {time:%Y-%m-%d %H:%M:%S} UTC at the latest"
        return RunHeldError(
            f"{self._storage.uri}: another process compacts this store{when}; nothing is left to "
            "do here, unless that process was killed: then run this again after that time"
        )


@contextmanager
def claimed(storage: Storage, now: float) -> Iterator[CompactionClaim]:
    """Hold the claim during the block. Raises RunHeldError if another process has it."""
    claim = CompactionClaim(storage)
    claim.acquire(now)
    try:
        yield claim
    finally:
        claim.release()


def _until(data: bytes) -> float:
    """Return when a claim ends; 0 if it cannot be read: then nobody has it."""
    try:
        return float(json.loads(data)["until"])
    except (ValueError, KeyError, TypeError):
        return 0.0
