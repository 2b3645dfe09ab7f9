"""Every command of docs/getting-started.md works as it is printed there, with the AWS CLI.

S3 and Bedrock are the local Bedrock's, IAM and STS moto's. The AWS CLI is installed in an
environment of its own, so the page is run only if BEDROCK_SPARK_CLIENTS is set, as by
`make test-clients`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from bedrock_emulator import LocalBedrock
from tests.e2e.interrupted import SECONDS
from tests.emulator.client_environments import environment
from tests.modules import ROOT

PAGE = (ROOT / "docs" / "getting-started.md").read_text("utf-8")
# Prints what the service would reply, after the CLI has checked the parameters: it makes no call.
_SKELETON = " --generate-cli-skeleton output"
_PROGRAM = "-c 'import sys; from bedrock_spark.cli import main; main(sys.argv[1:])'"


def blocks(kind: str) -> dict[str, str]:
    """Return the blocks below the comments `<!-- kind: name -->`, by name."""
    return dict(re.findall(rf"<!-- {kind}: (\S+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL))


def test_every_block_is_run_but_the_installation() -> None:
    """`step` is done, `other` is checked by the AWS CLI and not called."""
    all_blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    run = [*blocks("step").values(), *blocks("other").values()]
    left_out = [block for block in all_blocks if block not in run]
    assert [block.split()[0] for block in left_out] == ["python3"]
    assert len(run) > 10


@pytest.mark.skipif(
    not os.environ.get("BEDROCK_SPARK_CLIENTS"),
    reason="installs the AWS CLI: set BEDROCK_SPARK_CLIENTS=1 to run it",
)
def test_the_page(bedrock: Callable[..., LocalBedrock], tmp_path: Path) -> None:
    """1,000 rows are answered by a batch job; then nothing is left in the account."""
    local = bedrock()
    moto = ThreadedMotoServer(port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    # Its state is that of the process: other tests may have left roles in it.
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    try:
        urllib.request.urlopen(reset).close()
        others = f"http://{host}:{port}"
        iam = boto3.client("iam", endpoint_url=others)
        iam.create_user(UserName="ana")
        steps = blocks("step")
        remove = steps.pop("remove")
        # A run would pay, says code 2, which would end bash -e.
        steps["plan"] = steps["plan"].split("#")[0].rstrip() + ' || test "$?" = 2\n'
        printed = _run("".join(steps.values()), local, others, tmp_path)
        assert [line for line in _plan() if line not in printed.splitlines()] == []
        _run(_checked("".join(blocks("other").values())), local, others, tmp_path)
        served = pq.read_table(tmp_path / "answers")["served_by"].to_pylist()
        assert served == ["batch"] * 1000
        assert _policies(others) == {"trust", "BatchInference", "bedrock-spark-tickets"}
        _run(steps["who"] + "BUCKET=tickets-$ACCOUNT\n" + remove, local, others, tmp_path)
        assert not [b for b in _buckets(local) if b.startswith("tickets-")]
        assert iam.list_roles()["Roles"] == []
        assert iam.list_policies(Scope="Local")["Policies"] == []
    finally:
        moto.stop()


def _plan() -> list[str]:
    """Return the lines of the plan on the page, without the tokens, which a sample estimates."""
    block = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    return [line for line in block[1].splitlines() if not line.startswith("input ")]


def _checked(commands: str) -> str:
    """Return commands of the AWS CLI that check their parameters, and make no call."""
    values = "BUCKET=tickets-1; MODEL=example.model; AWS_REGION=eu-west-1\n"
    return values + re.sub(r"^aws .*$", rf"\g<0>{_SKELETON}", commands, flags=re.MULTILINE)


def _policies(endpoint_url: str) -> set[str]:
    """Return what was made of policies: of the role, and attached to the user."""
    client = boto3.client("iam", endpoint_url=endpoint_url)
    trust = client.get_role(RoleName="BedrockBatch")["Role"]["AssumeRolePolicyDocument"]
    of_role = client.list_role_policies(RoleName="BedrockBatch")["PolicyNames"]
    of_user = client.list_attached_user_policies(UserName="ana")["AttachedPolicies"]
    trusted = {"trust"} if trust["Statement"] else set()
    return trusted | set(of_role) | {policy["PolicyName"] for policy in of_user}


def _buckets(local: LocalBedrock) -> list[str]:
    return [bucket["Name"] for bucket in local.client("s3").list_buckets()["Buckets"]]


def _run(commands: str, local: LocalBedrock, others: str, folder: Path) -> str:
    """Run commands as a person does who has installed this package and the AWS CLI.

    Return what they print to stdout.
    """
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    program = programs / "bedrock-spark"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {_PROGRAM} "$@"\n')
    program.chmod(0o755)
    services = {f"AWS_ENDPOINT_URL_{name}": others for name in ("IAM", "STS")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={
            **os.environ,
            **local.environment(),
            **services,
            "PATH": f"{programs}:{environment('awscli')}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS * 3,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout
