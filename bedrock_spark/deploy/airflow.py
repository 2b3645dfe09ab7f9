"""Apache Airflow: a DAG with the Amazon provider's operators for EMR Serverless.

Between prepare and the last stage, a task takes a step of the batch jobs and then is deferred: only
the triggerer waits, no worker. Sources: the operators' signatures (apache-airflow-providers-amazon
9.6 or later, Airflow 3), Airflow's "Deferrable Operators & Triggers".
"""

from __future__ import annotations

import shlex

from bedrock_spark.deploy.deployment import CONFIG_FILE
from bedrock_spark.deploy.emr_serverless import OPTIONS as SERVERLESS_OPTIONS
from bedrock_spark.deploy.emr_serverless import request_for, serverless_notes
from bedrock_spark.deploy.files import rendered_file
from bedrock_spark.deploy.target import Context, Option, Plan, Target, common_files, upload_command
from bedrock_spark.errors import ExitCode

_OPTIONS = (
    *SERVERLESS_OPTIONS,
    Option(
        "aws-conn-id",
        "Airflow's connection to AWS.",
        r"[\w.-]{1,250}",
        "aws_default",
        "aws_default",
    ),
    Option(
        "command",
        "The command on the workers: `bedrock-spark`, or its path in an environment of its own.",
        r"\S+",
        "bedrock-spark",
        "bedrock-spark",
    ),
    Option("wait-seconds", "The time between two steps.", r"[1-9]\d{1,4}", "300", "300"),
)


def _make(context: Context) -> Plan:
    deployment = context.deployment
    file = f"{deployment.name.lower().replace('-', '_')}_dag.py"
    dag = rendered_file(
        file,
        "dag.py.j2",
        d=deployment,
        config=deployment.uri(CONFIG_FILE),
        options=context.values,
        requests={stage: request_for(context, stage) for stage in dict.fromkeys(deployment.stages)},
        again=[int(ExitCode.MORE_TO_DO), int(ExitCode.BUSY)],
        # The same command would fail alike until a person has corrected something.
        final=[int(c) for c in ExitCode if ExitCode.FAILED < c < ExitCode.MORE_TO_DO],
    )
    return Plan(
        [*common_files(deployment, scripts=(), archive=True), dag],
        [
            upload_command(context),
            ("install", f'cp {shlex.quote(f"{context.folder}/{file}")} "$AIRFLOW_HOME/dags/"'),
            ("start", f"airflow dags trigger bedrock_spark_{file.removesuffix('_dag.py')}"),
        ],
        [
            *serverless_notes(deployment),
            f"the workers need `{context.value('command')}`: pip install {deployment.wheel}, in an "
            "environment of its own if Airflow's constraints do not allow its dependencies",
            "the DAG needs Airflow 3 with the providers amazon and standard, and a triggerer",
        ],
    )


AIRFLOW = Target(
    "airflow",
    "A DAG of Apache Airflow, with EMR Serverless and a task that waits without a worker.",
    _OPTIONS,
    _make,
)
