"""Runs that a process looks at again and again: what is read of each is kept while it is valid."""

from __future__ import annotations

from dataclasses import dataclass

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.last_used import LastUsed, do_soon
from bedrock_spark.browse.unit_counts import UnitCounts, count_units
from bedrock_spark.clock import Clock
from bedrock_spark.outputs.reconciliations import read_reconciliations
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import RESULTS
from bedrock_spark.run_folder.manifest import RunManifest, refuse_other_run, require_manifest
from bedrock_spark.run_folder.run import Run, find_run
from bedrock_spark.storage import Storage

# How long `run.json` and the config are not read again.
_RUN_SECONDS = 10.0
# The same of the counts if no collect has ended yet, so that no table tells that they are old.
_COUNTS_SECONDS = 30.0
_MOST_RUNS = 8


@dataclass(frozen=True)
class OpenedRun:
    """A prepared run, and the counts of its units."""

    run: Run
    manifest: RunManifest
    counts: UnitCounts


@dataclass(frozen=True)
class _Known:
    run: Run
    read_at: float
    versions: tuple[str, str]
    counted_at: float
    opened: OpenedRun


class OpenedRuns:
    """Opens runs. The last eight are kept; threads may share it, and a slow run delays no other.

    The run manifest and the counts are read again if their objects have changed: a collect writes
    the table of the counts when it ends.
    """

    def __init__(self, aws: AwsSettings, clock: Clock) -> None:
        self._aws = aws
        self._clock = clock
        self._known: LastUsed[str, _Known] = LastUsed(_MOST_RUNS)

    def open(self, run_uri: str) -> OpenedRun:
        """Return a run. Raises RunFolderError if there is none, or it is not prepared or damaged.

        Raises RunCleanedError if `clean` has deleted its results.
        """
        return self._known.make(run_uri, lambda known: self._opened(run_uri, known)).opened

    def soon(self, run_uri: str, wait: float = 0.7) -> OpenedRun | None:
        """Return a run after at most `wait` seconds, as it was read last; None if it never was.

        The counts of 100,000 shards take seconds. They are read on in the background.
        Raises what `open` raises.
        """
        do_soon(lambda: self.open(run_uri), wait, f"opening {run_uri}")
        known = self._known.get(run_uri)
        return None if known is None else known.opened

    def _opened(self, run_uri: str, known: _Known | None) -> _Known:
        now = self._clock.now()
        if known is not None and now - known.read_at < _RUN_SECONDS:
            run, read_at = known.run, known.read_at
        else:
            aws = self._aws
            run = find_run(run_uri, aws.region, aws.endpoint_url, needs=(RESULTS,))
            read_at = now
        versions = _versions(run.storage)
        if known is not None and known.versions == versions and known.run.run_id == run.run_id:
            is_old = not versions[1] and now - known.counted_at >= _COUNTS_SECONDS
            if not is_old:
                opened = OpenedRun(run, known.opened.manifest, known.opened.counts)
                return _Known(run, read_at, versions, known.counted_at, opened)
        return _Known(run, read_at, versions, now, open_rows(run))


def open_rows(run: Run) -> OpenedRun:
    """Return a run with the counts of its units: the manifest, one listing, and one table.

    Raises RunFolderError if it is not prepared, or the folder is damaged.
    """
    manifest = require_manifest(run.storage)
    refuse_other_run(manifest, run.run_id, run.storage)
    reconciled = read_reconciliations(run.storage)
    counts = count_units(manifest.units, reconciled, run.config.results.prefix)
    return OpenedRun(run, manifest, counts)


def _versions(storage: Storage) -> tuple[str, str]:
    """Return the versions of the run manifest and of the table of reconciliations; "" for none."""
    keys = layout.MANIFEST_FILE, layout.RECONCILIATIONS_FILE
    listed = [{o.key: o.version for o in storage.list(key)} for key in keys]
    first, second = (each.get(key, "") for each, key in zip(listed, keys, strict=True))
    return first, second
