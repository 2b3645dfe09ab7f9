"""Units of work in Spark tasks: every unit is done once, and a task gets no units of others."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import msgspec
import pytest
from pyspark.sql import SparkSession

from bedrock_spark.errors import SparkFailedError, StorageError
from bedrock_spark.spark import tasks as module
from bedrock_spark.spark.tasks import run_packed, run_per_unit
from bedrock_spark.storage.scratch import delete_abandoned, scratch_folder


class Done(msgspec.Struct, frozen=True):
    unit: str
    task: str


def note(unit: str) -> Done:
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    return Done(unit, f"{context.partitionId()}/{os.getpid()}")


def fail(unit: str) -> Done:
    if unit == "unit-7":
        raise StorageError("s3://b/k: is not there")
    return Done(unit, "")


def count_exempt(unit: str) -> Done:
    return Done(unit, str(gc.get_freeze_count()))


@pytest.fixture(params=["rdd", "connect"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the rows as an RDD, and as a DataFrame, which Spark Connect needs."""
    if request.param == "connect":
        monkeypatch.setattr(module, "classic_context", lambda _: None)
    return str(request.param)


def die(unit: str) -> Done:
    with scratch_folder("died") as folder:
        (folder / "prompts").write_text(unit)
        os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def look(unit: str) -> Done:
    delete_abandoned()
    with scratch_folder("test") as folder:
        return Done(str(folder.parent), " ".join(p.name for p in folder.parent.glob(".bedrock*")))


@pytest.mark.versions
def test_files_of_a_killed_task_are_deleted_by_the_next(spark: SparkSession) -> None:
    """They are in Spark's local folder, beside that of its block manager."""
    with pytest.raises(SparkFailedError):
        run_per_unit(spark, ["unit-1"], die, Done, "collect")
    (seen,) = run_per_unit(spark, ["unit-2"], look, Done, "collect")
    assert "scratch-test-" in seen.task
    assert "scratch-died-" not in seen.task
    local = os.environ.get("SPARK_LOCAL_DIRS") or spark.conf.get("spark.local.dir", "/tmp")
    assert seen.unit in str(local).split(",")


@pytest.mark.versions
@pytest.mark.parametrize("count", [0, 5])
@pytest.mark.usefixtures("way")
def test_every_unit_has_a_task_of_its_own(spark: SparkSession, count: int) -> None:
    names = [f"unit-{n}" for n in range(count)]
    done = run_per_unit(spark, names, note, Done, "collect")
    assert sorted(one.unit for one in done) == names
    assert len({one.task.partition("/")[0] for one in done}) == count


@pytest.mark.versions
@pytest.mark.usefixtures("way")
def test_many_units_share_few_tasks(spark: SparkSession) -> None:
    units = [(f"unit-{n:03d}", n) for n in range(70)]
    done = [msgspec.json.decode(d, type=Done) for d in run_packed(spark, units, note, "collect")]
    assert sorted(one.unit for one in done) == [name for name, _ in units]
    assert len({one.task.partition("/")[0] for one in done}) == 64


@pytest.mark.versions
@pytest.mark.usefixtures("way")
def test_the_error_of_a_task_names_the_unit_that_it_was_at(spark: SparkSession) -> None:
    units = [(f"unit-{n}", 10**9) for n in range(3, 9)]
    with pytest.raises(StorageError, match="unit-7: s3://b/k: is not there"):
        run_packed(spark, units, fail, "collect")


def test_a_task_gets_its_own_units_only(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The function that is sent to every task is as small with many units as with few."""
    sizes: list[int] = []
    sent = module.partial

    def measured(*values: object) -> object:
        from pyspark import cloudpickle

        sizes.append(len(cloudpickle.dumps(sent(*values))))
        return sent(*values)

    monkeypatch.setattr(module, "partial", measured)
    for count in (1, 70):
        run_packed(spark, [(f"{tmp_path}/{n}", 0) for n in range(count)], note, "collect")
    assert sizes[0] == sizes[1]


@pytest.mark.usefixtures("way")
def test_a_worker_does_not_search_its_modules_for_garbage(spark: SparkSession) -> None:
    """Spark's `gc.collect()` after each task visits nothing that was there before the first."""
    (done,) = run_per_unit(spark, ["unit"], count_exempt, Done, "test")
    assert int(done.task) > 10_000
