"""Claims on the work of a task: of two attempts of one task, one works, and the other waits.

Spark may run a task twice at once: by speculation, or because an executor was lost and lives on. An
attempt therefore claims the task, by an object that it creates only if absent, and renews the claim
while it works. Another attempt waits while it sees the object change. It takes over if the object
did not change for as long as a claim lasts, and ends if the work is done.

Claims belong to a round of the fallback. A round that was given up may have left an attempt that
lives on, on a machine that nobody can reach. So a new round first revokes all claims of other
rounds, and waits until their holders must have noticed: one that cannot renew its claim stops.

A round is open while it has an object of its own. An attempt writes its claim and then looks for
that object; who ends a round deletes the object and then lists the claims. So one of the two sees
what the other did, whatever happens at the same time.

Each process measures time by its own monotonic clock: no clocks of two machines are compared.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from bedrock_spark.clock import Clock
from bedrock_spark.errors import ObjectChangedError, RunHeldError
from bedrock_spark.progress import Observer, Progress, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.processes import is_dead, start_of, this_place
from bedrock_spark.storage import Storage, calls_at_once

# How long a claim lasts if it is not renewed, how often it is renewed, and how often another
# attempt looks at it.
CLAIM_SECONDS = 60.0
RENEW_SECONDS = CLAIM_SECONDS / 4
LOOK_SECONDS = 5.0

_WORKING, _FREE, _DONE, _REVOKED = "working", "free", "done", "revoked"


class _State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a claim's object holds.

    attempt: the id of the attempt that has the claim; place, pid, start: of its process
    beats: how often it was renewed, so that each renewal changes the object
    result: what the work came to, as JSON, once it is done
    """

    state: str
    attempt: str
    place: str = ""
    pid: int = 0
    beats: int = 0
    result: str | None = None
    start: int = 0

    @property
    def may_be_at_work(self) -> bool:
        return self.state in (_WORKING, _REVOKED) and not is_dead(self.place, self.pid, self.start)


