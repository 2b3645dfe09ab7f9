"""What a run folder holds when a run is opened. It is read at once: each read more would wait.

Nearly every stage needs the run manifest and the prices next. A manifest that is there never
changes, so it is not read again. One that is not there may be committed at any time.
"""

from __future__ import annotations

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, parse_manifest
from bedrock_spark.run_folder.prices import RecordedPrices, parse_prices
from bedrock_spark.run_folder.run_file import read_run_file
from bedrock_spark.run_folder.same_run import has_ledger, refuse
from bedrock_spark.run_folder.stages_file import no_run, read_stage_names
from bedrock_spark.storage import Storage, calls_at_once


class Opening:
    """What was read of a run folder.

    run_file: the bytes of `run.json`; None if there is none
    is_fixed: whether there was a run manifest, or a job in the ledger
    """

    def __init__(
        self,
        storage: Storage,
        run_file: bytes | None,
        manifest: bytes | None,
        prices: bytes | None,
        *,
        has_ledger: bool,
    ) -> None:
        self.run_file = run_file
        self.is_fixed = manifest is not None or has_ledger
        self._storage = storage
        self._manifest_data = manifest
        self._manifest: RunManifest | None = None
        self._prices_data = prices

    def manifest(self) -> RunManifest | None:
        """Return the run manifest, None if there was none. It is decoded once.

        Raises RunFolderError if it is damaged, or of another format.
        """
        data = self._manifest_data
        if data is not None:
            self._manifest = parse_manifest(data, self._storage)
            self._manifest_data = None
        return self._manifest

    def prices(self) -> RecordedPrices | None:
        """Return the prices that were written down; None if there were none.

        Raises RunFolderError if they are damaged, or of another format.
        """
        data = self._prices_data
        return None if data is None else parse_prices(self._storage, data)


def read_folder(storage: Storage) -> Opening:
    """Read what opening a run needs.

    Raises RunCleanedError if `clean` has deleted what a run needs, and RunFolderError if the folder
    is that of a config with stages, or has a run without its `run.json`.
    """
    with calls_at_once(storage) as calls:
        run_file = calls.begin(read_run_file, storage)
        manifest = calls.begin(storage.read_if_present, layout.MANIFEST_FILE)
        prices = calls.begin(storage.read_if_present, layout.PRICES_FILE)
        ledger = calls.begin(has_ledger, storage)
        stages = calls.begin(read_stage_names, storage)
    data = run_file.result()
    found = Opening(storage, data, manifest.result(), prices.result(), has_ledger=ledger.result())
    if data is None and found.is_fixed:
        if storage.read_if_present(layout.RUN_FILE) is not None:
            return read_folder(storage)  # the run was begun, and committed, meanwhile
        raise refuse(storage, f"has a run, but no {layout.RUN_FILE}; restore it from a backup")
    if data is None and stages.result() is not None:
        raise no_run(storage)
    return found
