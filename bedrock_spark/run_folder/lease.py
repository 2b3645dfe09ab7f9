"""The lease of a run: at most one process drives it at a time.

One object in the run folder, taken and renewed by conditional writes only. It expires, so a holder
that died is followed by another; where the dead holder was a process of this very machine, at once.
The lease keeps drivers from getting into each other's way. That nothing is paid for twice does not
rest on it, nor on clocks that agree: two drivers of one run meet in the ledger, and give a job the
same name and token.
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
CONTROL, STOP = "driven", "being stopped"


@dataclass(frozen=True)
class Holder:
    """Who drives a run, or stops it.

    place: tells machines, and containers on them, apart
    until: when it expires; 0 when it was given back
    """

    holder_id: str
    host: str
    pid: int
    place: str
    since: float
    until: float
    purpose: str = CONTROL

    def is_over(self, now: float) -> bool:
        """Tell whether the lease may be taken over."""
        return now >= self.until or (self.place == _place() and not _is_alive(self.pid))

    def __str__(self) -> str:
        when = f"since {_time(self.since)}, until {_time(self.until)}"
        return f"{self.purpose} by {self.host}, pid {self.pid}, {when}"


class Lease:
    """This process's lease of a run. Use it as a context: taken at its start, given back after.

    took_over: from somebody who had not let go of it
    """

    def __init__(self, storage: Storage, clock: Clock, purpose: str = CONTROL) -> None:
        self._storage = storage
        self._clock = clock
        self._purpose = purpose
        self.took_over = False
        self._held: Holder | None = None
        self._version = ""

    def __enter__(self) -> Lease:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> None:
        """Take the lease. Raises RunHeldError, which says who has it.

        Who stops a run takes it from who drives it, who finds out at the next renewal.
        """
        now = self._clock.now()
        found = self._storage.read_version(layout.LEASE_FILE)
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

    def hold(self) -> None:
        """Renew the lease if that is due. Raises RunHeldError where another has taken it over."""
        if self._held is None:
            self.take()
            return
        now = self._clock.now()
        left = self._held.until - now
        # More left than a whole lease: the clock was set back.
        if not LEASE_SECONDS - RENEW_SECONDS < left <= LEASE_SECONDS:
            held = asdict(self._held) | {"until": now + LEASE_SECONDS}
            self._write(Holder(**held), self._version)

    def release(self) -> None:
        """Give the lease back, if it is still ours."""
        if self._held is None:
            return
        given_back = Holder(**asdict(self._held) | {"until": 0.0})
        try:
            self._write(given_back, self._version)
        except RunHeldError:
            pass
        finally:
            self._held = None

    def _write(self, holder: Holder, version: str | None) -> None:
        data = json.dumps(asdict(holder)).encode()
        try:
            self._version = self._storage.replace(layout.LEASE_FILE, data, version)
        except ObjectChangedError as exc:
            self._held = None
            raise self._held_by(read_holder(self._storage)) from exc
        self._held = holder

    def _held_by(self, holder: Holder | None) -> RunHeldError:
        return RunHeldError(
            f"{self._storage.uri}: is {holder or 'driven by another process'}; let it, or end that "
            "process and run this again"
        )


@contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Hold a lease for as long as something takes that does not renew it itself."""
    with lease, run_periodically("renewing the lease", lease.hold, lambda: RENEW_SECONDS / 2):
        yield


def read_holder(storage: Storage) -> Holder | None:
    """Return who took the lease last, or None."""
    data = storage.read_if_present(layout.LEASE_FILE)
    return None if data is None else _parse(data)


def _parse(data: bytes) -> Holder | None:
    """Return the holder; None where it cannot be read, for then nobody can be said to hold it."""
    names = {f.name for f in fields(Holder)}
    try:
        values = json.loads(data)
        return Holder(**{k: v for k, v in values.items() if k in names})
    except (ValueError, TypeError, AttributeError):
        return None


def _place() -> str:
    """Name the machine since its start, and the space of process ids in it; "" if not known."""
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
    """Tell whether a process has ended and nobody has asked how: in containers that may last."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return told.rpartition(")")[2].split()[:1] == ["Z"]


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
