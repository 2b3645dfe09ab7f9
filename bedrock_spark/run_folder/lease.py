"""The lease of a run: at most one process controls it at a time.

https://martinfowler.com/articles/patterns-of-distributed-systems/lease.html. The lease is one
object in the run folder, written by conditional writes only. It expires unless its holder renews
it, so a dead holder is replaced; if the dead holder was a process of this machine, at once.

The lease keeps controllers out of each other's way. That no batch job is paid for twice does not
depend on it, nor on synchronized clocks: the ledger fences two controllers of one run, and both
give a job the same name and token. A stage that pays for single calls stops when it loses the
lease.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bedrock_spark.clock import Clock
from bedrock_spark.errors import ObjectChangedError, RunHeldError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.heartbeat import Renewal, kept
from bedrock_spark.storage import Storage

LEASE_SECONDS = 360.0
RENEW_SECONDS = LEASE_SECONDS / 3
# While a block runs that pays for calls, the lease is renewed more often, to notice its loss soon.
HEARTBEAT_SECONDS = 10.0
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
        return now >= self.until or is_dead(self.place, self.pid)

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
        while not self._try_to_acquire():
            pass  # the lease was written meanwhile, most likely renewed: look at it again

    def _try_to_acquire(self) -> bool:
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
            this_place(),
            now,
            now + LEASE_SECONDS,
            self._purpose,
        )
        try:
            version = found[1] if found is not None else None
            self._version = self._storage.replace(
                self._key, json.dumps(asdict(new)).encode(), version
            )
        except ObjectChangedError:
            return False
        self._held = new
        return True

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
            self.renew()

    def renew(self) -> None:
        """Renew the lease. Raises RunHeldError if it was taken over."""
        if self._held is None:
            raise self._held_by(read_holder(self._storage, self._key))
        held = asdict(self._held) | {"until": self._clock.now() + LEASE_SECONDS}
        self._write(Holder(**held), self._version)

    def abandon(self) -> None:
        """Forget the lease without releasing it: another process may have it by now."""
        self._held = None

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
            own = self._own_version(holder)
            if own is None:
                self._held = None
                raise self._held_by(read_holder(self._storage, self._key)) from exc
            self._version = self._storage.replace(self._key, data, own)
        self._held = holder

    def _own_version(self, holder: Holder) -> str | None:
        """Return the version of a write of this holder whose reply was lost, or None."""
        found = self._storage.read_version(self._key)
        written = _parse(found[0]) if found is not None else None
        if found is None or written is None or written.holder_id != holder.holder_id:
            return None
        return found[1]

    def _held_by(self, holder: Holder | None) -> RunHeldError:
        return RunHeldError(
            f"{self._storage.uri}: is {holder or 'controlled by another process'}; wait until it "
            "ends, or end that process and run this again"
        )


@contextmanager
def renewed(
    lease: Lease,
    on_lost: Callable[[], None] = lambda: None,
    monotonic: Callable[[], float] = time.monotonic,
    interval: float = HEARTBEAT_SECONDS,
) -> Iterator[Renewal]:
    """Hold a lease during the block, and renew it by heartbeats from a background thread.

    If another process takes the lease over, or it cannot be renewed until it expires, `on_lost` is
    called at once, from that thread, to end what the block waits for; and the block ends with
    RunHeldError. The block may call `check` of the renewal that it gets.
    """
    with lease:
        renewal = Renewal("the lease of the run", lease.renew, LEASE_SECONDS, on_lost, monotonic)
        try:
            with kept("renewing the lease", renewal, interval):
                yield renewal
        finally:
            if renewal.is_lost:
                lease.abandon()


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


def is_dead(place: str, pid: int) -> bool:
    """Tell whether a process has ended for sure: only those of this machine can be looked up."""
    return place == this_place() and not _is_alive(pid)


def this_place() -> str:
    """Identify this boot and PID namespace: a PID means something only there. "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    if not this_place():
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
