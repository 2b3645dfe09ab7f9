"""Who compacts a store: a claim, so that two processes do not merge the same files.

Two compactions at once would only leave duplicates, which do no harm. So a claim that ends by the
clock is enough: nobody waits for it, and one that was left by a dead process ends by itself. While
its process works, heartbeats renew it, so it lasts as long as the work does. It is released by
being written again: whoever keeps answers may have no right to delete.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bedrock_spark.clock import Clock
from bedrock_spark.errors import ObjectChangedError, RunHeldError, StorageError
from bedrock_spark.heartbeat import Renewal, kept
from bedrock_spark.storage import Storage
from bedrock_spark.storage.held_object import replace_held

CLAIM_FILE = "compacting.json"
# A claim that is not renewed ends after this time; heartbeats renew it more often.
CLAIM_SECONDS, RENEW_SECONDS = 600.0, 60.0

log = logging.getLogger(__name__)


class CompactionClaim:
    """The claim of one process. Every method raises RunHeldError if another process has it."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._since = 0.0
        self._version: str | None = None

    def acquire(self) -> None:
        """Claim the store for CLAIM_SECONDS."""
        found = self._storage.read_version(CLAIM_FILE)
        self._version = None if found is None else found[1]
        values = {} if found is None else _values(found[0])
        self._since = self._clock.now()
        # One that lasts longer than a claim can was written by a clock that is wrong.
        if self._since < _seconds(values, "until") <= self._since + CLAIM_SECONDS:
            raise self._held(values)
        self.renew()

    def renew(self) -> None:
        """Let the claim last for CLAIM_SECONDS from now."""
        self._write(self._clock.now() + CLAIM_SECONDS)

    def release(self) -> None:
        """End the claim, unless another process has it. If that fails, it ends by the clock."""
        try:
            self._write(0.0)
        except RunHeldError:
            pass
        except StorageError as exc:
            log.info("%s: the claim to compact it ends by itself: %s", self._storage.uri, exc)

    def _write(self, until: float) -> None:
        values = {"holder": self._holder, "since": self._since, "until": until}
        data = json.dumps(values).encode()
        try:
            self._version = replace_held(self._storage, CLAIM_FILE, data, self._version, _holder)
        except ObjectChangedError as exc:
            found = self._storage.read_if_present(CLAIM_FILE)
            raise self._held({} if found is None else _values(found)) from exc

    def _held(self, values: Mapping[str, Any]) -> RunHeldError:
        """Return the error that another process has the claim. values: what the claim says"""
        names = {"since": "since", "until": "by its last sign until"}
        times = {word: _seconds(values, name) for name, word in names.items()}
        when = "".join(f", {word} {_utc(time)}" for word, time in times.items() if time)
        return RunHeldError(
            f"{self._storage.uri}: another process compacts this store{when}; nothing is left to "
            "do here, unless that process was killed: then run this again after that time"
        )


@contextmanager
def claimed(storage: Storage, clock: Clock) -> Iterator[Renewal]:
    """Hold the claim during the block, and renew it by heartbeats.

    Raises RunHeldError if another process has it, or takes it over because it could not be renewed
    in time. The block calls `check` of the renewal before it commits something.
    """
    claim = CompactionClaim(storage, clock)
    claim.acquire()
    renewal = Renewal("the claim to compact the store", claim.renew, CLAIM_SECONDS)
    try:
        with kept("renewing the claim to compact", renewal, RENEW_SECONDS):
            yield renewal
    finally:
        if not renewal.is_lost:
            claim.release()


def _values(data: bytes) -> Mapping[str, Any]:
    """Return what a claim says; nothing if it cannot be read: then nobody has it."""
    try:
        values = json.loads(data)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _holder(data: bytes) -> str | None:
    holder = _values(data).get("holder")
    return holder if isinstance(holder, str) else None


def _seconds(values: Mapping[str, Any], name: str) -> float:
    """Return a time of a claim, in seconds since the epoch; 0 if it does not say."""
    try:
        return float(values[name])
    except (ValueError, KeyError, TypeError):
        return 0.0


def _utc(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
