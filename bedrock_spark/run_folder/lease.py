"""The lease of a run: at most one process controls it at a time.

https://martinfowler.com/articles/patterns-of-distributed-systems/lease.html. The lease is one
object in the run folder, written by conditional writes only. It expires unless its holder renews
it, so a dead holder is replaced; if the dead holder was a process of this machine, at once.

The lease keeps controllers out of each other's way. That nothing is paid for twice does not depend
on it, nor on synchronized clocks: the ledger fences two controllers of one run, and both give a job
the same name and token.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bedrock_spark.clock import Clock
from bedrock_spark.errors import ObjectChangedError, RunHeldError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.heartbeat import run_periodically
from bedrock_spark.storage import Storage

LEASE_SECONDS = 360.0
RENEW_SECONDS = LEASE_SECONDS / 3
CONTROL, STOP = "controlled", "being stopped"
# The lease of the process that publishes. It is an object of its own: to publish a large table
# takes hours, in which the batch jobs must go on.
PUBLISH = "being published"


@dataclass(frozen=True)
class Holder:
    """The process that controls a run, or stops it.

    place: identifies the machine's boot and PID namespace
    until: when the lease expires; 0 if it was released
    """

    holder_id: str
    host: str
    pid: int
    place: str
    since: float
    until: float
    purpose: str = CONTROL

    def is_over(self, now: float) -> bool:
        """Tell whether another process may take over: the lease expired, or its holder is dead."""
        return now >= self.until or (self.place == _place() and not _is_alive(self.pid))

    def __str__(self) -> str:
        when = f"since {_time(self.since)}, until {_time(self.until)}"
        return f"{self.purpose} by {self.host}, pid {self.pid}, {when}"


class Lease:
    """This process's lease of a run. Use it as a context: acquired at its start, released after.

    took_over: whether another process held it and had not released it
    """

    def __init__(self, storage: Storage, clock: Clock, purpose: str = CONTROL) -> None:
        self._storage = storage
        self._clock = clock
        self._purpose = purpose
        self._key = layout.PUBLISHER_FILE if purpose == PUBLISH else layout.LEASE_FILE
        self.took_over = False
        self._held: Holder | None = None
        self._version = ""

    def __enter__(self) -> Lease:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Acquire the lease. Raises RunHeldError, which names the holder.

        A process that stops the run takes the lease from the controller, which notices at its next
        renewal.
        """
        now = self._clock.now()
        found = self._storage.read_version(self._key)
        holder = _parse(found[0]) if found is not None else None
        self.took_over = holder is not None and not holder.is_over(now)
        if holder is not None and self.took_over and not self._goes_before(holder):
            raise self._held_by(holder)
        new = Holder(
            secrets.token_hex(8),
            platform.node(),
            os.getpid(),
            _place(),
            now,
            now + LEASE_SECONDS,
            self._purpose,
        )
        self._write(new, found[1] if found is not None else None)

    def _goes_before(self, holder: Holder) -> bool:
        return self._purpose == STOP and holder.purpose == CONTROL

    def renew_if_due(self) -> None:
        """Renew the lease if a third of it has passed. Raises RunHeldError if it was taken over."""
        if self._held is None:
            self.acquire()
            return
        now = self._clock.now()
        left = self._held.until - now
        # More left than a whole lease: the clock was set back.
        if not LEASE_SECONDS - RENEW_SECONDS < left <= LEASE_SECONDS:
            held = asdict(self._held) | {"until": now + LEASE_SECONDS}
            self._write(Holder(**held), self._version)

    def release(self) -> None:
        """Release the lease, if this process still has it."""
        if self._held is None:
            return
        released = Holder(**asdict(self._held) | {"until": 0.0})
        try:
            self._write(released, self._version)
        except RunHeldError:
            pass
        finally:
            self._held = None

    def _write(self, holder: Holder, version: str | None) -> None:
        data = json.dumps(asdict(holder)).encode()
        try:
            self._version = self._storage.replace(self._key, data, version)
        except ObjectChangedError as exc:
            self._held = None
            raise self._held_by(read_holder(self._storage, self._key)) from exc
        self._held = holder

    def _held_by(self, holder: Holder | None) -> RunHeldError:
        return RunHeldError(
            f"{self._storage.uri}: is {holder or 'controlled by another process'}; wait until it "
            "ends, or end that process and run this again"
        )


@contextmanager
def renewed(lease: Lease) -> Iterator[None]:
    """Hold a lease during the block, and renew it by heartbeats from a background thread."""
    with (
        lease,
        run_periodically("renewing the lease", lease.renew_if_due, lambda: RENEW_SECONDS / 2),
    ):
        yield


def read_holder(storage: Storage, key: str = layout.LEASE_FILE) -> Holder | None:
    """Return the last holder of the lease in an object of the run folder, or None."""
    data = storage.read_if_present(key)
    return None if data is None else _parse(data)


def _parse(data: bytes) -> Holder | None:
    """Return the holder, or None if the object cannot be read: then nobody holds the lease."""
    names = {f.name for f in fields(Holder)}
    try:
        values = json.loads(data)
        return Holder(**{k: v for k, v in values.items() if k in names})
    except (ValueError, TypeError, AttributeError):
        return None


def _place() -> str:
    """Identify this boot and PID namespace: a PID means something only there. "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    if not _place():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Tell whether a process has ended but was not reaped: in containers that may last."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] == ["Z"]


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
