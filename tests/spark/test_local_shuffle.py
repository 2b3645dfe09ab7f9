"""Prepare by the local shuffle writes the shards and the rows that Spark's shuffle leads to."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config
from bedrock_spark.errors import DuplicateKeyError, PlanError
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.local_shuffle.key_hashes import key_hashes
from bedrock_spark.spark.local_shuffle.plain_files import find_plain_files
from bedrock_spark.spark.prepare import repartitioning, stage
from bedrock_spark.spark.prepare.columns import HASH, key_column
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.prepare.table import open_table
from bedrock_spark.storage.scratch import free_space
from tests.prepared import contents_of, rows_file
from tests.spark.fixed_input import expected_shards, fixed_input, open_fixed_run, shards_of
from tests.spark.test_reproducible import settings
from tests.spark_sessions import make_config

SMALL = {"max_records": 90, "max_bytes": 40_000, "min_records": 20}
KATHMANDU = {"spark.sql.session.timeZone": "Asia/Kathmandu"}


class Ways:
    """Counts the prepares of a test by the way in which they have shuffled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.local = self.by_spark = 0
        cut_files, with_ids = repartitioning.cut_files, repartitioning.with_ids

        def cut(*arguments: Any) -> Any:
            written = cut_files(*arguments)
            self.local += written is not None
            return written

        def identify(*arguments: Any, **options: Any) -> Any:
            self.by_spark += 1
            return with_ids(*arguments, **options)

        monkeypatch.setattr(repartitioning, "cut_files", cut)
        monkeypatch.setattr(repartitioning, "with_ids", identify)

    @property
    def taken(self) -> tuple[int, int]:
        return self.local, self.by_spark


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


def run_of(folder: Path, files: Path, **sections: Any) -> Run:
    """Open a run over Parquet files."""
    named = {"path": str(files), "format": "parquet", "key": ["id"], **sections.pop("source", {})}
    config = make_config(str(folder), source=named, **{"shards": SMALL, **sections})
    return open_run(config, SystemClock())


def rows_of(folder: Path, manifest: RunManifest) -> list[pa.Table]:
    return [pq.read_table(rows_file(folder, shard)) for shard in manifest.shards]


def prepare_both(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: Path, **of: Any
) -> RunManifest:
    """Prepare by both ways; return the manifest after checking that all files are the same."""
    found = prepare(spark, run_of(tmp_path / "local", files, **of))
    with monkeypatch.context() as patched:
        patched.setattr(stage, "find_plain_files", lambda *_: None)
        expected = prepare(spark, run_of(tmp_path / "spark", files, **of))
    assert contents_of(found) == contents_of(expected)
    pairs = zip(
        rows_of(tmp_path / "local", found), rows_of(tmp_path / "spark", expected), strict=True
    )
    for own, other in pairs:
        assert own.schema == other.schema
        assert own.equals(other)
    return found


@pytest.mark.versions
@pytest.mark.parametrize("timestamps", ["INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS"])
def test_the_fixed_input_in_files_becomes_the_fixed_shards(
    spark: SparkSession, tmp_path: Path, ways: Ways, timestamps: str
) -> None:
    """All types of columns, as Spark stores them, in another time zone."""
    source = tmp_path / "source"
    with settings(spark, {"spark.sql.parquet.outputTimestampType": timestamps, **KATHMANDU}):
        fixed_input(spark).repartition(3).write.parquet(str(source))
        run = open_fixed_run(tmp_path / "run")
        named = {"path": str(source), "format": "parquet"}
        changed = run.config.source.model_copy(update=named)
        config = run.config.model_copy(update={"source": changed})
        manifest = prepare(spark, open_run(config, SystemClock()))
    is_exact = timestamps != "TIMESTAMP_MILLIS"  # the input has microseconds
    assert (shards_of(manifest) == expected_shards()) == is_exact
    assert (manifest.rows, manifest.rejected) == (1_200, 24)
    assert ways.taken[0] > 0
    assert ways.taken[1] == 0


