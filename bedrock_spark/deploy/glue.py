"""AWS Glue: a job for each stage, made once and started as often as needed.

Sources: AWS Glue Developer Guide, "Using Python libraries with AWS Glue"
(--additional-python-modules), "AWS Glue job parameters", and botocore's model.
"""

from __future__ import annotations

from typing import Any

from bedrock_spark.deploy.deployment import COLLECT, PREPARE, Deployment, timeout_minutes
from bedrock_spark.deploy.files import json_file
from bedrock_spark.deploy.spark_properties import (
    formats_of,
    table_properties,
    uses_catalog,
    with_own,
)
from bedrock_spark.deploy.target import (
    Context,
    Option,
    Plan,
    Target,
    aws_command,
    common_files,
    secrets_note,
    stage_commands,
    start_job_run,
    upload_command,
)

_OPTIONS = (
    Option(
        "role",
        "The role of the jobs, by its name or ARN, with the permissions of docs/iam.md.",
        r"[\w+=,.@:/-]+",
        "GlueBedrockSpark",
        is_required=True,
    ),
    Option("glue-version", "The version of Glue: 5.0 or later.", r"[5-9]\.\d", "5.0", "5.0"),
    Option("worker-type", "The type of the workers.", r"[GRZ]\.(025|\d+)X", "G.1X", "G.1X"),
    Option("workers", "The number of workers.", r"[1-9]\d{0,3}", "5", "5"),
    Option(
        "connection", "A connection of Glue whose subnet reaches Bedrock.", r"\S.{0,254}", "vpc"
    ),
    Option(
        "flex",
        "Run prepare and collect in the class FLEX, which is cheaper and may start later.",
        is_flag=True,
    ),
)


def _job_name(deployment: Deployment, stage: str) -> str:
    return f"bedrock-spark-{deployment.name}-{stage}"


def _job(context: Context, stage: str) -> dict[str, Any]:
    """Return the CreateJob request of a stage."""
    deployment = context.deployment
    workers = int(context.value("workers"))
    job: dict[str, Any] = {
        "Name": _job_name(deployment, stage),
        "Role": context.value("role"),
        "Command": {
            "Name": "glueetl",
            "ScriptLocation": deployment.script(stage),
            "PythonVersion": "3",
        },
        "GlueVersion": context.value("glue_version"),
        "WorkerType": context.value("worker_type"),
        "NumberOfWorkers": max(2, workers),
        "Timeout": timeout_minutes(stage),
        "MaxRetries": 1,
        "ExecutionProperty": {"MaxConcurrentRuns": 1},
        "DefaultArguments": _arguments(deployment),
        "Tags": {"bedrock-spark": deployment.name},
    }
    if context.is_set("flex") and stage in (PREPARE, COLLECT):
        job["ExecutionClass"] = "FLEX"
    connection = context.values["connection"]
    if connection is not None:
        job["Connections"] = {"Connections": [connection]}
    return job


def _arguments(deployment: Deployment) -> dict[str, str]:
    config, uri = deployment.arguments
    arguments = {
        config: uri,
        "--additional-python-modules": deployment.uri(deployment.wheel),
        "--enable-auto-scaling": "true",
        "--enable-continuous-cloudwatch-log": "true",
        "--enable-metrics": "true",
        "--enable-spark-ui": "true",
        "--spark-event-logs-path": deployment.uri("spark-logs/"),
        "--TempDir": deployment.uri("temp/"),
    }
    properties = with_own(deployment, table_properties(deployment.config, on_emr=False))
    if properties:
        # Glue has one argument for all of them.
        arguments["--conf"] = " --conf ".join(f"{key}={value}" for key, value in properties.items())
    formats = formats_of(deployment.config)
    if formats:
        arguments["--datalake-formats"] = ",".join(sorted(formats))
    if uses_catalog(deployment.config):
        arguments["--enable-glue-datacatalog"] = "true"
    return arguments


def _make(context: Context) -> Plan:
    deployment = context.deployment

    def create(stage: str) -> str:
        return aws_command(context, "glue create-job", f"create-{stage}.json")

    return Plan(
        [
            *common_files(deployment, wheel=True),
            *(json_file(f"create-{stage}.json", _job(context, stage)) for stage in deployment.jobs),
            *(
                json_file(f"{stage}.json", {"JobName": _job_name(deployment, stage)})
                for stage in deployment.jobs
            ),
        ],
        [
            upload_command(context),
            *(("create, once", create(stage)) for stage in deployment.jobs),
            *stage_commands(context, start_job_run(context, "glue"))[1:],
        ],
        [
            *secrets_note(deployment, "Glue has none: use a connection, or another target"),
            "workers install the wheel's dependencies with pip, and need a way to a package index",
            "`or all` is one job for the whole run: its workers idle while Bedrock works",
        ],
    )


GLUE = Target("glue", "Jobs of AWS Glue.", _OPTIONS, _make)
