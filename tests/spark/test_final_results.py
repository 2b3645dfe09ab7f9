"""Only final results are published; all others on purpose, elsewhere. A failure is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import PublishError
from bedrock_spark.fanout import why_open
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report import Report, gather
from tests.spark_sessions import make_config

Open = Callable[..., Pipeline]
ROWS = 20


@pytest.fixture
def open_prepared(spark: SparkSession, tmp_path: Path) -> Open:
    """Return a function that opens a prepared run, with other results or shards than before."""

    def open_pipeline(**sections: Any) -> Pipeline:
        config = make_config(str(tmp_path / "run"), **sections)
        return Pipeline.open(config, command_config="tickets.yaml --set x=1")

    return open_pipeline


def prepare(spark: SparkSession, pipeline: Pipeline) -> None:
    pipeline.prepare(spark, spark.range(ROWS).selectExpr("id", "concat('secret', id) AS body"))


def finish(spark: SparkSession, pipeline: Pipeline, partial: bool | str = False) -> Report:
    return pipeline.finish(spark, pipeline.collect(spark), partial)


@pytest.fixture
def jobs_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch jobs of every shard have ended, and answered nothing."""
    monkeypatch.setattr(why_open, "count_unsettled", lambda *_: 0)
    monkeypatch.setattr(gather, "unsettled_shards", lambda *_: set())


def ids_in(folder: Path) -> list[int]:
    ids: list[int] = sorted(pq.read_table(folder)["id"].to_pylist())
    return ids


@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_before_the_jobs_are_over_old_results_stay(
    spark: SparkSession, open_prepared: Open, tmp_path: Path, mode: str
) -> None:
    """And the report says that every row waits for its job."""
    prepare(spark, open_prepared())
    place = tmp_path / "published"
    spark.range(100, 103).write.parquet(str(place))
    results = {"path": str(place), "mode": mode, "replace": True}
    report = finish(spark, open_prepared(results=results))
    assert ids_in(place) == [100, 101, 102]
    assert (report.state, report.published, report.partial) == ("unfinished", None, None)
    assert report.outcomes["waiting"] == ROWS
    (finding,) = report.findings
    assert finding["kind"] == "not_published"
    assert "submit or run goes on" in finding["detail"]


def test_partial_results_are_published_elsewhere(
    spark: SparkSession, open_prepared: Open, tmp_path: Path
) -> None:
    """Into the run folder, or to a path, and again. The report says where."""
    prepare(spark, open_prepared())
    place, elsewhere = tmp_path / "published", tmp_path / "so_far"
    results = {"path": str(place)}
    for _ in range(2):
        report = finish(spark, open_prepared(results=results), partial=True)
        assert report.partial == str(tmp_path / "run/partial")
        assert ids_in(tmp_path / "run" / "partial") == list(range(ROWS))
        report = finish(spark, open_prepared(results=results), str(elsewhere))
        assert report.as_json()["partial"] == str(elsewhere)
        assert ids_in(elsewhere) == list(range(ROWS))
    assert report.published is None
    assert not place.exists()


@pytest.mark.parametrize("where", ["published", "published/inside", ".", "run/partial"])
def test_partial_results_never_touch_finished_ones(
    spark: SparkSession, open_prepared: Open, tmp_path: Path, where: str
) -> None:
    """Nor the run folder."""
    prepare(spark, open_prepared())
    pipeline = open_prepared(results={"path": str(tmp_path / "published")})
    with pytest.raises(
        PublishError,
        match=r"finished ones|(below|above) run_uri",
    ):
        finish(spark, pipeline, str(tmp_path / where))
    assert not (tmp_path / "published").exists()


@pytest.mark.usefixtures("jobs_are_over")
def test_final_results_are_published_and_the_run_is_done(
    spark: SparkSession, open_prepared: Open, tmp_path: Path
) -> None:
    """No job is active, and there is no fallback."""
    prepare(spark, open_prepared())
    report = finish(spark, open_prepared(results={"path": str(tmp_path / "published")}))
    assert ids_in(tmp_path / "published") == list(range(ROWS))
    assert (report.state, report.stage) == ("done", "report")
    assert report.published == str(tmp_path / "published")


@pytest.mark.usefixtures("jobs_are_over")
@pytest.mark.parametrize(
    ("results", "cause"),
    [
        ({"path": "s3://no-such-bucket/out"}, 'No FileSystem for scheme "s3"'),
        ({"path": "{folder}/out", "format": "csv"}, "CSV datasource doesn't support the column"),
        ({"path": "{folder}/out", "format": "paruqet"}, "Failed to find the data source: paruqet"),
        ({"path": "/proc/no/such"}, "Mkdirs failed to create|Cannot create|No such file"),
        ({"path": "{folder}/theirs"}, "1 file is there that this package did not write"),
        ({"table": "no_such_database.t"}, "no_such_database"),
    ],
)
def test_a_failed_publishing_is_one_line(
    spark: SparkSession, open_prepared: Open, tmp_path: Path, results: dict[str, str], cause: str
) -> None:
    """It says why, that nothing is lost, and the command that publishes. So does the report."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a").write_text("theirs")
    prepare(spark, open_prepared())
    places = {key: value.format(folder=tmp_path) for key, value in results.items()}
    pipeline = open_prepared()
    # Some of these are refused before anything is paid for, if nothing hides them until later.
    config = pipeline.run.config.model_copy(update={"results": ResultsConfig(**places)})
    pipeline.run = replace(pipeline.run, config=config)
    with pytest.raises(PublishError, match=cause) as caught:
        finish(spark, pipeline)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("results.")
    assert f"all answers are in {tmp_path}/run/results/" in message
    assert message.endswith("publish them with: bedrock-spark collect tickets.yaml --set x=1")
    report = json.loads((tmp_path / "run" / "report.json").read_bytes())
    assert (report["state"], report["stage"]) == ("failed", "publish")
    assert report["error"] == {"kind": "PublishError", "message": message}
    assert report["outcomes"]["missing"] == ROWS
    report_text = json.dumps(report)
    assert "secret" not in report_text
    # The same run is published once the cause is gone.
    finish(spark, open_prepared(results={"path": str(tmp_path / "elsewhere")}))
    assert ids_in(tmp_path / "elsewhere") == list(range(ROWS))
