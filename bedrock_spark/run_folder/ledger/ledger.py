"""The ledger of a run: a write-ahead log of its jobs, in append-only objects of the run folder.

https://en.wikipedia.org/wiki/Write-ahead_logging. The intent to create a job is written before the
call, so any machine can find out later whether the call had its effect.

Each append is one numbered object that is created only if it is absent. This is the fence between
two controllers: of two that append at once, one fails and stops. Nothing is ever rewritten.

The numbers are 1, 2, 3 … without a gap: a missing object is an error that names it, unless a
snapshot covers it. A damaged object is an error, too. Only a damaged last object is skipped, and
the next append records that: nothing later depends on it, and the service can tell what it said of
jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import AlreadyExistsError, RunFolderError, RunHeldError
from bedrock_spark.garbage import garbage_collection_paused
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import snapshots
from bedrock_spark.run_folder.ledger.events import Event, RawEvent, SetAside, as_json
from bedrock_spark.run_folder.ledger.objects import DamagedObjectError, decode_known, encode
from bedrock_spark.run_folder.ledger.state import Job, LedgerState
from bedrock_spark.storage import Storage, calls_at_once

# Other names, such as those that a console or a file manager leaves, are no objects of the ledger.
_NAME = re.compile(rf"{layout.LEDGER}/\d{{9,}}\.jsonl")


# The objects that are read before the first of them is decoded.
_READ_AT_ONCE = 64

# The events of an object. Those of a newer version are as they were read.
_Events: TypeAlias = Sequence[Event | RawEvent]


def _number_set_aside(event: Event | RawEvent) -> int | None:
    """Return the number of the object that an event sets aside; None if it is another event."""
    if isinstance(event, Event):
        return event.object if isinstance(event, SetAside) else None
    return event.get("object") if event["event"] == "set_aside" else None


class Ledger:
    """The ledger of one run, open for reading and appending. `state` is what is durable."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._next: int | None = None
        self._torn: list[tuple[int, str]] = []
        # The objects and the events since the newest snapshot.
        self._objects = self._events = 0
        self.state = LedgerState()

    def replay(self) -> dict[str, Job]:
        """Return every job by name. Raises RunFolderError if the ledger is damaged."""
        return self.load().jobs

    def load(self) -> LedgerState:
        """Read the ledger; return the state that it leaves.

        Raises RunFolderError if an object is damaged, or missing before another one.
        """
        with garbage_collection_paused():
            return self._load()

    def _load(self) -> LedgerState:
        with calls_at_once(self._storage) as calls:
            snapshot = calls.begin(snapshots.read_newest_snapshot, self._storage)
            listed = calls.begin(self._list_numbers)
        number, state = snapshot.result()
        newer = self._keys_after(number, listed.result())
        self._torn, self._objects, self._events = [], len(newer), 0
        decoded = self._decoded(newer)
        following = next(decoded, None)
        for key in newer:
            events, following = following, next(decoded, None)
            assert events is not None
            if isinstance(events, DamagedObjectError):
                self._skip_damaged(key, events, following, state)
            else:
                self._events += len(events)
                self._apply(key, events, state)
        self._next, self.state = number + len(newer) + 1, state
        return state

    def _list_numbers(self) -> set[int]:
        keys = (o.key for o in self._storage.scan(f"{layout.LEDGER}/"))
        return {layout.sequence_of(key) for key in keys if _NAME.fullmatch(key)}

    def _keys_after(self, snapshot: int, numbers: set[int]) -> list[str]:
        """Return the objects after a snapshot, or all if it is 0, in the order of their numbers.

        numbers: of the objects that were listed. The order of the listing does not matter: S3
            Express lists in none
        Raises RunFolderError if one is missing.
        """
        if max(numbers, default=0) < snapshot:
            # It may have been listed before the snapshot was written: look again, after it.
            numbers = self._list_numbers()
        last = max(numbers, default=0)
        if last < snapshot:
            raise self._missing(snapshot, f"a snapshot was made of the ledger up to {snapshot}")
        for number in range(snapshot + 1, last):
            # A listing of a local folder may leave out what is created while it is read.
            if number not in numbers and not self._exists(number):
                raise self._missing(number, f"the ledger goes on to {last}")
        return [layout.ledger_key(number) for number in range(snapshot + 1, last + 1)]

    def _exists(self, number: int) -> bool:
        return self._storage.read_if_present(layout.ledger_key(number)) is not None

    def _missing(self, number: int, why: str) -> RunFolderError:
        return RunFolderError(
            f"{join_uri(self._storage.uri, layout.ledger_key(number))}: is missing, but {why}. "
            "Without it a stop may be forgotten, or a job paid for twice. Restore it from an older "
            "version of the object or from a backup; a lifecycle rule must not delete what is in "
            f"{layout.LEDGER}/ while the run goes on"
        )

    def _apply(self, key: str, events: _Events, state: LedgerState) -> None:
        try:
            for event in events:
                if isinstance(event, Event):
                    state.apply(event)
                else:
                    state.apply_raw(event)
        except msgspec.ValidationError as exc:
            raise RunFolderError(
                f"{join_uri(self._storage.uri, key)}: an event is not of this version ({exc}); "
                "carry the run on with the version that wrote it"
            ) from exc

    def _decoded(self, keys: list[str]) -> Iterator[_Events | DamagedObjectError]:
        """Read objects, many at once; yield the events of each, or why it is damaged."""
        for place in range(0, len(keys), _READ_AT_ONCE):
            with calls_at_once(self._storage) as calls:
                some = keys[place : place + _READ_AT_ONCE]
                reads = [calls.begin(self._storage.read, key) for key in some]
            reads.reverse()
            while reads:  # each is forgotten when it is decoded: together, they are large
                try:
                    yield decode_known(reads.pop().result())
                except DamagedObjectError as exc:
                    yield exc

    def _skip_damaged(
        self,
        key: str,
        damage: DamagedObjectError,
        following: _Events | DamagedObjectError | None,
        state: LedgerState,
    ) -> None:
        """Skip a damaged object if it is the last one, or if the next one records the damage."""
        number = layout.sequence_of(key)
        if following is None:
            self._torn.append((number, str(damage)))
            state.floors.clear()
            return
        if not isinstance(following, DamagedObjectError) and any(
            number == _number_set_aside(event) for event in following
        ):
            return
        raise RunFolderError(
            f"{join_uri(self._storage.uri, key)}: {damage}; the ledger is damaged, and later "
            "events depend on it. Restore the object from a backup or an older version of it"
        ) from damage

    @property
    def torn(self) -> list[str]:
        """Name the damaged last object that the next append sets aside, if there is one."""
        return [layout.ledger_key(number) for number, _ in self._torn]

    def append(self, events: Iterable[Event], now: float = 0.0) -> None:
        """Write events as one object.

        Raises RunHeldError if another process appended since this one read the ledger.
        """
        listed = list(events)
        if not listed:
            return
        if self._next is None:
            self.load()
        assert self._next is not None
        listed = [*(SetAside(number, why, now) for number, why in self._torn), *listed]
        self._create(layout.ledger_key(self._next), encode(as_json(event) for event in listed))
        self._torn = []
        for event in listed:
            self.state.apply(event)
        self._objects += 1
        self._events += len(listed)
        if snapshots.is_due(self._objects, self._events, self.state):
            snapshots.write_snapshot(self._storage, self._next, self.state)
            self._objects = self._events = 0
        self._next += 1

    def _create(self, key: str, data: bytes) -> None:
        try:
            self._storage.create(key, data)
        except AlreadyExistsError as exc:
            raise RunHeldError(
                f"{self._storage.uri}: another process controls this run; wait until it ends, or "
                "stop it and run this again"
            ) from exc
