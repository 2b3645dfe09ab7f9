"""Databricks: an asset bundle with a job, whose tasks have clusters of their own.

A cluster that tasks share lives until the last of them has ended, so prepare and the last stage
each have one, and `submit` waits on a small single node. Source: the bundle's JSON Schema
(`databricks bundle schema`) and Databricks' "Configure compute for jobs".
"""

from __future__ import annotations

import shlex
from typing import Any

import yaml

from bedrock_spark.deploy.deployment import COLLECT, PREPARE, RUN, SUBMIT
from bedrock_spark.deploy.files import DeployedFile
from bedrock_spark.deploy.spark_properties import with_own
from bedrock_spark.deploy.target import (
    Context,
    Option,
    Plan,
    Target,
    common_files,
    secrets_note,
    upload_command,
)

_OPTIONS = (
    Option(
        "instance-profile-arn",
        "The instance profile of the clusters, registered in the workspace, with the permissions "
        "of docs/iam.md.",
        r"arn:aws[a-z-]*:iam::\d{12}:instance-profile/\S+",
        "arn:aws:iam::123456789012:instance-profile/NAME",
        is_required=True,
    ),
    Option(
        "spark-version",
        "The version of Databricks Runtime: 16.4 LTS or later has a Python that is new enough.",
        r"\d+\.\d+\.x\S*-scala2\.1[23]",
        "17.3.x-scala2.13",
        "17.3.x-scala2.13",
    ),
    Option(
        "node-type",
        "The type of the nodes.",
        r"[a-z0-9-]+\.[a-z0-9]+",
        "m6id.xlarge",
        "m6id.xlarge",
    ),
    Option("workers", "The most workers of a cluster.", r"[1-9]\d{0,3}", "4", "4"),
    Option(
        "waiter-node-type",
        "The type of the node that waits.",
        r"[a-z0-9-]+\.[a-z0-9]+",
        "m5d.large",
        "m5d.large",
    ),
)
# More than the lease of a process that was lost.
_RETRY_MILLIS = 420_000


def bundle(context: Context) -> dict[str, Any]:
    """Return the content of databricks.yml."""
    deployment = context.deployment
    tasks = _tasks(context)
    clusters = [_cluster(context, task["job_cluster_key"]) for task in tasks]
    name = f"bedrock-spark-{deployment.name}"
    whole = _task(context, RUN, RUN)
    return {
        "bundle": {"name": name},
        "resources": {
            "jobs": {
                "stages": {
                    "name": f"{name}-stages",
                    "max_concurrent_runs": 1,
                    "tags": {"bedrock-spark": deployment.name},
                    "job_clusters": clusters,
                    "tasks": tasks,
                },
                "whole_run": {
                    "name": f"{name}-run",
                    "max_concurrent_runs": 1,
                    "tags": {"bedrock-spark": deployment.name},
                    "job_clusters": [_cluster(context, RUN)],
                    "tasks": [whole],
                },
            }
        },
        "targets": {"default": {"default": True}},
    }


def _tasks(context: Context) -> list[dict[str, Any]]:
    """Return the tasks in order, each after the one before it."""
    deployment = context.deployment
    steps = [(PREPARE, PREPARE), (SUBMIT, SUBMIT)]
    if deployment.repeats:
        steps += [(COLLECT, COLLECT), (f"{SUBMIT}_again", SUBMIT)]
    last = deployment.last
    steps.append((f"{last}_again" if (last, last) in steps else last, last))
    tasks: list[dict[str, Any]] = []
    for key, stage in steps:
        task = _task(context, key, stage)
        if tasks:
            task["depends_on"] = [{"task_key": tasks[-1]["task_key"]}]
        if key == f"{SUBMIT}_again":  # collect fails with exit code 10 if more jobs are due
            task["run_if"] = "ALL_DONE"
        tasks.append(task)
    return tasks


def _task(context: Context, key: str, stage: str) -> dict[str, Any]:
    deployment = context.deployment
    return {
        "task_key": key,
        "job_cluster_key": key,
        "spark_python_task": {
            "python_file": deployment.script(stage),
            "parameters": deployment.arguments,
        },
        "libraries": [{"whl": deployment.uri(deployment.wheel)}],
        "max_retries": 0 if stage == COLLECT and deployment.repeats else 2,
        "min_retry_interval_millis": _RETRY_MILLIS,
        "retry_on_timeout": False,
    }


def _cluster(context: Context, key: str) -> dict[str, Any]:
    deployment = context.deployment
    waits = key.startswith(SUBMIT)
    properties = with_own(deployment, {})
    cluster: dict[str, Any] = {
        "spark_version": context.value("spark_version"),
        "node_type_id": context.value("waiter_node_type" if waits else "node_type"),
        "data_security_mode": "SINGLE_USER",
        "aws_attributes": {"instance_profile_arn": context.value("instance_profile_arn")},
        "spark_env_vars": {"AWS_REGION": deployment.region},
    }
    if waits:
        cluster["num_workers"] = 0
        cluster["custom_tags"] = {"ResourceClass": "SingleNode"}
        properties |= {
            "spark.databricks.cluster.profile": "singleNode",
            "spark.master": "local[*]",
        }
    else:
        cluster["autoscale"] = {"min_workers": 1, "max_workers": int(context.value("workers"))}
    if properties:
        cluster["spark_conf"] = properties
    return {"job_cluster_key": key, "new_cluster": cluster}


def _make(context: Context) -> Plan:
    deployment = context.deployment
    folder = shlex.quote(context.folder)
    text = yaml.safe_dump(bundle(context), sort_keys=False, width=100)
    scripts = common_files(deployment, scripts=(SUBMIT, RUN), wheel=True)
    return Plan(
        [*scripts, DeployedFile("databricks.yml", text)],
        [
            upload_command(context),
            ("check", f"(cd {folder} && databricks bundle validate)"),
            ("deploy", f"(cd {folder} && databricks bundle deploy)"),
            ("start", f"(cd {folder} && databricks bundle run stages)"),
            ("or all", f"(cd {folder} && databricks bundle run whole_run)"),
        ],
        [
            *secrets_note(deployment, "spark_env_vars of the clusters: {{secrets/SCOPE/KEY}}"),
            "`or all` is one task for the whole run: its cluster idles while Bedrock works; in "
            "`stages` only one small node does",
        ],
    )


DATABRICKS = Target(
    "databricks",
    "An asset bundle of Databricks.",
    _OPTIONS,
    _make,
    has_file_system=True,
)
