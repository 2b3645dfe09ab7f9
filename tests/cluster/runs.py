"""Runs on a cluster: the demo's corpus in S3 of the local Bedrock, submitted as users do.

Every docstring of the corpus begins with MARKER, and so does what is asked and answered. So a
prompt that leaked can be searched for.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyspark
import pytest
import yaml

from bedrock_emulator import LocalBedrock
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.demo.corpus import build_corpus
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.local.connectors import installed, s3_connector
from bedrock_spark.spark.local.s3a import s3a_settings
from bedrock_spark.spark.local.user_settings import UserSettings
from tests.cluster.hosts import Host
from tests.cluster.processes import Process, wait_until
from tests.cluster.standalone import StandaloneCluster
from tests.modules import ROOT

BUCKET = "bedrock-spark-demo"
MARKER = "XPROMPTX"
CONCURRENCY = 8
# The answers of a task that may be lost with it, by docs/fallback.md: calls in flight, and answers
# that were not written yet.
LOST_WITH_A_TASK = CONCURRENCY + 100
FAULTS: dict[str, Any] = {
    "operations": {
        "CreateModelInvocationJob": {"throttle_first": 1},
        "InvokeModel": {"throttle_rate": 0.02},
    },
    "records": [
        {"share": 0.15, "code": 500},
        {"share": 0.01, "code": 400, "message": "the model refused this input"},
    ],
    "jobs": [{"nth": [2], "end": "Expired"}],
}
_FILES = 3  # of the source table


@cache
def corpus() -> pa.Table:
    """Return the demo's corpus, with a marker in each docstring."""
    table = build_corpus()
    marked = pc.binary_join_element_wise(MARKER, table["docstring"], " ")
    return table.set_column(table.schema.get_field_index("docstring"), "docstring", marked)


