"""What is known of the runs that pages show: one reading of a run serves all who look at it.

A page that is open all day asks every few seconds. So a run that rests is read again only if its
report or its lease has changed, and a run that goes on is read so seldom that reading takes at most
a tenth of the time, however large it is. Who asks meanwhile gets the last reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.last_used import LastUsed, do_soon
from bedrock_spark.browse.standing import Standing, standing_of
from bedrock_spark.clock import Clock
from bedrock_spark.report.live import Look, look_at
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.run import Run, find_run
from bedrock_spark.storage import Storage, calls_at_once

# How often a run is read at most, and the part of the time that reading may take.
_LEAST_SECONDS, _SHARE = 3.0, 10.0
# A run is opened again after this time: somebody may go on with another config.
_OPEN_SECONDS = 60.0
# How many runs are kept: the jobs of a large one take a hundred megabytes.
_MOST_RUNS = 6
# Whoever works on a run writes one of these.
_MARKS = (
    *(layout.LEASE_FILE, layout.REPORT_FILE, layout.CLEANED_FILE),
    *(layout.MANIFEST_FILE, layout.CANARY_FILE),
)


@dataclass(frozen=True)
class Reading:
    """A run as it was read. read_at: in seconds since the epoch."""

    run: Run
    look: Look
    standing: Standing
    read_at: float


@dataclass(frozen=True)
class _Kept:
    reading: Reading
    marks: tuple[tuple[str, str], ...]
    opened_at: float
    due_at: float


class Looks:
    """The last readings of runs. Several threads may ask at once."""

    def __init__(self, aws: AwsSettings, clock: Clock) -> None:
        self._aws = aws
        self._clock = clock
        self._kept: LastUsed[str, _Kept] = LastUsed(_MOST_RUNS)

    def of(self, run_uri: str, *, at_once: bool = False) -> Reading:
        """Return what is known of a run; read it if that is due.

        at_once: read it in any case, such as before somebody decides to stop it
        Raises RunFolderError if there is no run, or its folder is damaged.
        """

        def read(known: _Kept | None) -> _Kept:
            return self._read(run_uri, known, at_once=at_once)

        # If another thread reads it already, what is known is good enough.
        return self._kept.make(run_uri, read, waits=at_once).reading

    def soon(self, run_uri: str, wait: float = 0.7) -> Reading | None:
        """Return what is known of a run after at most `wait` seconds; None if nothing is yet.

        The reading of a run of 100,000 jobs takes seconds. It goes on in the background.
        Raises what `of` raises.
        """
        do_soon(lambda: self.of(run_uri), wait, f"reading {run_uri}")
        kept = self._kept.get(run_uri)
        return None if kept is None else kept.reading

    def forget(self, run_uri: str) -> None:
        """Let a run be read when it is asked for next: this process has begun to work on it."""
        self._kept.change(run_uri, lambda kept: replace(kept, due_at=0.0, marks=()))

    def _read(self, run_uri: str, kept: _Kept | None, *, at_once: bool) -> _Kept:
        began = self._clock.now()
        if kept is not None and not at_once:
            known = kept.reading
            if known.read_at <= began < kept.due_at:
                return kept
            if not known.look.goes_on and _marks(known.run.storage) == kept.marks:
                return replace(kept, due_at=began + _LEAST_SECONDS)
        is_open = kept is not None and 0 <= began - kept.opened_at < _OPEN_SECONDS
        if kept is not None and is_open and not at_once:
            run, opened_at = kept.reading.run, kept.opened_at
        else:
            run = find_run(run_uri, self._aws.region, self._aws.endpoint_url, needs=())
            opened_at = began
        marks = _marks(run.storage)
        look = look_at(run, self._clock)
        now = self._clock.now()
        reading = Reading(run, look, standing_of(run, look.known, now), now)
        due_at = now + max(_LEAST_SECONDS, _SHARE * (now - began))
        return _Kept(reading, marks, opened_at, due_at)


def _marks(storage: Storage) -> tuple[tuple[str, str], ...]:
    """Return the versions of the objects by which a change of a run that rests is seen."""
    with calls_at_once(storage) as calls:
        listed = [calls.begin(storage.list, key) for key in _MARKS]
    objects = (found for each in listed for found in each.result())
    return tuple((found.key, found.version) for found in objects)
