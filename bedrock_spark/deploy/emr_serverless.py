"""Amazon EMR Serverless: a StartJobRun request for each job. Workers end with their job.

Sources: EMR Serverless User Guide, "Using Python libraries with EMR Serverless" (spark.archives,
spark.emr-serverless.driverEnv, spark.executorEnv), and botocore's model (flexExecution).
"""

from __future__ import annotations

from typing import Any

from bedrock_spark.deploy.deployment import COLLECT, PREPARE, Deployment, timeout_minutes
from bedrock_spark.deploy.files import json_file
from bedrock_spark.deploy.spark_properties import (
    ARCHIVE_FOLDER,
    PYTHON,
    SERVERLESS_EXECUTOR,
    submit_driver,
    table_properties,
    with_own,
)
from bedrock_spark.deploy.target import (
    EXECUTION_ROLE,
    Context,
    Option,
    Plan,
    Target,
    common_files,
    logs_in_s3,
    secrets_note,
    stage_commands,
    start_job_run,
)

OPTIONS = (
    Option(
        "application-id",
        "The Spark application that runs the jobs, with subnets from which Bedrock can be reached: "
        "aws emr-serverless list-applications",
        r"[0-9a-z]{1,64}",
        "00f1r2e3d4s5m6n7",
        is_required=True,
    ),
    EXECUTION_ROLE,
    Option(
        "flex",
        "Run prepare and collect on flexible capacity, which is cheaper and may start later. Not "
        "the fallback: a call that is cut off is paid for.",
        is_flag=True,
    ),
)


def request_for(context: Context, stage: str) -> dict[str, Any]:
    """Return the StartJobRun request of a stage."""
    deployment = context.deployment
    request: dict[str, Any] = {
        "name": f"{deployment.name}-{stage}",
        "applicationId": context.value("application_id"),
        "executionRoleArn": context.value("execution_role_arn"),
        "executionTimeoutMinutes": timeout_minutes(stage),
        "jobDriver": {"sparkSubmit": submit_driver(deployment, stage, _properties(deployment))},
        "configurationOverrides": logs_in_s3(deployment),
        "tags": {"bedrock-spark": deployment.name},
    }
    if context.is_set("flex") and stage in (PREPARE, COLLECT):
        request["flexExecution"] = {"enabled": True}
    return request


def _properties(deployment: Deployment) -> dict[str, str]:
    driver, executors = "spark.emr-serverless.driverEnv", "spark.executorEnv"
    properties = {
        "spark.archives": f"{deployment.uri(deployment.archive)}#{ARCHIVE_FOLDER}",
        f"{driver}.PYSPARK_DRIVER_PYTHON": PYTHON,
        f"{driver}.PYSPARK_PYTHON": PYTHON,
        f"{executors}.PYSPARK_PYTHON": PYTHON,
        **SERVERLESS_EXECUTOR,
        **table_properties(deployment.config, on_emr=True),
    }
    return with_own(deployment, properties)


def _make(context: Context) -> Plan:
    deployment = context.deployment
    return Plan(
        [
            *common_files(deployment, archive=True),
            *(json_file(f"{stage}.json", request_for(context, stage)) for stage in deployment.jobs),
        ],
        stage_commands(context, start_job_run(context, "emr-serverless")),
        [
            *serverless_notes(deployment),
            "`or all` is one job for the whole run: its workers idle while Bedrock works",
        ],
    )


def serverless_notes(deployment: Deployment) -> list[str]:
    """Return what to know about EMR Serverless."""
    return [
        *secrets_note(deployment, "--spark-conf spark.emr-serverless.driverEnv.NAME=…"),
        f"the application must have Python {deployment.python} at /usr/bin/python"
        f"{deployment.python}, and the architecture {deployment.architecture}: docs/clusters.md",
    ]


EMR_SERVERLESS = Target(
    "emr-serverless",
    "Job runs of Amazon EMR Serverless.",
    OPTIONS,
    _make,
)