@dataclass
class ClusterRun:
    """A run: its config, and what it leaves in S3 and on the bill.

    rows: how many rows of the corpus it asks about
    faults: the script of the local Bedrock, but for its holds
    settings: of Spark, over the usual ones; sections: of the config, over the usual ones
    """

    cluster: StandaloneCluster
    local: LocalBedrock
    rows: int
    faults: dict[str, Any]
    settings: dict[str, str] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        s3 = self.local.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        table = corpus().slice(0, self.rows)
        size = -(-self.rows // _FILES)
        for number in range(_FILES):
            data = io.BytesIO()
            pq.write_table(table.slice(number * size, size), data)
            s3.put_object(Bucket=BUCKET, Key=f"lake/corpus/{number}.parquet", Body=data.getvalue())

    def config(self) -> dict[str, Any]:
        """Return the demo's config, with source and results at s3a://."""
        values = yaml.safe_load((ROOT / "conf" / "demo.yaml").read_text())
        values["source"]["path"] = f"s3a://{BUCKET}/lake/corpus"
        values["results"] |= {"path": f"s3a://{BUCKET}/lake/answers", "max_errors": 1.0}
        values["batch"] |= {"poll_seconds": 0.2}
        values["fallback"] = {"model_id": values["model"]["id"], "concurrency": CONCURRENCY,
                              "max_share": 1.0, "tokens_per_minute": 10**8}  # fmt: skip
        values["endpoint_url"] = self.local.endpoint_url
        for name, section in self.sections.items():
            values[name] = {**values.get(name, {}), **section}
        return dict(values)

    def spark_settings(self) -> dict[str, str]:
        """Return the settings for S3A, for the executors' credentials, and for event logs."""
        here = installed(self.cluster.spark_home, UserSettings({}, ()))
        connector = s3_connector(here)
        assert connector is not None
        return {
            "spark.jars.packages": ",".join(connector.packages),
            "spark.jars.excludes": ",".join(connector.excludes),
            **s3a_settings(AwsSettings("us-east-1", self.local.endpoint_url), here.hadoop),
            "spark.hadoop.fs.s3a.access.key": "local",
            "spark.hadoop.fs.s3a.secret.key": "local",
            **{f"spark.executorEnv.{k}": v for k, v in self.credentials().items()},
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": self.cluster.events.as_uri(),
            "spark.eventLog.compress": "false",
            **self.settings,
        }

    def credentials(self) -> dict[str, str]:
        """Return the variables of AWS that executors need: no endpoint, which the config has."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION",
                 "AWS_EC2_METADATA_DISABLED")  # fmt: skip
        return {n: v for n, v in self.local.environment().items() if n in names}

    def submit(
        self, *arguments: str, host: Host | None = None, is_shipped: bool = False
    ) -> Process:
        """Submit jobs/run.py with the config."""
        host = host or self.cluster.driver_host()
        host.folder.mkdir(parents=True, exist_ok=True)
        config = host.folder / "demo.yaml"
        config.write_text(yaml.safe_dump(self.config()))
        process = self.cluster.submit(
            *(ROOT / "jobs" / "run.py", "--config", str(config), *arguments),
            settings=self.spark_settings(),
            variables=self.credentials(),
            host=host,
            is_shipped=is_shipped,
        )
        self.processes.append(process)
        return process

    def finish(self, process: Process) -> dict[str, Any]:
        """Wait until a run has ended well; return its report."""
        code = process.wait()
        skip_without_jars(process)
        assert code == 0, process.text[-6000:]
        return self.report()

    # -- Stop time in the middle of a stage

    def hold(self, *rules: dict[str, Any]) -> None:
        """Hold calls back by these rules, and let all other ones go."""
        self.local.set_faults({**self.faults, "holds": list(rules)})

    def wait_for_held(self, operation: str, calls: int, process: Process) -> None:
        """Wait until `count` calls of an operation are held; fail if the process ends before."""

        def is_held() -> bool:
            assert not process.is_over, process.text[-6000:]
            return self.local.held().get(operation, 0) >= calls

        wait_until(is_held, f"{calls} held calls of {operation}:\n{process.text[-3000:]}")

    # -- What is in S3

    @property
    def prefix(self) -> str:
        return "runs/stdlib"

    def read(self, name: str) -> bytes:
        """Read an object of the run folder."""
        got = self.local.client("s3").get_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")
        return bytes(got["Body"].read())

    def write(self, name: str, data: bytes) -> None:
        """Write an object of the run folder."""
        self.local.client("s3").put_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}", Body=data)

    def delete(self, name: str) -> None:
        """Delete an object of the run folder."""
        self.local.client("s3").delete_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")

    def claims(self) -> dict[str, dict[str, Any]]:
        """Return the claims of the fallback's tasks, by their names in the run folder."""
        names = [
            key.removeprefix(f"{self.prefix}/") for key in self.names(f"{self.prefix}/claims/")
        ]
        return {name: json.loads(self.read(name)) for name in names if layout.is_claim(name)}

    def claims_at_work(self) -> dict[str, dict[str, Any]]:
        """Return the claims of tasks that are not done."""
        return {name: claim for name, claim in self.claims().items() if claim["state"] == "working"}

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder of the bucket, without folder marks."""
        pages = self.local.client("s3").get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=BUCKET, Prefix=folder)
        return [
            o["Key"] for page in listed for o in page.get("Contents", []) if o["Key"][-1] != "/"
        ]

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.read("report.json"))
        return report

    def results(self) -> list[dict[str, Any]]:
        """Return the published rows."""
        s3 = self.local.client("s3")
        rows: list[dict[str, Any]] = []
        for key in self.names("lake/answers/"):
            if key.endswith(".parquet"):
                data = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                rows += pq.read_table(io.BytesIO(data)).to_pylist()
        return rows

    # -- What must hold in the end

    def check_rows(self) -> None:
        """Every row of the source is in the results once; the report counts the same."""
        rows = self.results()
        keys = corpus()["qualified_name"].slice(0, self.rows).to_pylist()
        assert sorted(row["qualified_name"] for row in rows) == sorted(keys)
        report = self.report()
        assert report["rows"] == self.rows == sum(report["outcomes"].values())
        for outcome in ("ok", "error"):
            assert sum(r["outcome"] == outcome for r in rows) == report["outcomes"][outcome]
        assert report["outcomes"]["ok"] > 0.95 * self.rows
        assert not self.names(f"{self.prefix}/claims/")
        assert not self.names(f"{self.prefix}/tasks/")

    def check_bill(self, again: range = range(1), ok: Mapping[str, int] | None = None) -> int:
        """Check what was paid for: the answers of rows that are ok, once, and those of the canary.

        again: how many answers of the fallback may have been paid for a second time
        ok: how many rows are ok by `batch` and by `fallback`; by default, of the published ones
        Returns how many were.
        """
        usage = self.local.usage()
        totals, canary = usage["totals"], self._canary_answers()
        if ok is None:
            ok = Counter(row["served_by"] for row in self.results() if row["outcome"] == "ok")
        assert totals["records_billed"] == ok["batch"], usage["paid_again"]
        twice = int(usage["paid_again"]["answers"]) - canary
        # The rows of the canary are asked by batch jobs, too.
        assert totals["invocations"] == ok["fallback"] + canary + twice
        assert twice in again, usage["paid_again"]
        print(f"{self.rows} rows: {dict(ok)} ok, {twice} paid for twice")  # noqa: T201 - pytest -s
        return twice

    def _canary_answers(self) -> int:
        """Return how many calls were answered before there was a job."""
        calls = self.local.calls()
        first = min(c["number"] for c in calls if c["operation"] == "CreateModelInvocationJob")
        return sum(
            c["operation"] == "InvokeModel" and c["number"] < first and not c["error"]
            for c in calls
        )


def skip_without_jars(process: Process) -> None:
    """Skip the test if Spark could not fetch its packages; fail if they are required."""
    text = process.text
    if not any(w in text for w in ("unresolved dependency", "download failed")):
        return
    if os.environ.get("BEDROCK_SPARK_REQUIRE_JARS") == "1":
        pytest.fail(f"Spark {pyspark.__version__} could not get the jars: {text[-4000:]}")
    pytest.skip("Spark could not get the jars")


def leaks(paths: Sequence[Path]) -> list[str]:
    """Return the lines of logs that have a prompt or an answer, cut off before it."""
    found = []
    for path in paths:
        for line in path.read_text("utf-8", "replace").splitlines():
            at = line.find(MARKER)
            if at >= 0:
                found.append(f"{path}: {re.sub(MARKER, '[marker]', line[max(0, at - 200) : at])}")
    return found
