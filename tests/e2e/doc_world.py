"""The world in which the commands of the docs are run: a folder, a local Bedrock, and runs.

`tickets.yaml` is the config of the README. Its table has 120 tickets, and its run is done, unless a
page begins the run itself. Other pages add configs of their own.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import yaml
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.answers.store import begin_store
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.shards.record_ids import record_id
from bedrock_spark.starter.examples import EXAMPLES
from bedrock_spark.storage import open_storage
from tests.doc_shell import DocShell, Ended
from tests.doc_statements import INSTEAD, Statement, statements_of
from tests.docs import ROOT
from tests.e2e.conftest import provision
from tests.unit.comparing.doc_runs import write_doc_runs

ROWS = 120
BUCKETS = ("my-bucket", "lake", "tickets-123456789012")
RUN_URI = "s3://my-bucket/runs/tickets-2026-11"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "bedrock.amazonaws.com"},
        }
    ],
}
# Pages that begin their runs themselves; on all others, the run of tickets.yaml is done.
BEGIN_RUNS = ("README.md", "docs/chains.md", "docs/getting-started.md", "docs/tasks/")
_PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghij12"
# What the local Bedrock answers, if a page needs more than the columns that are asked for.
ANSWERS: dict[str, tuple[dict[str, Any], ...]] = {
    "docs/chains.md": (
        {"model": "*micro*", "match": "agree", "text": {"label": "contract"}},
        {"model": "*micro*", "text": {"label": "letter"}},
        {"model": "*pro*", "text": {"party": "A", "amount": 1.5}},
    )
}
# Pages that write tickets.yaml themselves.
WRITE_CONFIG = ("docs/tasks.md", "docs/getting-started.md")
# Pages of which no command reads what a name of a table stands for: there it stays as it is.
KEEP_NAMES = ("docs/clusters.md",)
# Names of the docs, as patterns, and what stands for them here. Tables are folders on this machine.
NAMES: dict[str, str] = {
    r"s3://my-bucket/runs/tickets(?![-\w])": RUN_URI,
    r"s3://lake/tickets/": "lake/tickets",
    r"s3://lake/tickets-classified/": "lake/tickets-classified",
    r"s3://lake/documents\.parquet": "lake/documents.parquet",
    r"s3://lake/contracts/": "lake/contracts",
    r"9QQfMq7xTlv": record_id(["T-17"]),
    re.escape(_PROVISIONED): "PROVISIONED",
}


@dataclass
class DocWorld:
    """A local Bedrock, a folder for each page, and the objects of the run that is done.

    spark: the session that all commands share
    """

    local: LocalBedrock
    spark: SparkSession
    folder: Path
    _done: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _provisioned: str = ""

    def run(self, page: str) -> Ended:
        """Run the statements of a page in an empty folder; stop at the first that ends badly."""
        folder = self.folder / page.replace("/", "-").removesuffix(".md")
        if page.startswith(BEGIN_RUNS):
            self._begin()
        else:
            self._restore()
        self.local.set_answers(*ANSWERS.get(page, ()))
        write_folder(folder)
        if page in WRITE_CONFIG:
            (folder / "tickets.yaml").unlink()
        if page in KEEP_NAMES:
            (folder / "tickets.yaml").write_text(_block("README.md", "yaml"))
        shell = DocShell(folder, self.local.environment(), self._work_in)
        statements = [s for s in statements_of(page) if s.why_not_run is None]
        return shell.run(statements, self.text_of)

    def text_of(self, statement: Statement) -> str:
        """Return what is run for a statement."""
        key = (statement.page, statement.command)
        text = INSTEAD[key][0] if key in INSTEAD else statement.text
        return named(text).replace("PROVISIONED", self._provisioned)

    @property
    def _aws(self) -> AwsSettings:
        return AwsSettings("us-east-1", self.local.endpoint_url)

    def _begin(self) -> None:
        """Empty the local Bedrock, and make what an account has before any run."""
        self.local.reset()
        s3 = self.local.client("s3")
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket="my-bucket", Key="tickets.yaml", Body=config().encode())
        begin_store(open_storage("s3://lake/answers", self._aws))
        iam = self.local.client("iam")
        iam.create_role(RoleName="BedrockBatch", AssumeRolePolicyDocument=json.dumps(_TRUST))
        self._provisioned = provision(self.local, "amazon.nova-lite-v1:0")
        self.local.advance_clock(601)

    def _restore(self) -> None:
        """Make the run that is done, once; then put back what commands have changed of it."""
        if not self._done:
            self._begin()
            self._make_run()
            self._done = self._objects()
        found = self._objects()
        s3 = self.local.client("s3")
        for bucket, key in found.keys() - self._done.keys():
            s3.delete_object(Bucket=bucket, Key=key)
        for (bucket, key), body in self._done.items():
            if found.get((bucket, key)) != body:
                s3.put_object(Bucket=bucket, Key=key, Body=body)

    def _make_run(self) -> None:
        self.local.set_faults({"records": [{"share": 0.05, "code": 400}]})
        folder = self.folder / "done"
        write_folder(folder)
        shell = DocShell(folder, self.local.environment(), self._work_in)
        ended = shell.run([Statement("the world", 1, "bedrock-spark run tickets.yaml")], _as_is)
        assert ended.code == 0, ended.err
        self.local.set_faults({})

    def _objects(self) -> dict[tuple[str, str], bytes]:
        """Return all objects by bucket and key."""
        s3 = self.local.client("s3")
        return {
            (bucket, listed["Key"]): s3.get_object(Bucket=bucket, Key=listed["Key"])["Body"].read()
            for bucket in BUCKETS
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for listed in page.get("Contents", ())
        }

    def _work_in(self, folder: str) -> None:
        """Let Java take relative paths for paths in this folder, as if it were started there."""
        jvm: Any = self.spark.sparkContext._jvm
        hadoop = self.spark.sparkContext._jsc.hadoopConfiguration()  # type: ignore[union-attr]
        files = jvm.org.apache.hadoop.fs.FileSystem.getLocal(hadoop)
        files.setWorkingDirectory(jvm.org.apache.hadoop.fs.Path(folder))


def _as_is(statement: Statement) -> str:
    return statement.text


def named(text: str) -> str:
    """Return a text of the docs with the names that things have here."""
    for pattern, name in NAMES.items():
        text = re.sub(pattern, name, text)
    return text


def config(**request: str) -> str:
    """Return the config of the README, with changes of the request."""
    values = yaml.safe_load(_block("README.md", "yaml"))
    values["request"] |= request
    values["fallback"] = {"model_id": values["model"]["id"]}
    return named(yaml.safe_dump(values))


def write_folder(folder: Path) -> None:
    """Write the files that the docs name into a new folder."""
    folder.mkdir()
    (folder / "jobs").symlink_to(ROOT / "jobs")
    (folder / "tickets.yaml").write_text(config())
    (folder / "shorter.yaml").write_text(config(prompt="Hardware or not? {{ body }}"))
    (folder / "documents.yaml").write_text(named(_block("docs/chains.md", "yaml stages")))
    (folder / "prompt.txt").write_text("What is a fox?\n")
    (folder / "questions.txt").write_text("What is a fox?\nAnd a wolf?\n")
    tickets = pa.table(
        {
            "ticket_id": [f"T-{n}" for n in range(ROWS)],
            "subject": ["a subject"] * ROWS,
            "body": [f"My printer shows the error {n}" for n in range(ROWS)],
        }
    )
    (folder / "lake" / "tickets").mkdir(parents=True)
    pq.write_table(tickets, folder / "lake" / "tickets" / "part.parquet")
    documents = pa.table(
        {
            "document_id": list(range(ROWS)),
            "body": ["We agree" if n % 4 == 0 else "Dear Sir" for n in range(ROWS)],
        }
    )
    pq.write_table(documents, folder / "lake" / "documents.parquet")
    for name in ("tickets.csv", "my-table.csv"):
        pa_csv.write_csv(tickets, folder / name)
    (folder / "my-table.parquet").write_bytes(EXAMPLES["describe-images"].make())
    write_doc_runs(folder)


def _block(page: str, kind: str) -> str:
    """Return the first block of a kind on a page."""
    found = re.search(rf"^```{kind}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)
    assert found is not None, f"{page} has no block of {kind}"
    return found[1]
