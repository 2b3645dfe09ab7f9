"""An index of the runs below a prefix, for a process that shows them page by page all day.

`find_runs` reads two objects of each run, each time. Ten thousand runs take minutes then, for a
page that shows fifty. So the index keeps in memory what never changes of a run: where it is, when
it was begun, its model. It reads the rest for the runs of one page, and the reports of all runs
only if somebody filters or sorts by what they say. Both happen in the background: a page shows what
is known so far, and says how much that is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.background import BackgroundTask
from bedrock_spark.browse.runs import (
    DEPTH,
    THREADS,
    BegunRun,
    FoundRun,
    read_begun,
    read_summary,
)
from bedrock_spark.browse.stage_runs import read_begun_stages, read_stages_summary
from bedrock_spark.clock import Clock
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import read_holder
from bedrock_spark.storage import open_storage

RUNS_A_PAGE = 50
# How long the folders, and the reports of all runs, count as known, in seconds.
_FOLDERS_SECONDS, _REPORTS_SECONDS = 15.0, 120.0
# A run in one of these states changes only if somebody begins to work on it again.
_AT_REST = frozenset({"done", "cleaned"})
_AT_REST_SECONDS = 3_600.0
# How many runs are read before a page can show them.
_BATCH = 200
T = TypeVar("T")


@dataclass(frozen=True)
class IndexedRun:
    """A run in the index. stages: their names, if this is the folder of a config with stages."""

    begun: BegunRun
    stages: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return what a search looks in."""
        begun = self.begun
        parts = (begun.run_uri, begun.run_id or "", begun.model_id or "", *self.stages)
        return "\n".join(parts).casefold()


@dataclass(frozen=True)
class ShownRun:
    """A run as a page of runs shows it.

    goes_on: whether a process works on it now
    stages: their names, if this is the folder of a config with stages
    """

    run: FoundRun
    goes_on: bool = False
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunsQuery:
    """Which runs a page shows.

    text: a part of the URI, run id, model or stage; state: "" for all
    order: one of ORDERS; page: from 1
    """

    text: str = ""
    state: str = ""
    order: str = "newest"
    page: int = 1

    @property
    def needs_reports(self) -> bool:
        """Tell whether the reports of all runs are needed to answer."""
        return bool(self.state) or self.order not in _BY_FOLDER


@dataclass(frozen=True)
class RunsPage:
    """A page of runs.

    found: how many fit the query; known: how many runs the index has so far
    is_complete: whether all folders, and all reports that the query needs, are read
    read: how many reports are read, None if the query needs none
    problem: why the folders cannot be read, None if they can
    """

    runs: tuple[ShownRun, ...]
    found: int
    known: int
    is_complete: bool
    read: int | None
    page: int
    pages: int
    problem: str | None = None


def _begun(run: IndexedRun) -> tuple[str, str]:
    return run.begun.begun_at or "", run.begun.run_uri


# Orders that need only what the index has: what they sort by, and whether the largest is first.
_BY_FOLDER: dict[str, tuple[Callable[[IndexedRun], tuple[str, str]], bool]] = {
    "newest": (_begun, True),
    "oldest": (_begun, False),
    "name": (lambda run: (run.begun.run_uri, ""), False),
}
# Orders that need the reports. The largest is first.
_BY_REPORT: dict[str, Callable[[FoundRun], float]] = {
    "most rows": lambda run: run.rows,
    "most rows not ok": lambda run: run.rows - run.ok,
    "highest cost": lambda run: run.cost or 0.0,
}
ORDERS = (*_BY_FOLDER, *_BY_REPORT)


