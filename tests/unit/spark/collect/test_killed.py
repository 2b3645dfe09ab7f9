"""A collect of another config that is killed, and the collect of the first config after it.

Results are written before the reconciliation that is about them. So a kill between the two leaves
files of one config beside the reconciliation of another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bedrock_spark.config import ResultsConfig
from bedrock_spark.outputs.reconciled_shard import read_reconciled
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.collect.task import CollectTask
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import LocalStorage
from bedrock_spark.storage.local import LocalWriter
from tests.unit.spark.collect.test_changed import FIRST, PREPARE_ID, UNITS, CollectedRun

# An answer of the model is no JSON: with `parse`, no row of a shard is ok.
PLAIN, PARSED = ResultsConfig(), ResultsConfig(parse={"columns": "label string"})  # type: ignore[arg-type]


class Killed(BaseException):
    """The process is dead."""


class DyingStorage(LocalStorage):
    """Changes what it is asked to, a number of times; then the process is dead."""

    def __init__(self, uri: str, left: int) -> None:
        super().__init__(uri)
        self.left = left

    def spend(self) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1

    def write(self, key: str, data: bytes) -> str:
        self.spend()
        return super().write(key, data)

    def delete(self, keys: Sequence[str]) -> None:
        self.spend()
        super().delete(keys)

    def writer(self, key: str, behind: int = 2) -> LocalWriter:
        writer, commit = super().writer(key), LocalWriter.commit

        def commit_once() -> str:
            self.spend()
            return commit(writer)

        writer.commit = commit_once  # type: ignore[method-assign]
        return writer


def run_at(folder: Path, config: ResultsConfig) -> CollectedRun:
    run = CollectedRun(folder)
    run.write_answers(FIRST, "abc")  # without `parse`, it has no dead letter
    run.task = task_of(run, config)
    return run


def task_of(run: CollectedRun, config: ResultsConfig) -> CollectTask:
    return CollectTask(run.storage, "anthropic", result_columns_of(config), PREPARE_ID)


def files_of(run: CollectedRun) -> dict[str, object]:
    """Return the rows of every file of results and dead letters, and the outcomes."""
    found: dict[str, object] = {}
    for folder in (layout.RESULTS, layout.DEADLETTERS):
        for file in sorted((run.folder / folder).glob("*.parquet")):
            found[f"{folder}/{file.name}"] = pq.read_table(file).to_pylist()
    for unit in UNITS:
        found[unit] = read_reconciled(run.storage, unit).outcomes
    return found


@pytest.mark.parametrize(("config", "other"), [(PLAIN, PARSED), (PARSED, PLAIN)])
def test_a_killed_collect_of_another_config_leaves_nothing_behind(
    tmp_path: Path, config: ResultsConfig, other: ResultsConfig
) -> None:
    """Wherever it is killed: the config that counts again has its own results again."""
    expected = run_at(tmp_path / "expected", config)
    expected.collect()
    left, is_killed = 0, True
    while is_killed:
        run = run_at(tmp_path / str(left), config)
        run.collect()
        dying = DyingStorage(str(run.folder), left)
        storage, run.storage = run.storage, dying
        run.task = task_of(run, other)
        try:
            run.collect()
            is_killed = False
        except Killed:
            left += 1
        run.storage = storage
        run.task = task_of(run, config)
        run.collect()
        assert files_of(run) == files_of(expected), f"killed after {left - is_killed} writes"
        assert run.changed_units() == set()
    assert left >= 3 * len(UNITS)


def test_results_that_another_process_has_replaced_are_made_again(tmp_path: Path) -> None:
    """Also by a task that was sent for another reason: the table of reconciliations is gone."""
    run = run_at(tmp_path, PARSED)
    run.collect()
    before = files_of(run)
    for key in (layout.results_key(FIRST), layout.deadletters_key(FIRST)):
        run.storage.write(key, b"of another process")
        run.delete(layout.RECONCILIATIONS_FILE)
        run.collect()
        assert files_of(run) == before
