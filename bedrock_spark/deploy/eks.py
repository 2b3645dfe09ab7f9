"""Kubernetes: job runs of Amazon EMR on EKS, and the same for Spark's own operator.

The environment is an image, because executors on Kubernetes start from one.
Sources: Amazon EMR on EKS Development Guide, "StartJobRun"; the Spark operator's
sparkoperator.k8s.io/v1beta2; Spark's "Running on Kubernetes".
"""

from __future__ import annotations

import shlex
from typing import Any

from bedrock_spark.deploy.deployment import PREPARE, Deployment
from bedrock_spark.deploy.files import json_file, rendered_file
from bedrock_spark.deploy.spark_properties import (
    EXECUTOR,
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

_OPTIONS = (
    Option(
        "virtual-cluster-id",
        "The virtual cluster of EMR on EKS: aws emr-containers list-virtual-clusters",
        r"[0-9a-z]{1,64}",
        "0b0qvauoy3ch1nqodxxxxxxxx",
        is_required=True,
    ),
    EXECUTION_ROLE,
    Option(
        "image",
        "The image of driver and executors, which has the package: docs/clusters.md",
        r"[\w.-]+(:\d+)?(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/bedrock-spark:7.13.0",
        is_required=True,
    ),
    Option(
        "release",
        "The EMR release of the image.",
        r"emr-\S+",
        "emr-7.13.0-latest",
        "emr-7.13.0-latest",
    ),
    Option(
        "namespace", "The namespace of the Spark operator.", r"[a-z0-9-]{1,63}", "spark", "spark"
    ),
    Option(
        "service-account",
        "The service account of the drivers, with a role of AWS (IRSA or Pod Identity).",
        r"[a-z0-9.-]{1,253}",
        "spark",
        "spark",
    ),
)


def _request(context: Context, stage: str) -> dict[str, Any]:
    """Return the StartJobRun request of EMR on EKS."""
    deployment = context.deployment
    return {
        "name": f"{deployment.name}-{stage}",
        "virtualClusterId": context.value("virtual_cluster_id"),
        "executionRoleArn": context.value("execution_role_arn"),
        "releaseLabel": context.value("release"),
        "jobDriver": {
            "sparkSubmitJobDriver": submit_driver(deployment, stage, _properties(context))
        },
        "configurationOverrides": logs_in_s3(deployment),
        # A pod that is killed costs nothing but time: every stage does what is left.
        "retryPolicyConfiguration": {"maxAttempts": 3},
        "tags": {"bedrock-spark": deployment.name},
    }


def _properties(context: Context) -> dict[str, str]:
    deployment = context.deployment
    places = "spark.kubernetes.driverEnv", "spark.executorEnv"
    properties = {
        "spark.kubernetes.container.image": context.value("image"),
        **{f"{place}.AWS_REGION": deployment.region for place in places},
        **EXECUTOR,
        **table_properties(deployment.config, on_emr=True),
    }
    return with_own(deployment, properties)


def _operator_properties(deployment: Deployment) -> dict[str, str]:
    tables = table_properties(deployment.config, on_emr=False)
    # Spark of Apache has no file system for s3://, only that of hadoop-aws.
    files = {"spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}
    return with_own(deployment, {**EXECUTOR, **files, **tables})


def _make(context: Context) -> Plan:
    deployment = context.deployment

    def operator_file(stage: str) -> str:
        return f"operator-{stage}.yaml"

    return Plan(
        [
            *common_files(deployment),
            *(json_file(f"{stage}.json", _request(context, stage)) for stage in deployment.jobs),
            *(
                rendered_file(
                    operator_file(stage),
                    "spark-application.yaml.j2",
                    d=deployment,
                    stage=stage,
                    options=context.values,
                    properties=_operator_properties(deployment),
                )
                for stage in deployment.jobs
            ),
        ],
        [
            *stage_commands(context, start_job_run(context, "emr-containers")),
            (
                "or with the Spark operator",
                f"kubectl apply -f {shlex.quote(f'{context.folder}/{operator_file(PREPARE)}')}",
            ),
        ],
        [
            *secrets_note(deployment, "--spark-conf spark.kubernetes.driver.secretKeyRef.NAME=…"),
            "`or all` is one job for the whole run: its pods idle while Bedrock works",
        ],
    )


EKS = Target(
    "eks",
    "Job runs of Amazon EMR on EKS, and applications for the Spark operator.",
    _OPTIONS,
    _make,
)