class RunIndex:
    """The runs below one prefix. Several threads may ask it at once."""

    def __init__(self, prefix: str, aws: AwsSettings, clock: Clock) -> None:
        self._storage = open_storage(prefix, aws)
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: dict[str, IndexedRun] = {}
        self._summaries: dict[str, tuple[float, FoundRun]] = {}
        self._folders = BackgroundTask("folders", self._read_folders, clock, _FOLDERS_SECONDS)
        self._reports = BackgroundTask("reports", self._read_reports, clock, _REPORTS_SECONDS)

    def page(self, query: RunsQuery, wait: float = 0.6) -> RunsPage:
        """Return a page of runs, by what is known after at most `wait` seconds.

        Raises ConfigError if the order is none of ORDERS, and a BedrockSparkError if the runs of
        the page cannot be read.
        """
        if query.order not in ORDERS:
            raise ConfigError(f"sort={query.order}: runs can be sorted by {', '.join(ORDERS)}")
        is_complete = self._folders.wait(wait)
        with self._lock:
            runs = list(self._runs.values())
        needle = query.text.casefold()
        found = [run for run in runs if not needle or needle in run.words]
        read = None
        if query.needs_reports:
            is_complete = is_complete and self._reports.wait(wait)
            found, read = self._by_report(found, query)
        if query.order in _BY_FOLDER:
            key, reverse = _BY_FOLDER[query.order]
            found.sort(key=key, reverse=reverse)
        pages = max(1, -(-len(found) // RUNS_A_PAGE))
        page = min(max(1, query.page), pages)
        shown = self._shown(found[(page - 1) * RUNS_A_PAGE : page * RUNS_A_PAGE])
        problem = self._folders.problem or self._reports.problem
        return RunsPage(
            tuple(shown), len(found), len(runs), is_complete, read, page, pages, problem
        )

    def one(self, name: str) -> ShownRun | None:
        """Return the run in a folder right below the prefix as it is now; None if there is none."""
        run = self._read_begun(f"{name}/")
        return None if run is None else self._shown([run])[0]

    def _by_report(
        self, runs: Sequence[IndexedRun], query: RunsQuery
    ) -> tuple[list[IndexedRun], int]:
        """Return the runs whose report is read and fits, and how many reports are read."""
        with self._lock:
            entries = [(run, self._summaries.get(run.begun.folder)) for run in runs]
        read = [(run, entry[1]) for run, entry in entries if entry is not None]
        fitting = [(run, s) for run, s in read if query.state in ("", s.state)]
        if query.order in _BY_REPORT:
            amount = _BY_REPORT[query.order]
            fitting.sort(key=lambda pair: (-amount(pair[1]), pair[1].run_uri))
        return [run for run, _ in fitting], len(read)

    def _shown(self, runs: Sequence[IndexedRun]) -> list[ShownRun]:
        """Return some runs as they are now."""
        now = self._clock.now()

        def holds(run: IndexedRun) -> bool:
            holder = read_holder(self._storage, f"{run.begun.folder}{layout.LEASE_FILE}")
            return holder is not None and not holder.is_over(now)

        with ThreadPoolExecutor(THREADS) as pool:
            held = pool.map(holds, runs)
            summaries = self._summarize(runs)
            return [
                ShownRun(summary, goes_on, run.stages)
                for run, summary, goes_on in zip(runs, summaries, held, strict=True)
            ]

    def _summarize(self, runs: Sequence[IndexedRun]) -> list[FoundRun]:
        """Read what the reports of some runs say, and keep it."""
        now = self._clock.now()
        with ThreadPoolExecutor(THREADS) as pool:
            read = list(pool.map(self._read_summary, runs))
        with self._lock:
            self._summaries.update(
                (run.begun.folder, (now, summary)) for run, summary in zip(runs, read, strict=True)
            )
        return read

    def _read_summary(self, run: IndexedRun) -> FoundRun:
        if run.stages:
            return read_stages_summary(self._storage, run.begun)
        return read_summary(self._storage, run.begun)

    def _read_folders(self) -> None:
        """List the folders, and read `run.json` of those that are new."""
        seen: set[str] = set()
        with ThreadPoolExecutor(THREADS) as pool:
            level = [""]
            for depth in range(DEPTH + 1):
                others: list[str] = []
                for batch in _batches(level, _BATCH):
                    others += self._note_runs(pool, batch, seen)
                if depth < DEPTH:
                    below = pool.map(self._storage.folders, others)
                    level = [folder for several in below for folder in several]
        with self._lock:
            for gone in set(self._runs) - seen:
                del self._runs[gone]
                self._summaries.pop(gone, None)

    def _note_runs(
        self, pool: ThreadPoolExecutor, folders: Sequence[str], seen: set[str]
    ) -> list[str]:
        """Note the runs among some folders; return the folders that are none."""
        with self._lock:
            new = [folder for folder in folders if folder not in self._runs]
        found = [run for run in pool.map(self._read_begun, new) if run is not None]
        with self._lock:
            self._runs.update((run.begun.folder, run) for run in found)
            are_runs = [folder for folder in folders if folder in self._runs]
        seen.update(are_runs)
        return [folder for folder in folders if folder not in seen]

    def _read_begun(self, folder: str) -> IndexedRun | None:
        begun = read_begun(self._storage, folder)
        if begun is not None:
            return IndexedRun(begun)
        stages = read_begun_stages(self._storage, folder)
        return None if stages is None else IndexedRun(*stages)

    def _read_reports(self) -> None:
        """Read the reports of all runs whose last reading is too old."""
        now = self._clock.now()
        with self._lock:
            due = [run for run in self._runs.values() if self._is_due(run, now)]
        for batch in _batches(due, _BATCH):
            self._summarize(batch)

    def _is_due(self, run: IndexedRun, now: float) -> bool:
        entry = self._summaries.get(run.begun.folder)
        if entry is None:
            return True
        at, summary = entry
        seconds = _AT_REST_SECONDS if summary.state in _AT_REST else _REPORTS_SECONDS
        return not 0 <= now - at < seconds


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    listed = list(items)
    for first in range(0, len(listed), size):
        yield listed[first : first + size]
