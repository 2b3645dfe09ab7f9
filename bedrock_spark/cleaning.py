"""Delete what a finished run no longer needs.

Nothing of a run is deleted that is not done: not collected, not published, or at work. Before the
first deletion, `cleaned.json` says what is deleted (`run_folder/cleaned.py`), so a clean that was
killed is carried on by the next one, and nothing else goes on with the run. Only objects that this
package writes are deleted, below the run folder and the run's own folders in other Regions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from threading import Event, Lock
from typing import Any

from bedrock_spark.clock import Clock
from bedrock_spark.errors import AlreadyExistsError, ConfigError, RunFolderError, RunHeldError
from bedrock_spark.progress import Observer, Progress, ignore_progress
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import PARTS, REPORT, RESULTS, Cleaned, read_cleaned
from bedrock_spark.run_folder.lease import CLEAN, PUBLISH, Lease, read_holder, renewed
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.leftovers import delete_leftovers
from bedrock_spark.run_folder.published import Publications, results_fingerprint
from bedrock_spark.run_folder.purchases import open_purchase
from bedrock_spark.run_folder.report_file import read_report
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import Storage, StoredObject, open_storage

KEPT = (RESULTS, REPORT)
# The keys of one DeleteObjects call.
_KEYS = 1_000
_THREADS = 8


@dataclass(frozen=True)
class Deleted:
    """What is deleted of a part of the run folder, or would be."""

    part: str
    objects: int
    bytes: int


def check_parts(keep: Iterable[str]) -> tuple[str, ...]:
    """Return the parts to keep, in order. Raises ConfigError for a part that does not exist."""
    wanted = set(keep)
    unknown = sorted(wanted - set(PARTS))
    if unknown:
        raise ConfigError(f"--keep {','.join(unknown)}: the parts are {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in wanted)


def check_cleanable(run: Run, keep: Sequence[str], now: float, least_age: float = 0.0) -> None:
    """Raise RunFolderError if the run may not be cleaned: it is not done, is at work, or is young.

    keep: the parts that stay; least_age: seconds since the last command ended
    """
    for key in (layout.LEASE_FILE, layout.PUBLISHER_FILE):
        holder = read_holder(run.storage, key)
        if holder is not None and not holder.is_over(now):
            raise RunHeldError(
                f"{run.storage.uri}: is {holder}; nothing is deleted before that ends"
            )
    before = read_cleaned(run.storage)
    if before is None:
        _check_done(run, keep, now, least_age)
    else:
        _check_published(run, keep, before)


def is_cleaned(run: Run, keep: Sequence[str]) -> bool:
    """Tell whether nothing is left to delete: all but `keep` is deleted."""
    cleaned = read_cleaned(run.storage)
    return cleaned is not None and cleaned.is_over and set(cleaned.kept) <= set(keep)


def _check_done(run: Run, keep: Sequence[str], now: float, least_age: float) -> None:
    """Raise RunFolderError if the run is not done, or not long enough.

    Not asked of a run that was cleaned before: it was true then.
    """
    uri = run.storage.uri
    report = _report(run)
    if report.get("state") != DONE:
        state = report.get("state") or "begun"
        raise RunFolderError(
            f"{uri}: is not done, but {state}: answers that were paid for may not be collected. "
            "Run bedrock-spark run first; to give the run up, delete the whole folder yourself"
        )
    _check_published(run, keep)
    if open_purchase(run.storage) is not None:
        raise RunFolderError(
            f"{uri}: model units that it bought may bill; run bedrock-spark stop first"
        )
    ended = dt.datetime.fromisoformat(str(report.get("ended_at"))).timestamp()
    if now - ended < least_age:
        raise RunFolderError(f"{uri}: ended at {report['ended_at']}, which is not that long ago")
    _check_nothing_follows(run, ended)


def _check_published(run: Run, keep: Sequence[str], before: Cleaned | None = None) -> None:
    """Raise RunFolderError if the results that would go, or were published, are nowhere else.

    before: what an earlier clean deleted: it may have been the results
    """
    uri, goes = run.storage.uri, RESULTS not in keep
    if before is not None and (not goes or RESULTS not in before.kept):
        return
    if goes and any(run.storage.scan(layout.images_prefix())):
        raise RunFolderError(
            f"{uri}: the images of its answers are nowhere but in the run folder; keep them: "
            "--keep results"
        )
    place = _report(run).get("published")
    if place is not None:
        if Publications(run.storage).has_now(results_fingerprint(run.storage)):
            return
        if before is None:
            raise RunFolderError(
                f"{uri}: its results are not published as they are now: they changed, or a process "
                "was killed that published them. Run bedrock-spark run first"
            )
    if goes:
        raise RunFolderError(
            f"{uri}: its results are nowhere but in the run folder; keep them: --keep results"
        )


def _check_nothing_follows(run: Run, ended: float) -> None:
    """Raise RunFolderError if more was asked after the last report: it may not be collected.

    That is so if a later process was killed, because it wrote no report.
    ended: when the last report was written, in seconds since the epoch
    """
    jobs = Ledger(run.storage).replay().values()
    asked_at = [at for job in jobs for at in (job.announced_at, job.settled_at) if at is not None]
    asked_at += [
        layout.answered_at(stored.key) for stored in run.storage.scan(f"{layout.FALLBACK}/")
    ]
    # The report has whole seconds, rounded down.
    if max(asked_at, default=0.0) >= ended + 1 or not all(job.is_settled for job in jobs):
        raise RunFolderError(
            f"{run.storage.uri}: the run went on after its last report, so answers that were paid "
            "for may not be collected. Run bedrock-spark run first"
        )


def _report(run: Run) -> dict[str, Any]:
    return read_report(run.storage, run.run_id) or {}


def measure(run: Run, keep: Sequence[str]) -> list[Deleted]:
    """Return what `clean` would delete, by part. Lists the run folder, and writes nothing."""
    return _sums(_objects(_folders(run), _doomed(run, keep), _ignore))


def clean(
    run: Run,
    keep: Sequence[str],
    clock: Clock,
    least_age: float = 0.0,
    observe: Observer = ignore_progress,
) -> list[Deleted]:
    """Delete all parts of the run but `keep`; return what was deleted. Idempotent.

    Raises the errors of `check_cleanable`, RunHeldError if another process takes the lease.
    """
    storage = run.storage
    deleted, lock = 0, Lock()

    def delete(folder: Storage, found: Sequence[StoredObject]) -> None:
        nonlocal deleted
        renewal.check()
        folder.delete([stored.key for stored in found])
        with lock:
            deleted += len(found)
            observe(Progress("clean", deleted, None, unit="objects"))

    with renewed(Lease(storage, clock, CLEAN)) as renewal:
        cleaned = _note(run, keep, clock, least_age)
        folders = _folders(run)
        sums = _sums(_objects(folders, _doomed(run, cleaned.kept), delete))
        delete_leftovers(folders, clock)
        storage.write(layout.CLEANED_FILE, replace(cleaned, is_over=True).to_json())
    return sums


def _note(run: Run, keep: Sequence[str], clock: Clock, least_age: float) -> Cleaned:
    """Write what is about to be deleted. What an earlier clean deleted cannot be kept any more."""
    storage = run.storage
    with ExitStack() as publisher:
        before = read_cleaned(storage)
        if before is None:
            # No process may publish meanwhile: it would read results that are being deleted.
            publisher.enter_context(Lease(storage, clock, PUBLISH))
            _check_done(run, keep, clock.now(), least_age)
            folders = tuple(_folders_elsewhere(run))
            cleaned = Cleaned(clock.now(), tuple(keep), folders)
            try:
                storage.create(layout.CLEANED_FILE, cleaned.to_json())
            except AlreadyExistsError as exc:  # impossible while the lease is held
                raise RunHeldError(f"{storage.uri}: another process cleans this run") from exc
            return cleaned
    _check_published(run, keep, before)
    kept = tuple(part for part in before.kept if part in keep)
    cleaned = replace(before, kept=kept, is_over=False)
    storage.write(layout.CLEANED_FILE, cleaned.to_json())
    return cleaned


def _doomed(run: Run, keep: Sequence[str]) -> list[tuple[str, str]]:
    """Return each part that goes, with each of its objects and folders."""
    before = read_cleaned(run.storage)
    kept = set(keep) & set(before.kept) if before is not None else set(keep)
    return [(part, name) for part, names in PARTS.items() if part not in kept for name in names]


def _folders(run: Run) -> list[Storage]:
    before = read_cleaned(run.storage)
    elsewhere = before.folders if before is not None else _folders_elsewhere(run)
    opened = [open_storage(uri, replace(run.aws, region=region)) for uri, region in elsewhere]
    return [run.storage, *opened]


def _folders_elsewhere(run: Run) -> list[tuple[str, str]]:
    """Return the run's own folders in other Regions, which its jobs read and wrote."""
    places = (job.place for job in Ledger(run.storage).replay().values())
    found = ((p.folder, p.region) for p in places if p is not None and p.folder is not None)
    return list(dict.fromkeys(found))


