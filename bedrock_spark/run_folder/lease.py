"""The lease of a run: at most one process controls it at a time.

https://martinfowler.com/articles/patterns-of-distributed-systems/lease.html. The lease is one
object in the run folder, written by conditional writes only. It expires unless its holder renews
it, so a dead holder is replaced; if the dead holder was a process of this machine, at once. Another
process may wait for that: `lease_wait.py`.

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

from bedrock_spark.clock import Clock
from bedrock_spark.errors import ObjectChangedError, RunHeldError
from bedrock_spark.heartbeat import Renewal, kept
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import refuse_cleaned
from bedrock_spark.run_folder.lease_wait import NO_WAIT, LeaseWait, Watch
from bedrock_spark.run_folder.processes import is_alive, is_dead, start_of, this_place
from bedrock_spark.storage import Storage
from bedrock_spark.storage.held_object import replace_held

LEASE_SECONDS = 360.0
# A process that waits for the lease sees by a renewal that the holder is alive.
RENEW_SECONDS = LEASE_SECONDS / 6
# While a block runs that pays for calls, the lease is renewed more often, to notice its loss soon.
HEARTBEAT_SECONDS = 10.0
CONTROL, STOP = "controlled", "being stopped"
# The lease of the process that publishes. It is an object of its own: to publish a large table
# takes hours, in which the batch jobs must go on.
PUBLISH = "being published"
# The only lease that a cleaned run still has: a clean that was killed is carried on.
CLEAN = "being cleaned"


@dataclass(frozen=True)
class Holder:
    """The process that controls a run, or stops it.

    place: identifies the machine, its boot and the PID namespace
    until: when the lease expires; 0 if it was released
    start: when the process began, in clock ticks since boot; 0 if unknown
    """

    holder_id: str
    host: str
    pid: int
    place: str
    since: float
    until: float
    purpose: str = CONTROL
    start: int = 0

    def is_over(self, now: float) -> bool:
        """Tell whether another process may take over: the lease expired, or its holder is dead."""
        return now >= self.until or is_dead(self.place, self.pid, self.start)

    @property
    def is_alive(self) -> bool:
        """Tell whether it is a process of this machine that is at work."""
        return is_alive(self.place, self.pid, self.start)

    def __str__(self) -> str:
        when = f"since {_time(self.since)}, until {_time(self.until)}"
        return f"{self.purpose} by {self.host}, pid {self.pid}, {when}"


class Lease:
    """This process's lease of a run. Use it as a context: acquired at its start, released after.

    wait: how long to wait for a holder that may be dead
    took_over: whether another process held it and had not released it
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        purpose: str = CONTROL,
        wait: LeaseWait = NO_WAIT,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._purpose = purpose
        self._wait = wait
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
        """Acquire the lease. Raises RunHeldError, which names the holder, or RunCleanedError.

        Waits if the holder may be dead. A process that stops the run takes the lease from the
        controller, which notices at its next renewal.
        """
        watch = Watch(self._wait, self._clock, LEASE_SECONDS)
        while True:
            found = self._storage.read_version(self._key)
            holder = _parse(found[0]) if found is not None else None
            if holder is not None and self._is_in_the_way(holder) and not watch.has_expired(holder):
                if not watch.may_wait(holder):
                    raise self._held_by(holder, watch.why_not)
                watch.wait(holder)
            elif self._took(holder, found[1] if found is not None else None):
                watch.end()
                self._refuse_cleaned()
                return
            # Else the lease was written meanwhile, most likely renewed: look at it again.

    def _refuse_cleaned(self) -> None:
        """Release the lease of a run that was cleaned since this process opened it.

        Its ledger is gone: jobs that were paid for would be paid for again.
        """
        if self._purpose == CLEAN:
            return
        try:
            refuse_cleaned(self._storage)
        except BaseException:
            self.release()
            raise

    def _is_in_the_way(self, holder: Holder) -> bool:
        is_over = holder.is_over(self._clock.now())
        return not is_over and not (self._purpose == STOP and holder.purpose == CONTROL)

    def _took(self, holder: Holder | None, version: str | None) -> bool:
        """Write the lease if it has this version; tell whether this process has it now."""
        now = self._clock.now()
        pid = os.getpid()
        new = Holder(
            secrets.token_hex(8),
            platform.node(),
            pid,
            this_place(),
            now,
            now + LEASE_SECONDS,
            self._purpose,
            start_of(pid),
        )
        try:
            self._replace(new, version)
        except ObjectChangedError:
            return False
        self.took_over = holder is not None and not holder.is_over(now)
        self._held = new
        return True

    def renew_if_due(self) -> None:
        """Renew the lease if it is due. Raises RunHeldError if it was taken over."""
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
        try:
            self._replace(holder, version)
        except ObjectChangedError as exc:
            self._held = None
            raise self._held_by(read_holder(self._storage, self._key)) from exc
        self._held = holder

    def _replace(self, holder: Holder, version: str | None) -> None:
        data = json.dumps(asdict(holder)).encode()
        self._version = replace_held(self._storage, self._key, data, version, _holder_id)

    def _held_by(self, holder: Holder | None, why: str = "") -> RunHeldError:
        return RunHeldError(
            f"{self._storage.uri}: is {holder or 'controlled by another process'}{why}; wait until "
            "it ends, or end that process and run this again"
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


def _holder_id(data: bytes) -> str | None:
    holder = _parse(data)
    return None if holder is None else holder.holder_id


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