class TaskClaim:
    """The claim of one attempt of a task.

    name: of the task, the same for all its attempts
    seconds: how long a claim lasts if it is not renewed
    """

    def __init__(
        self,
        storage: Storage,
        round_id: str,
        name: str,
        clock: Clock,
        seconds: float = CLAIM_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._round_id = round_id
        self._key = layout.claim_key(round_id, name)
        self._clock = clock
        self._seconds = seconds
        self._monotonic = monotonic
        pid = os.getpid()
        self._own = _State(_WORKING, secrets.token_hex(8), this_place(), pid, start=start_of(pid))
        self._version: str | None = None
        self.is_new = False

    def acquire(self) -> str | None:
        """Wait until this attempt may work; or return the result if another attempt has one.

        `is_new` tells then whether no attempt of this round has ever claimed the task. Before this
        one works, call `confirm`. Raises RunHeldError if it waits, and the round is over.
        """
        self.is_new = self._write(self._own, None)
        if self.is_new:
            return None
        seen, since = "", self._monotonic()
        while True:
            with calls_at_once(self._storage) as calls:
                opened = calls.begin(
                    self._storage.read_if_present, layout.round_key(self._round_id)
                )
                claimed = calls.begin(self._storage.read_version, self._key)
            if opened.result() is None:
                raise self._over()
            found = claimed.result()
            if found is None:
                if self._write(self._own, None):
                    return None
                continue
            state, version = _parse(found[0]), found[1]
            if state.state == _DONE:
                return state.result
            if state.state == _REVOKED:
                raise self._over()
            if version != seen:
                seen, since = version, self._monotonic()
            if not state.may_be_at_work or self._monotonic() - since >= self._seconds:
                if self._write(self._own, version):
                    return None
                continue
            self._clock.sleep(min(LOOK_SECONDS, self._seconds / 4))

    def confirm(self) -> None:
        """Raise RunHeldError if the round was over when this attempt claimed the task."""
        if self._storage.read_if_present(layout.round_key(self._round_id)) is None:
            self._storage.delete([self._key])
            raise self._over()

    def renew(self) -> None:
        """Renew the claim. Raises RunHeldError if it was taken over or revoked."""
        self._replace(msgspec.structs.replace(self._own, beats=self._own.beats + 1))

    def finish(self, result: str) -> None:
        """Note that the work is done. Raises RunHeldError if the claim was taken over."""
        self._replace(msgspec.structs.replace(self._own, state=_DONE, result=result))

    def release(self) -> None:
        """Let another attempt work at once. If the claim was taken over, nothing is changed."""
        with suppress(RunHeldError):
            self._replace(msgspec.structs.replace(self._own, state=_FREE))

    def _replace(self, state: _State) -> None:
        if not self._write(state, self._version):
            raise RunHeldError(
                f"{self._storage.uri}: another attempt does the work of this task, or the round "
                "of the fallback is over"
            )
        self._own = state

    def _write(self, state: _State, version: str | None) -> bool:
        """Write the object if it has this version; tell whether this attempt has the claim now."""
        data = msgspec.json.encode(state)
        try:
            self._version = self._storage.replace(self._key, data, version)
        except ObjectChangedError:
            found = self._storage.read_version(self._key)
            if found is None or _parse(found[0]).attempt != state.attempt:
                return False
            # The reply to an earlier write of this attempt was lost.
            self._version = self._storage.replace(self._key, data, found[1])
        return True

    def _over(self) -> RunHeldError:
        return RunHeldError(f"{self._storage.uri}: this round of the fallback is over")


def open_round(
    storage: Storage,
    round_id: str,
    clock: Clock,
    seconds: float = CLAIM_SECONDS,
    observe: Observer = ignore_progress,
) -> None:
    """Revoke the claims of other rounds, and let the tasks of this one claim their work.

    Call it with the run's lease held. If an attempt of another round may be at work, waits until
    its process is dead, as far as that can be seen from here, or for `seconds` seconds, and tells
    `observe`: after that it has stopped. One that did not notice cannot renew its claim. Then
    deletes what the tasks of killed rounds left.
    """
    own = layout.round_key(round_id)
    with calls_at_once(storage) as calls:
        listed = calls.begin(storage.list, f"{layout.CLAIMS}/")
        left_over = calls.begin(storage.list, f"{layout.TASKS}/")
        # No task of this round has begun, so it may be opened before the others are over.
        opened = calls.begin(storage.write, own, b"{}")
    opened.result()
    others = [o.key for o in listed.result() if o.key != own]
    rounds = [key for key in others if not layout.is_claim(key)]
    if rounds:
        storage.delete(rounds)
        others = [o.key for o in storage.list(f"{layout.CLAIMS}/") if o.key != own]
    claims = [key for key in others if layout.is_claim(key)]
    with calls_at_once(storage) as calls:
        revoking = [calls.begin(_revoke, storage, key) for key in claims]
    found = [each.result() for each in revoking]
    at_work = [state for state in found if state is not None]
    if at_work:
        detail = (
            f"{len(at_work):,} tasks of a process that was ended may be at work; they stop within "
            f"{seconds:.0f} s"
        )
        observe(Progress("fallback", 0, None, detail, waits_for="them to stop"))
    left, has_waited = seconds, bool(at_work)
    while at_work and left > 0:
        step = min(LOOK_SECONDS, left)
        clock.sleep(step)
        left -= step
        at_work = [state for state in at_work if state.may_be_at_work]
    tasks = storage.list(f"{layout.TASKS}/") if has_waited else left_over.result()
    storage.delete([*claims, *(o.key for o in tasks)])


def close_round(storage: Storage, round_id: str) -> None:
    """Delete what the tasks of a round that has ended well left. A late attempt finds it over."""
    own = layout.round_key(round_id)
    with calls_at_once(storage) as calls:
        claims = calls.begin(storage.list, layout.claims_prefix(round_id))
        tasks = calls.begin(storage.list, layout.tasks_prefix(round_id))
        # Before the claims: without the round's own object no attempt can claim anything.
        closed = calls.begin(storage.delete, [own])
    closed.result()
    keys = [o.key for listed in (claims, tasks) for o in listed.result()]
    storage.delete([key for key in keys if key != own])


def _revoke(storage: Storage, key: str) -> _State | None:
    """Revoke a claim; return it if its holder may be at work, else None."""
    while True:
        found = storage.read_version(key)
        if found is None:
            return None
        state = _parse(found[0])
        if not state.may_be_at_work:
            return None
        try:
            revoked = msgspec.structs.replace(state, state=_REVOKED, attempt="")
            storage.replace(key, msgspec.json.encode(revoked), found[1])
        except ObjectChangedError:
            continue  # it was renewed meanwhile
        return state


def _parse(data: bytes) -> _State:
    """Return the state of a claim. An object that cannot be read is nobody's."""
    try:
        return msgspec.json.decode(data, type=_State)
    except msgspec.DecodeError:
        return _State(_FREE, "")