_Delete = Callable[[Storage, Sequence[StoredObject]], None]


def _ignore(folder: Storage, found: Sequence[StoredObject]) -> None:
    """Delete nothing."""


def _objects(
    folders: Sequence[Storage], doomed: Sequence[tuple[str, str]], delete: _Delete
) -> Iterator[Deleted]:
    """Delete the objects of each part in each folder; yield what each listing had.

    An error or Ctrl-C ends the work on all parts, with the calls that are under way.
    """
    is_over = Event()

    def work(item: tuple[Storage, str, str]) -> Deleted:
        folder, part, name = item
        objects = size = 0
        found = folder.scan(name)
        if not name.endswith("/"):
            found = (stored for stored in found if stored.key == name)
        while not is_over.is_set() and (some := list(islice(found, _KEYS))):
            delete(folder, some)
            objects += len(some)
            size += sum(stored.size for stored in some)
        return Deleted(part, objects, size)

    items = [(folder, part, name) for folder in folders for part, name in doomed]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="clean") as pool:
        running = [pool.submit(work, item) for item in items]
        try:
            _, unfinished = wait(running, return_when=FIRST_EXCEPTION)
            if unfinished:  # one has failed
                is_over.set()
            yield from (each.result() for each in running)
        finally:
            is_over.set()


def _sums(found: Iterable[Deleted]) -> list[Deleted]:
    """Add up what was found, by part; parts without an object are left out."""
    sums: dict[str, tuple[int, int]] = {}
    for each in found:
        objects, size = sums.get(each.part, (0, 0))
        sums[each.part] = objects + each.objects, size + each.bytes
    return [Deleted(part, *sums[part]) for part in PARTS if sums.get(part, (0, 0))[0]]