NUMBERS = list(range(400))
BERLIN = pa.timestamp("ms", "Europe/Berlin")
WHO = pa.struct([("name", pa.large_string()), ("at", pa.list_(BERLIN))])
COUNTS = pa.map_(pa.string(), pa.int64())
MOMENTS = [
    dt.datetime(2026, 3, 29, 0, 59, tzinfo=dt.UTC) + dt.timedelta(minutes=n) for n in NUMBERS
]
TEXTS = [None if n % 41 == 5 else f'é "{n}"\n\\' * (n % 17) for n in NUMBERS]
COLUMNS: dict[str, pa.Array] = {
    "id": pa.array([f"T-{n}" for n in NUMBERS], pa.large_string()),
    "body": pa.array([text or "-" for text in TEXTS]).dictionary_encode(),
    "note": pa.array(TEXTS),
    "raw": pa.array([None if n % 9 == 1 else b"\xff%d" % n for n in NUMBERS], pa.binary()),
    "price": pa.array([Decimal(n) / 4 for n in NUMBERS], pa.decimal128(9, 2)),
    "share": pa.array([n / 3 for n in NUMBERS], pa.float32()),
    "day": pa.array([dt.date(2026, 1, 1) + dt.timedelta(n) for n in NUMBERS]),
    "at": pa.array(MOMENTS, BERLIN),
    "local": pa.array([moment.replace(tzinfo=None) for moment in MOMENTS], pa.timestamp("us")),
    "tags": pa.array([[None, f"{n}"] if n % 3 else None for n in NUMBERS], pa.list_(pa.string())),
    "who": pa.array([{"name": f"{n}", "at": [MOMENTS[n]]} for n in NUMBERS], WHO),
    "counts": pa.array([[("k", n), ("l", None)] for n in NUMBERS], COUNTS),
    "small": pa.array([n % 100 for n in NUMBERS], pa.int8()),
}  # fmt: skip


