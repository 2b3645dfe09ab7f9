"""The files of `bedrock-spark deploy`, read by the tools that they are for.

Each tool is installed in an environment of its own, so these tests run only if
BEDROCK_SPARK_CLIENTS is set: `make test-clients`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml
from click.testing import CliRunner
from moto.server import ThreadedMotoServer

from bedrock_spark.cli import main
from bedrock_spark.deploy import write_files
from tests.emulator.client_environments import asl_validator, environment
from tests.unit.deploy.kit import BY_NAME, CONFIGS, plan_of
from tests.unit.fakes import config_values

pytestmark = pytest.mark.skipif(
    not os.environ.get("BEDROCK_SPARK_CLIENTS"),
    reason="installs large clients: set BEDROCK_SPARK_CLIENTS=1 to run it",
)


def deployed(target: str, folder: Path) -> list[Path]:
    """Write the files of a target for every config; return the folders."""
    for config in CONFIGS:
        _, plan = plan_of(target, config)
        write_files(folder / config, plan.files, replace=False)
    return [folder / config for config in CONFIGS]


def run(command: list[str], folder: Path, **extra: str) -> str:
    """Run a command; return what it printed. It must end with 0."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), **extra}
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


_LOAD = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
loaded = {}
for folder in sys.argv[1:]:
    bag = DagBag(folder)
    assert not bag.import_errors, bag.import_errors
    (dag,) = bag.dags.values()
    loaded[folder] = [[task.task_id, sorted(task.upstream_task_ids)] for task in dag.tasks]
print("LOADED", json.dumps(loaded))
"""


def test_airflow_loads_the_dags(tmp_path: Path) -> None:
    """With its own operators, whose arguments it checks."""
    folders = deployed("airflow", tmp_path)
    python = str(environment("airflow") / "python")
    settings = {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    printed = run([python, "-c", _LOAD, *map(str, folders)], tmp_path, **settings)
    loaded = json.loads(printed.split("LOADED ")[1])
    assert len(loaded) == len(CONFIGS)
    for tasks in loaded.values():
        names = [name for name, _ in tasks]
        assert names[:2] == ["prepare", "advance"]
        assert [before for _, before in tasks] == [[], *([name] for name in names[:-1])]


@pytest.mark.skipif(shutil.which("npm") is None, reason="Node and npm are not installed")
def test_the_state_machines_are_valid(tmp_path: Path) -> None:
    """By the schema of the Amazon States Language, and by paths between states."""
    program = str(asl_validator())
    for folder in deployed("stepfunctions", tmp_path):
        assert "is valid" in run([program, "--json-path", "state-machine.json"], folder)


_READ = """
import sys, yaml
from databricks.bundles.jobs import Job
for path in sys.argv[1:]:
    for job in yaml.safe_load(open(path))["resources"]["jobs"].values():
        assert Job.from_dict(job).as_dict() == job
"""


def test_databricks_reads_the_bundles(tmp_path: Path) -> None:
    """Every key is a field of the Jobs API, and none is lost."""
    paths = [str(folder / "databricks.yml") for folder in deployed("databricks", tmp_path)]
    run([str(environment("databricks") / "python"), "-c", _READ, *paths], tmp_path)


@pytest.fixture
def aws() -> Iterator[str]:
    """An imitation of AWS's control planes, by moto."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with urllib.request.urlopen(f"{url}/moto-api/reset", data=b"") as reply:  # it is one a process
        assert reply.status == 200
    yield url
    server.stop()


@pytest.mark.parametrize("target", ["emr", "emr-serverless", "eks", "glue", "stepfunctions"])
def test_the_commands_that_are_printed_work(tmp_path: Path, aws: str, target: str) -> None:
    """With the real AWS CLI, in order, but for those that need what a person has to know."""
    keys = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": aws,
        "AWS_DEFAULT_REGION": "us-east-1",
        "PATH": f"{environment('awscli')}:{os.environ['PATH']}",
    }
    client = {
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "endpoint_url": aws,
        "region_name": "us-east-1",
    }
    s3 = boto3.client("s3", **client)
    s3.create_bucket(Bucket="bucket")
    values = config_values("s3://bucket/runs/one", **CONFIGS["published"])
    (tmp_path / "tickets.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "dist").mkdir()
    given = _required(target, client)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        arguments = ["deploy", target, "--config", "tickets.yaml", "--json", *given]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    for file in (tmp_path / f"deploy-{target}").glob("*.sh"):
        for name in (*_built(file.read_text()),):
            (tmp_path / "dist" / name).write_bytes(b"built")
    ran = 0
    for _, command in shown["commands"]:
        if not command.startswith(("aws ", "bash ")) or "start-execution" in command:
            continue
        if "create-cluster.sh" in command or "build-function.sh" in command:
            continue
        if "create-function" in command:
            (tmp_path / f"deploy-{target}" / "function.zip").write_bytes(_empty_zip(tmp_path))
        run(["bash", "-euc", command], tmp_path, **keys)
        ran += 1
    assert ran >= 2
    stored = s3.list_objects_v2(Bucket="bucket", Prefix="runs/one-deploy/")["Contents"]
    assert {"runs/one-deploy/config.yaml", "runs/one-deploy/jobs/prepare.py"} <= {
        item["Key"] for item in stored
    }


def _built(script: str) -> list[str]:
    """Return the files of dist/ that a script reads."""
    names = [part.split('"')[0] for part in script.split('"$dist/')[1:]]
    return sorted({name for name in names if name})


def _empty_zip(folder: Path) -> bytes:
    path = shutil.make_archive(str(folder / "empty"), "zip", folder / "dist")
    return Path(path).read_bytes()


def _required(target: str, client: dict[str, str]) -> list[str]:
    """Return the required options, with ids of what exists in the imitation."""
    values = {
        option.name: option.example for option in BY_NAME[target].options if option.is_required
    }
    if target == "emr":
        instances = {"InstanceCount": 1, "MasterInstanceType": "m6i.xlarge"}
        started = boto3.client("emr", **client).run_job_flow(Name="n", Instances=instances)
        values["cluster-id"] = started["JobFlowId"]
    if "application-id" in values:
        service = boto3.client("emr-serverless", **client)
        made = service.create_application(releaseLabel="emr-7.13.0", type="SPARK", name="n")
        values["application-id"] = made["applicationId"]
    if target == "eks":
        values["virtual-cluster-id"] = _virtual_cluster(client)
    iam = boto3.client("iam", **client)
    for name in {v.rpartition("/")[2] for k, v in values.items() if k.endswith("role-arn")}:
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
            ),
        )
    return [word for name, value in values.items() for word in (f"--{name}", value)]


def _virtual_cluster(client: dict[str, str]) -> str:
    boto3.client("eks", **client).create_cluster(
        name="k", roleArn="arn:aws:iam::123456789012:role/k", resourcesVpcConfig={}
    )
    made = boto3.client("emr-containers", **client).create_virtual_cluster(
        name="v",
        containerProvider={"id": "k", "type": "EKS", "info": {"eksInfo": {"namespace": "spark"}}},
    )
    return str(made["id"])
