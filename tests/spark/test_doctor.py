"""What doctor learns from Spark: source, keys, the place of the results, versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.doctor import diagnose
from bedrock_spark.doctor.on_spark import spark_probes
from bedrock_spark.doctor.probes import run_probes
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark import examine
from bedrock_spark.spark.examine import executors_of, this_machine, versions_of
from bedrock_spark.storage import LocalStorage
from tests.spark_sessions import make_config

AWS = AwsSettings("us-east-1")
GOOD = "select id, concat('ticket ', id) as body from range(20)"


def probed(spark: SparkSession, folder: Path, **sections: Any) -> dict[str, list[str]]:
    """Return what the probes of Spark find, by subject: level and text."""
    config = make_config(str(folder / "run"), **sections)

    def open_run() -> Run:
        return Run("one", config, LocalStorage(config.run_uri), AWS, is_begun=False)

    found: dict[str, list[str]] = {}
    for subject, finding in run_probes(spark_probes(spark, open_run)):
        found.setdefault(subject, []).append(f"{finding.level}: {finding.what}")
    return found


# Each: the query of the source, sections of the config, and the lines about source and results.
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "well": (
        GOOD,
        {},
        [
            "ok: source.sql: can be read, and has the 2 columns that are needed",
            "ok: source.key = [id]: is unique in 20 rows",
            "ok: results: in the run folder only",
        ],
    ),
    "repeated keys": (
        "select id % 15 as id, 'a' as body from range(20)",
        {},
        [
            "ok: source.sql: can be read, and has the 2 columns that are needed",
            "error: source.key = [id]: 5 of 20 rows repeat a key, and prepare refuses them",
            "ok: results: in the run folder only",
        ],
    ),
    "null keys": (
        "select if(id < 3, null, id) as id, 'a' as body from range(20)",
        {},
        [
            "ok: source.sql: can be read, and has the 2 columns that are needed",
            "warning: source.key = [id]: is null in 3 of 20 rows, which are rejected",
            "ok: results: in the run folder only",
        ],
    ),
    "no rows": (
        "select id, 'a' as body from range(0)",
        {},
        [
            "ok: source.sql: can be read, and has the 2 columns that are needed",
            "warning: source: has no row",
            "ok: results: in the run folder only",
        ],
    ),
    "no key": (
        GOOD,
        {"source": {"key": []}},
        [
            "ok: source.sql: can be read, and has the 2 columns that are needed",
            "ok: source.key: is not set; rows are joined by their number",
            "ok: results: in the run folder only",
        ],
    ),
    "no such column": (
        "select id from range(20)",
        {},
        [
            "error: request: the source has no column body; it has id",
            "not checked: the place of the results: the columns of the source are not known",
        ],
    ),
    "no such table": (
        "select * from no_such_table",
        {},
        [
            "error: source.sql:",
            "not checked: the place of the results: the columns of the source are not known",
        ],
    ),
    "no such format of the results": (
        GOOD,
        {"results": {"path": "{folder}/answers", "format": "parkett"}},
        [
            "ok: source.sql: can be read, and has the 2 columns that are needed",
            "ok: source.key = [id]: is unique in 20 rows",
            "error: results.path",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_source_and_results_have_their_lines(
    name: str, spark: SparkSession, tmp_path: Path
) -> None:
    """And no value of a row is shown; nothing is left at the place of the results."""
    sql, sections, lines = CASES[name]
    sections = yaml.safe_load(yaml.safe_dump(sections).replace("{folder}", str(tmp_path)))
    source = {"sql": sql, **sections.pop("source", {})}
    found = probed(spark, tmp_path, source=source, **sections)
    own = [*found["source"], *found["results"]]
    assert len(own) == len(lines), own
    for line, beginning in zip(own, lines, strict=True):
        assert line.startswith(beginning), line
    assert not any(tmp_path.iterdir())
    assert found["versions"][0].startswith("ok: driver ")
    assert found["versions"][1:] == ["ok: executors: Spark runs in one process on this machine"]


@pytest.mark.parametrize("is_classic", [True, False])
def test_a_machine_is_looked_at_by_a_function_that_needs_no_package(
    spark: SparkSession, is_classic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The executors of a local session are the driver. Spark Connect needs a DataFrame for it."""
    if not is_classic:
        monkeypatch.setattr(examine, "classic_context", lambda _: None)
    (executor,), driver = executors_of(spark), this_machine()
    assert replace(executor, now=0.0, free=()) == replace(driver, now=0.0, free=())
    assert {"bedrock-spark", "boto3", "pyarrow", "xxhash"} <= set(driver.packages)
    assert driver.free[0][1] > 0
    assert versions_of(spark).spark == versions_of(spark).pyspark == spark.version


def test_a_session_that_cannot_start_is_a_line(tmp_path: Path) -> None:
    """The other subjects have their lines."""
    path = tmp_path / "tickets.yaml"
    config = make_config(str(tmp_path / "run"), source={"sql": GOOD})
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))

    def no_session(_: Config) -> SparkSession:
        raise ConfigError("Spark could not start its Java process")

    found = diagnose(str(path), spark=no_session)
    by_subject = {group.subject: group.findings for group in found.groups}
    assert by_subject["versions"][0].what == "Spark: Spark could not start its Java process"
    assert by_subject["disk"]
