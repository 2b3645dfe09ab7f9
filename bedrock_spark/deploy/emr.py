"""Amazon EMR on EC2: a cluster for each job, which ends with it, or steps of one that runs.

Sources: EMR Management Guide, "Work with steps using the AWS CLI" and "Create bootstrap actions";
EMR Release Guide 7.x: the default python3 is 3.9, and 3.11 is a package of Amazon Linux 2023.
"""

from __future__ import annotations

import shlex
from typing import Any

from bedrock_spark.deploy.deployment import Deployment
from bedrock_spark.deploy.files import DeployedFile, json_file, rendered_file
from bedrock_spark.deploy.spark_properties import (
    ARCHIVE_FOLDER,
    EXECUTOR,
    PYTHON,
    as_arguments,
    table_properties,
    with_own,
)
from bedrock_spark.deploy.target import (
    Context,
    Option,
    Plan,
    Target,
    common_files,
    secrets_note,
    stage_commands,
)

_DEFAULT_TYPES = {"x86_64": "m6i.xlarge", "aarch64": "m6g.xlarge"}
_OPTIONS = (
    Option(
        "cluster-id",
        "A cluster that runs already, with Python as bootstrap.sh installs it. Without it, each "
        "job gets a cluster of its own, which ends with the job.",
        r"j-[A-Z0-9]{8,20}",
        "j-2AXXXXXXGAPLF",
    ),
    Option(
        "subnet-id",
        "The subnet of the clusters, with a way to S3 and Bedrock: aws ec2 describe-subnets",
        r"subnet-[0-9a-f]{8,17}",
        "subnet-0123456789abcdef0",
    ),
    Option(
        "release", "The EMR release.", r"emr(-spark)?-\d+\.\d+\.\d+", "emr-7.13.0", "emr-7.13.0"
    ),
    Option("service-role", "EMR's role.", r"[\w+=,.@:/-]+", "EMR_DefaultRole", "EMR_DefaultRole"),
    Option(
        "instance-profile",
        "The instance profile of the nodes, with the permissions of docs/iam.md.",
        r"[\w+=,.@:/-]+",
        "EMR_EC2_DefaultRole",
        "EMR_EC2_DefaultRole",
    ),
    Option("instance-type", "The type of all nodes.", r"[a-z0-9-]+\.[a-z0-9]+", "m6i.xlarge"),
    Option("instances", "The number of core nodes.", r"[1-9]\d{0,3}", "2", "2"),
)


def _make(context: Context) -> Plan:
    deployment = context.deployment
    cluster = context.values["cluster_id"]
    files = [
        *common_files(deployment, archive=True, more=("bootstrap.sh",)),
        rendered_file("bootstrap.sh", "bootstrap.sh.j2", python=deployment.python),
        *(
            json_file(f"steps-{stage}.json", [_step(deployment, stage)])
            for stage in deployment.jobs
        ),
    ]
    if cluster is None:
        files += _cluster_files(context)
    return Plan(
        files,
        stage_commands(context, lambda stage: _start_command(context, stage)),
        [
            *secrets_note(deployment, "--spark-conf spark.yarn.appMasterEnv.NAME=…"),
            "`or all` is one job for the whole run: its cluster idles while Bedrock works",
        ],
    )


def _step(deployment: Deployment, stage: str) -> dict[str, Any]:
    """Return a step in the form of `aws emr add-steps --steps`."""
    python = {
        f"spark.{place}.{name}": value
        for place in ("yarn.appMasterEnv", "executorEnv")
        for name, value in (("PYSPARK_PYTHON", PYTHON), ("AWS_REGION", deployment.region))
    }
    properties = {**python, **EXECUTOR, **table_properties(deployment.config, on_emr=True)}
    return {
        "Type": "CUSTOM_JAR",
        "Name": f"{deployment.name} {stage}",
        "ActionOnFailure": "CONTINUE",
        "Jar": "command-runner.jar",
        "Args": [
            *("spark-submit", "--deploy-mode", "cluster"),
            *("--name", f"{deployment.name} {stage}"),
            *("--archives", f"{deployment.uri(deployment.archive)}#{ARCHIVE_FOLDER}"),
            *as_arguments(with_own(deployment, properties)),
            deployment.script(stage),
            *deployment.arguments,
        ],
    }


def _cluster_files(context: Context) -> list[DeployedFile]:
    deployment = context.deployment
    kind = context.values["instance_type"] or _DEFAULT_TYPES[deployment.architecture]
    groups = [
        {"InstanceGroupType": "MASTER", "InstanceType": kind, "InstanceCount": 1},
        {
            "InstanceGroupType": "CORE",
            "InstanceType": kind,
            "InstanceCount": int(context.value("instances")),
        },
    ]
    return [
        json_file("instance-groups.json", groups),
        rendered_file(
            "create-cluster.sh", "create-cluster.sh.j2", d=deployment, options=context.values
        ),
    ]


def _start_command(context: Context, stage: str) -> str:
    steps = f"{context.folder}/steps-{stage}.json"
    if context.values["cluster_id"] is None:
        script = shlex.quote(f"{context.folder}/create-cluster.sh")
        return f"bash {script} steps-{stage}.json"
    return (
        f"aws emr add-steps --region {context.deployment.region} "
        f"--cluster-id {context.values['cluster_id']} --steps {shlex.quote(f'file://{steps}')}"
    )


EMR = Target(
    "emr",
    "Steps of Amazon EMR on EC2, and a cluster for each.",
    _OPTIONS,
    _make,
    has_file_system=True,
)