def write_files(folder: Path, columns: dict[str, pa.Array] = COLUMNS, files: int = 3) -> Path:
    """Write Parquet files of several row groups, by Arrow; the last file has no row."""
    folder.mkdir()
    table = pa.table(columns)
    step = -(-table.num_rows // files)
    for number in range(files + 1):
        part = table.slice(number * step, step)
        pq.write_table(part, folder / f"{number} part.parquet", row_group_size=70)
    return folder


@pytest.mark.versions
def test_files_of_arrow_become_the_same_rows(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: Ways
) -> None:
    """Dictionaries, large texts, time zones, nested values; names with spaces, and a new name."""
    source = write_files(tmp_path / "with space é")
    with settings(spark, KATHMANDU):
        manifest = prepare_both(
            *(spark, monkeypatch, tmp_path, source),
            source={"rename": {"body": "words"}, "key": ["id", "day", "at", "small"]},
            request={"prompt": "{{ words }} {{ at }} {{ local }} {{ price }}", "max_tokens": 9},
        )
    assert (manifest.rows, manifest.rejected) == (400, 0)
    assert len(manifest.shards) > 3
    assert ways.taken[0] > 0
    assert ways.taken[1] == ways.taken[0]


def test_a_wrong_estimate_of_the_size_is_corrected(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: Ways
) -> None:
    """The first rows of each file are short: then the buckets are written a second time."""
    monkeypatch.setattr("bedrock_spark.spark.local_shuffle.plain_files._SAMPLED_ROWS", 2)
    columns = {
        "id": pa.array(NUMBERS),
        "body": pa.array(["x" * (5 if n % 100 < 2 else 900) for n in NUMBERS]),
    }
    source = write_files(tmp_path / "source", columns, files=4)
    prepare_both(spark, monkeypatch, tmp_path, source)
    assert ways.taken[0] == 2


def test_rows_that_are_rejected_are_the_same(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: Ways
) -> None:
    columns = {
        "id": pa.array([None if n % 50 == 3 else n for n in NUMBERS]),
        "body": pa.array(TEXTS),
    }
    source = write_files(tmp_path / "source", {**columns, "id": pa.array(NUMBERS)})
    manifest = prepare_both(*(spark, monkeypatch, tmp_path, source), source={"max_rejects": None})
    assert manifest.rejected > 0
    assert ways.taken[0] > 0


def test_files_without_rows_are_an_error(spark: SparkSession, tmp_path: Path) -> None:
    """There is nothing to ask, and no run is begun."""
    source = write_files(tmp_path / "source", {n: c[:0] for n, c in BASE.items()}, files=1)
    run = run_of(tmp_path / "run", source)
    assert find_plain_files(spark, run.config, open_table(spark, run.config)) is not None
    with pytest.raises(PlanError, match="source: has no rows"):
        prepare(spark, run)
    assert not (tmp_path / "run").exists()


def test_keys_that_repeat_are_found(spark: SparkSession, tmp_path: Path, ways: Ways) -> None:
    """They are in two files. Spark then puts the rows in order."""
    keys = pa.array([n % 399 for n in NUMBERS])
    source = write_files(tmp_path / "source", {"id": keys, "body": pa.array(TEXTS)})
    with pytest.raises(DuplicateKeyError, match="1 "):
        prepare(spark, run_of(tmp_path / "run", source, source={"max_rejects": None}))
    assert ways.taken == (1, 1)


LEFT_TO_SPARK: dict[str, dict[str, pa.Array]] = {
    "a key with a line break": {"id": pa.array([f"a\n{n}" for n in NUMBERS])},
    "a key that is not UTF-8": {
        "id": pa.array([b"\xff%d" % n for n in NUMBERS]).cast(pa.binary()).view(pa.string())
    },
    "a day long ago": {"day": pa.array([dt.date(1850, 1, 1)] * len(NUMBERS))},
}


@pytest.mark.parametrize("what", LEFT_TO_SPARK)
def test_what_only_a_task_finds_is_left_to_spark(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: Ways, what: str
) -> None:
    """The odd value is in the last row: the driver has not seen it."""
    columns = {"id": pa.array([f"T-{n}" for n in NUMBERS]), "body": pa.array(TEXTS)}
    for name, odd in LEFT_TO_SPARK[what].items():
        others = columns.get(name, pa.nulls(len(odd), odd.type))
        columns[name] = pa.concat_arrays([others[:-1], odd[-1:]])
    source = write_files(tmp_path / "source", columns)
    prepare_both(
        *(spark, monkeypatch, tmp_path, source),
        source={"max_rejects": None},
    )
    assert ways.local == 0
    assert list(scratch_folders()) == []


def scratch_folders() -> list[Path]:
    """Return those of this process: other tests run beside it."""
    name = f".bedrock-spark-scratch-shuffle-{os.getpid()}-*"
    return [folder for place, _ in free_space() for folder in place.glob(name)]


def test_an_error_of_a_task_leaves_no_file(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the run folder nor in the folder of the shuffle."""
    source = write_files(tmp_path / "source")
    run = run_of(tmp_path / "run", source)

    def begin(_: Run) -> None:
        assert len(scratch_folders()) == 1
        raise InterruptedError

    with pytest.raises(InterruptedError):
        prepare(spark, run, on_begin=begin)
    assert scratch_folders() == []
    assert not list((tmp_path / "run").glob("shards/**/*.jsonl"))


def plain(**columns: pa.Array) -> Callable[[Path], Path]:
    return lambda folder: write_files(folder, {**BASE, **columns})


BASE = {"id": pa.array(NUMBERS), "body": pa.array([str(n) for n in NUMBERS])}


def two_schemas(folder: Path) -> Path:
    write_files(folder, BASE)
    pq.write_table(pa.table({**BASE, "id": BASE["id"].cast(pa.int32())}), folder / "z.parquet")
    return folder


def twice_a_column(folder: Path) -> Path:
    """Spark takes the value from the name of the folder."""
    folder.mkdir()
    write_files(folder / "DAY=7", {**BASE, "day": pa.array(NUMBERS)})
    return folder


def partitioned(folder: Path) -> Path:
    pq.write_to_dataset(
        pa.table({**BASE, "day": pa.array([1] * 400)}), folder, partition_cols=["day"]
    )
    return folder


# A source, sections of the config, and whether the local shuffle may read it.
SOURCES: dict[str, tuple[Callable[[Path], Path], dict[str, Any], bool]] = {
    "plain": (plain(), {}, True),
    "a pattern": (lambda folder: write_files(folder, BASE) / "*.parquet", {}, True),
    "no key": (plain(), {"source": {"key": []}}, False),
    "one record for equal bodies": (plain(), {"request": {"dedupe": True}}, False),
    "the first row of a key": (plain(), {"source": {"on_duplicate_key": "first"}}, False),
    "a condition": (plain(), {"source": {"where": "id > 5"}}, False),
    "an option": (plain(), {"source": {"options": {"mergeSchema": "true"}}}, False),
    "a decimal as key": (plain(id=pa.array([Decimal(n) for n in NUMBERS])), {}, False),
    "two schemas": (two_schemas, {}, False),
    "a column that is no longer in a file": (partitioned, {}, False),
    "a column in the files and in the names of folders": (twice_a_column, {}, False),
    "only columns that are in the files": (partitioned, {"source": {"columns": ["id"]}}, True),
    "unsigned numbers": (plain(more=pa.array(NUMBERS, pa.uint32())), {}, False),
    "an unsigned column that is not needed": (
        plain(more=pa.array(NUMBERS, pa.uint32())),
        {"source": {"columns": ["id"]}},
        True,
    ),
    "a name with a dot": (
        plain(**{"a.b": pa.array(NUMBERS)}),
        {"source": {"rename": {"a.b": "ab"}}},
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SOURCES)
def test_which_sources_it_reads(spark: SparkSession, tmp_path: Path, what: str) -> None:
    write, sections, is_read = SOURCES[what]
    config = run_of(tmp_path / "run", write(tmp_path / "source"), **sections).config
    assert (find_plain_files(spark, config, open_table(spark, config)) is not None) == is_read


@pytest.mark.parametrize(
    "name",
    [
        *("spark.shuffle.compress", "spark.io.encryption.enabled"),
        *("spark.sql.execution.arrow.useLargeVarTypes", "spark.sql.parquet.fieldId.read.enabled"),
        "spark.sql.parquet.int96TimestampConversion",
    ],
)
def test_a_session_that_stores_or_reads_otherwise_is_left_to_spark(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = run_of(tmp_path / "run", write_files(tmp_path / "source", BASE)).config
    table, kind = open_table(spark, config), type(spark.conf)
    get: Callable[..., Any] = kind.get

    def changed(conf: Any, asked: str, *default: Any) -> Any:
        return "True" if asked == name else get(conf, asked, *default)

    monkeypatch.setattr(kind, "get", changed)
    assert find_plain_files(spark, config, table) is None


MASTERS = {
    "a cluster": "spark://host:7077",
    "executors of their own": "local-cluster[1,1,1024]",
}


@pytest.mark.parametrize("what", MASTERS)
def test_tasks_on_other_machines_are_left_to_spark(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    config: Config = run_of(tmp_path / "run", write_files(tmp_path / "source", BASE)).config
    table = open_table(spark, config)
    assert find_plain_files(spark, config, table) is not None
    monkeypatch.setattr(spark.sparkContext, "master", MASTERS[what])
    assert find_plain_files(spark, config, table) is None


def test_a_key_has_the_hash_that_spark_computes(spark: SparkSession, tmp_path: Path) -> None:
    rows = [("a", 1), ('q"\\', None), (None, -5), ("é\u2028\U0001f600/", 1 << 40), ("", 0)]
    df = spark.createDataFrame(rows, "text string, number bigint")
    expected = df.select(F.xxhash64(key_column(df, ("text", "number"))).alias(HASH))
    columns = [pa.array([row[0] for row in rows]), pa.array([row[1] for row in rows], pa.int64())]
    assert key_hashes(columns).tolist() == [row[0] for row in expected.collect()]
    assert key_hashes(columns).dtype == np.int64
