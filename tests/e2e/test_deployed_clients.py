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
import jsonschema_rs
import pytest
import yaml
from click.testing import CliRunner
from moto.server import ThreadedMotoServer
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.cli import main
from bedrock_spark.deploy import write_files
from bedrock_spark.pipeline import Pipeline
from tests.docs import ROOT
from tests.emulator.client_environments import asl_validator, environment
from tests.unit.deploy.kit import BY_NAME, CONFIGS, plan_of
from tests.unit.deploy.test_docs import block
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


@pytest.mark.skipif(shutil.which("databricks") is None, reason="the CLI is not installed")
def test_the_bundles_fit_the_schema_of_the_databricks_cli(tmp_path: Path) -> None:
    """That is what editors check a bundle with."""
    schema = json.loads(run(["databricks", "bundle", "schema"], tmp_path))
    validator = jsonschema_rs.validator_for(schema)
    for folder in deployed("databricks", tmp_path):
        bundle = yaml.safe_load((folder / "databricks.yml").read_text())
        assert [error.message for error in validator.iter_errors(bundle)] == []
        job = next(iter(bundle["resources"]["jobs"].values()))
        job["tasks"][0]["odd"] = 1
        assert not validator.is_valid(bundle)


_PREFECT = "tickets()"
_DAGSTER = """
instance = dg.DagsterInstance.ephemeral()
dg.Definitions.validate_loadable(definitions)
assert prepare.execute_in_process(instance=instance).success
for _ in range(1000):
    found = batch_jobs(dg.build_sensor_context(instance=instance))
    if isinstance(found, dg.RunRequest):
        break
assert found.run_key == CONFIG
assert last_stage.execute_in_process(instance=instance).success
"""


@pytest.mark.long
@pytest.mark.parametrize(("name", "runs"), [("prefect", _PREFECT), ("dagster", _DAGSTER)])
def test_other_schedulers_run_the_code_of_the_docs(
    spark: SparkSession, local: LocalBedrock, tmp_path: Path, name: str, runs: str
) -> None:
    """Their steps carry a run to its end; each stage is started once, in order."""
    folder, source = tmp_path / "deploy-emr", tmp_path / "tickets"
    folder.mkdir()
    (folder / "create-cluster.sh").write_text('echo "$1" >> deploy-emr/started\n')
    rows = spark.range(30).selectExpr("cast(id AS string) AS id", "concat('text ', id) AS body")
    rows.write.parquet(str(source))
    s3 = local.client("s3")
    s3.create_bucket(Bucket="bucket")
    values = config_values(
        f"s3://bucket/runs/{name}",
        endpoint_url=local.endpoint_url,
        source={"format": "parquet", "path": str(source), "key": ["id"]},
        canary={"records": 0},
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in local.environment().items():
            patch.setenv(variable, value)
        Pipeline.open(str(folder / "config.yaml")).prepare(spark)
    blocks = block("python scheduler") + block(f"python {name}")
    (tmp_path / "scheduled.py").write_text(blocks.replace("=300", "=1") + "\n\n" + runs)
    home = {"PREFECT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    patient = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "200"}
    python = str(environment(name) / "python")
    run([python, "scheduled.py"], tmp_path, **local.environment(), **home, **quiet, **patient)
    assert (folder / "started").read_text().split() == [
        "steps-prepare.json",
        "steps-fallback.json",
    ]
    jobs = local.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"]
    assert [job["status"] for job in jobs] == ["Completed"]


@pytest.fixture
def local() -> Iterator[LocalBedrock]:
    with LocalBedrock({"quotas": {"min_records": 1}}, speed=3000) as started:
        yield started


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
