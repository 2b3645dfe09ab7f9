"""Runs in YARN's cluster mode: the driver is in a container, as in a step of EMR."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest
import yaml

from bedrock_emulator import LocalBedrock
from tests.cluster.processes import kill, wait_until
from tests.cluster.yarn import Yarn, final_report
from tests.models import CLAUDE
from tests.unit.fakes import ROLE

pytestmark = [pytest.mark.cluster, pytest.mark.long]

MARKER = "XPROMPTX"
ROWS = 900


@pytest.fixture(scope="module")
def yarn(cluster_folder: Path) -> Iterator[Yarn]:
    with Yarn(cluster_folder / "yarn", Path(pyspark.__file__).parent) as yarn:
        yield yarn


@pytest.fixture
def local() -> Iterator[LocalBedrock]:
    """Return a local Bedrock in which some records of a job fail, so that the fallback has work."""
    faults = {"records": [{"share": 0.2, "code": 500}]}
    with LocalBedrock(seed=5, speed=600, faults=faults) as local:
        local.client("s3").create_bucket(Bucket="runs")
        yield local


def config(yarn: Yarn, local: LocalBedrock, name: str, **sections: Any) -> Path:
    """Write a config, and a table as its source; return the config's path."""
    rows = {"id": range(ROWS), "body": [f"{MARKER}{n}" for n in range(ROWS)]}
    pq.write_table(pa.table({k: list(v) for k, v in rows.items()}), yarn.folder / "rows.parquet")
    values = {
        "run_uri": f"s3://runs/{name}",
        "endpoint_url": local.endpoint_url,
        "source": {"path": str(yarn.folder / "rows.parquet"), "key": ["id"]},
        "model": {"id": CLAUDE},
        "request": {"prompt": "{{ body }}", "max_tokens": 200},
        "shards": {"max_records": 300, "min_records": 100},
        "canary": {"records": 0},  # it pays for its records by design
        "batch": {"role_arn": ROLE, "region": "us-east-1", "poll_seconds": 0.5},
        "fallback": {"model_id": CLAUDE, "max_share": 1.0},
        "results": {"path": str(yarn.folder / f"{name}-answers"), "max_errors": 1.0},
        **sections,
    }
    path = yarn.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def settings(local: LocalBedrock, *, on_executors: bool = True) -> dict[str, str]:
    """Return the credentials as static keys; EMR has the role of the machines."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    keys = {n: v for n, v in local.environment().items() if n in names}
    places = ["spark.yarn.appMasterEnv", *(["spark.executorEnv"] if on_executors else [])]
    return {f"{place}.{name}": value for place in places for name, value in keys.items()}


def test_a_killed_application_master_is_replaced_and_nothing_is_paid_twice(
    yarn: Yarn, local: LocalBedrock, archive: Path
) -> None:
    """The second attempt of YARN carries the run on: all rows are answered, and no job is new."""
    process = yarn.submit("killed", config(yarn, local, "killed"), settings(local), archive=archive)
    application = yarn.application_of(process)
    wait_until(lambda: " jobs active" in yarn.output(application, 1), "active jobs")
    for pid in yarn.application_masters():
        kill(pid)
    assert process.wait() == 0, process.text[-3000:]
    assert final_report(process)[0] == "SUCCEEDED"
    output = yarn.output(application, 2)
    assert "done:" in output
    answers = pq.read_table(yarn.folder / "killed-answers")
    assert sorted(answers["id"].to_pylist()) == list(range(ROWS))
    assert set(answers["outcome"].to_pylist()) == {"ok"}
    usage, served_by = local.usage(), answers["served_by"].to_pylist()
    assert usage["paid_again"]["records"] == 0
    assert usage["totals"]["records_billed"] == served_by.count("batch")
    assert served_by.count("fallback") > 0
    logs = [p for p in (yarn.folder / "logs" / application).rglob("*") if p.is_file()]
    assert not [log for log in logs if MARKER in log.read_text("utf-8", "replace")]


def test_a_wrong_config_is_told_to_the_submitter(yarn: Yarn, local: LocalBedrock) -> None:
    """The line is in the diagnostics of the application, though there was no SparkContext yet."""
    wrong = config(yarn, local, "wrong", modl={"id": CLAUDE})
    once = {"spark.yarn.maxAppAttempts": "1", **settings(local)}
    process = yarn.submit("wrong", wrong, once)
    assert process.wait() == 1
    said = "modl: unknown key; did you mean model?"
    status, diagnostics = final_report(process)
    assert status == "FAILED"
    assert said in diagnostics


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-module", "the Python of the executors has no module"),
        ("no-credentials", "That was on an executor, which does not have the driver's AWS_*"),
    ],
)
def test_an_error_of_an_executor_is_told_to_the_submitter(
    yarn: Yarn, local: LocalBedrock, archive: Path, name: str, said: str
) -> None:
    """One line with the remedy, in the diagnostics and where spark-submit prints them."""
    is_shipped = name == "no-credentials"
    once = {"spark.yarn.maxAppAttempts": "1", "spark.executorEnv.AWS_EC2_METADATA_DISABLED": "true",
            **settings(local, on_executors=not is_shipped)}  # fmt: skip
    shipped = archive if is_shipped else None
    process = yarn.submit(name, config(yarn, local, name), once, archive=shipped)
    assert process.wait() == 1
    application = yarn.application_of(process)
    status, diagnostics = final_report(process)
    assert status == "FAILED"
    assert said in diagnostics
    assert diagnostics.startswith("error: ")
    assert len(diagnostics.splitlines()) == 1
    assert f"error: {diagnostics.removeprefix('error: ')}" in yarn.output(application, 1)
