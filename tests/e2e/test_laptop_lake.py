"""`bedrock-spark run` on a laptop reads and writes tables in S3, and Delta Lake, without any setup.

Spark fetches the jars, so these tests are skipped if it cannot; with BEDROCK_SPARK_REQUIRE_JARS=1
they fail.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pyspark
import pytest

from bedrock_emulator import LocalBedrock
from tests.e2e.interrupted import SECONDS, Command, start, wait_until, write_config
from tests.forked_emulator import BUCKET
from tests.sources_doc import packages_for
from tests.spark_sessions import CLAUDE, ROLE

pytestmark = [pytest.mark.long, pytest.mark.jars]

ROWS = 120
Start = Callable[..., LocalBedrock]


def run(folder: Path, local: LocalBedrock, name: str, **sections: Any) -> str:
    """Run a config to its end; return what was printed."""
    config = write_config(folder, ROWS, **{
        "run_uri": f"s3://{BUCKET}/runs/{name}",
        "model": {"id": CLAUDE},
        "request": {"prompt": "Classify: {{ body }}", "max_tokens": 20},
        "batch": {"role_arn": ROLE, "region": "us-east-1", "poll_seconds": 0.2},
        "canary": {"records": 0},
        **sections,
    })  # fmt: skip
    command = start(config, local)
    code = command.process.wait(SECONDS)
    wait_until(lambda: code != 0 or command.has_printed("results "), "the report")
    if code and any("could not fetch its packages" in line for line in command.errors):
        _skip(command)
    assert code == 0, (command.lines, command.errors)
    return "".join([*command.lines, *command.errors])


def _skip(command: Command) -> None:
    if os.environ.get("BEDROCK_SPARK_REQUIRE_JARS") == "1":
        pytest.fail(f"Spark could not get the jars: {command.errors}")
    pytest.skip("Spark could not get the jars")


def outcomes(local: LocalBedrock, prefix: str) -> list[str]:
    """Return the outcomes in all Parquet files below a prefix of the bucket."""
    s3 = local.client("s3")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    keys = [o["Key"] for o in listed if o["Key"].endswith(".parquet")]
    files = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
    return [
        value for data in files for value in pq.read_table(io.BytesIO(data))["outcome"].to_pylist()
    ]


def test_s3_source_and_results(bedrock: Start, tmp_path: Path) -> None:
    """s3:// and s3a:// are read and written with the endpoint and the credentials of boto3.

    The second run asks again what the first one did not get answered, from its dead letters.
    """
    local = bedrock({"records": [{"share": 0.2, "code": 400, "message": "Malformed input"}]})
    write_config(tmp_path, ROWS)
    local.client("s3").upload_file(str(tmp_path / "tickets.csv"), BUCKET, "lake/tickets.csv")
    key = ["ticket_id"]
    printed = run(
        tmp_path, local, "first",
        source={"format": "csv", "path": f"s3://{BUCKET}/lake/", "options": {"header": True},
                "key": key},
        results={"path": f"s3a://{BUCKET}/answers", "max_errors": 1.0},
    )  # fmt: skip
    assert "Traceback" not in printed
    assert " WARN " not in printed  # as Spark writes it
    found = outcomes(local, "answers/")
    assert len(found) == ROWS
    failed = found.count("error")
    assert failed
    run(
        tmp_path, local, "second",
        source={"format": "parquet", "path": f"s3://{BUCKET}/runs/first/deadletters/", "key": key,
                "columns": key},
        request={"prompt": "Classify {{ ticket_id }}", "max_tokens": 100},
        fallback={"model_id": CLAUDE},
        results={"path": str(tmp_path / "again"), "max_errors": 1.0},
    )  # fmt: skip
    assert pq.read_table(tmp_path / "again").num_rows == failed


@pytest.mark.skipif(
    packages_for(pyspark.__version__) is None,
    reason=f"no released Delta Lake works with Spark {pyspark.__version__}",
)
def test_delta_tables_at_a_path_in_s3(bedrock: Start, tmp_path: Path) -> None:
    """The results of one run are a Delta table, which the next run reads."""
    local = bedrock()
    table = f"s3://{BUCKET}/lake/answers"
    run(tmp_path, local, "writes", results={"format": "delta", "path": table})
    source = {"format": "delta", "path": table, "key": ["ticket_id"], "columns": ["ticket_id"]}
    request = {"prompt": "Shorten: {{ text }}", "max_tokens": 100}
    run(tmp_path, local, "reads", source=source, request=request)
    assert pq.read_table(tmp_path / "answers")["outcome"].to_pylist() == ["ok"] * ROWS
