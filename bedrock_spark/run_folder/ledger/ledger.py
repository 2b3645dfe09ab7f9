"""The ledger of a run: append-only objects in the run folder, and the state they leave.

One object per append, numbered, created only if absent: of two drivers that append at once, one
loses and stops. Nothing is ever rewritten. A damaged object is an error that names it; only where
it is the last one is it set aside, which the next object says: no later word rests on it, and what
it said of jobs can be found out from the service.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import AlreadyExistsError, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import snapshots
from bedrock_spark.run_folder.ledger.events import Event, set_aside
from bedrock_spark.run_folder.ledger.objects import DamagedObjectError, decode, encode
from bedrock_spark.run_folder.ledger.state import Job, LedgerState
from bedrock_spark.storage import Storage

_READERS = 16


class Ledger:
    """The ledger of one run, open for reading and appending. `state` is what is durable."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._next: int | None = None
        self._torn: list[tuple[int, str]] = []
        self.state = LedgerState()

    def replay(self) -> dict[str, Job]:
        """Return every job by name, as the events leave it. Raises RunFolderError if damaged."""
        return self.load().jobs

    def load(self) -> LedgerState:
        """Read the ledger and return the state it leaves. Raises RunFolderError if damaged."""
        keys = [o.key for o in self._storage.list(f"{layout.LEDGER}/")]
        last = layout.sequence_of(keys[-1]) if keys else 0
        number, state = snapshots.read_newest_snapshot(self._storage, last)
        newer = [key for key in keys if layout.sequence_of(key) > number]
        decoded = [self._decoded(data) for data in self._read(newer)]
        self._torn = []
        for i, (key, events) in enumerate(zip(newer, decoded, strict=True)):
            if isinstance(events, DamagedObjectError):
                self._excuse(key, events, decoded[i + 1] if i + 1 < len(newer) else None, state)
                continue
            for event in events:
                state.apply(event)
        self._next, self.state = last + 1, state
        return state

    def _read(self, keys: list[str]) -> list[bytes]:
        if len(keys) < _READERS:
            return [self._storage.read(key) for key in keys]
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(self._storage.read, keys, chunksize=1))

    @staticmethod
    def _decoded(data: bytes) -> list[Event] | DamagedObjectError:
        try:
            return decode(data)
        except DamagedObjectError as exc:
            return exc

    def _excuse(
        self,
        key: str,
        damage: DamagedObjectError,
        following: list[Event] | DamagedObjectError | None,
        state: LedgerState,
    ) -> None:
        """Pass over a damaged object if it is the last, or if the one after it says so."""
        number = layout.sequence_of(key)
        if following is None:
            self._torn.append((number, str(damage)))
            state.floors.clear()
            return
        if isinstance(following, list) and any(
            e["event"] == "set_aside" and e["object"] == number for e in following
        ):
            return
        raise RunFolderError(
            f"{join_uri(self._storage.uri, key)}: {damage}; the ledger is damaged, and "
            "later events rest on it. Restore the object from a backup or an older version of it"
        ) from damage

    @property
    def torn(self) -> list[str]:
        """Name the damaged last object that the next append sets aside, if there is one."""
        return [layout.ledger_key(number) for number, _ in self._torn]

    def append(self, events: Iterable[Event], now: float = 0.0) -> None:
        """Write events as one object. Raises RunFolderError where another driver was faster."""
        listed = list(events)
        if not listed:
            return
        if self._next is None:
            self.load()
        assert self._next is not None
        listed = [*(set_aside(number, why, now) for number, why in self._torn), *listed]
        self._create(layout.ledger_key(self._next), encode(listed))
        self._torn = []
        for event in listed:
            self.state.apply(event)
        if self._next % snapshots.EVERY == 0:
            snapshots.write_snapshot(self._storage, self._next, self.state)
        self._next += 1

    def _create(self, key: str, data: bytes) -> None:
        try:
            self._storage.create(key, data)
        except AlreadyExistsError as exc:
            # Where the reply to a put is lost, its repetition finds our own object there.
            if self._storage.read_if_present(key) == data:
                return
            raise RunFolderError(
                f"{self._storage.uri}: another process is driving this run; let it, or stop it "
                "and run again"
            ) from exc
