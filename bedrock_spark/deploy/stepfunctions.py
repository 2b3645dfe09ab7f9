"""AWS Step Functions: prepare on EMR Serverless, wait for Bedrock in a loop, collect, fall back.

Nothing runs while Bedrock works but the state machine, which calls a Lambda function every few
minutes. Sources: AWS Step Functions Developer Guide, "Create and manage Amazon EMR Serverless
applications with Step Functions" (startJobRun.sync), "Invoke Lambda functions", and the Amazon
States Language.
"""

from __future__ import annotations

import shlex
from typing import Any

from bedrock_spark.deploy.deployment import CONFIG_FILE, FALLBACK, Deployment
from bedrock_spark.deploy.emr_serverless import OPTIONS as SERVERLESS_OPTIONS
from bedrock_spark.deploy.emr_serverless import request_for, serverless_notes
from bedrock_spark.deploy.files import json_file, rendered_file
from bedrock_spark.deploy.target import (
    ROLE,
    ROLE_EXAMPLE,
    Context,
    Option,
    Plan,
    Target,
    common_files,
    upload_command,
)
from bedrock_spark.errors import ExitCode

_OPTIONS = (
    *SERVERLESS_OPTIONS,
    Option(
        "lambda-role-arn",
        "The role of the function, with the permissions of docs/iam.md for batch jobs.",
        ROLE,
        ROLE_EXAMPLE,
        is_required=True,
    ),
    Option(
        "state-machine-role-arn",
        "The role of the state machine, which may start the jobs and call the function: "
        "docs/clusters.md",
        ROLE,
        ROLE_EXAMPLE,
        is_required=True,
    ),
    Option("wait-seconds", "The time between two steps.", r"[1-9]\d{1,4}", "300", "300"),
)
_FUNCTION = "bedrock-spark-advance"
_PYTHON = "3.12"
# Longer than any step: the canary's calls, a listing of all jobs, one create for each free slot.
_STEP_SECONDS = 900
_LAMBDA_ERRORS = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]
# A step that did not end well for a reason that passes. The next one goes on where it was.
_PASSING_ERRORS = [
    *("States.Timeout", "Sandbox.Timedout", "Lambda.Unknown"),
    *("StorageUnavailableError", "JobThrottledError", "JobStateUnknownError"),
]


def state_machine(context: Context) -> dict[str, Any]:
    """Return the state machine of a run, in the Amazon States Language."""
    deployment = context.deployment
    wait = int(context.value("wait_seconds"))
    after_jobs = "Collect" if deployment.repeats else deployment.last.capitalize()
    states = {
        "Prepare": _spark(context, "prepare", {"Next": "Advance"}),
        "Advance": _step(context, "AreJobsOver"),
        "AreJobsOver": _choice(over=after_jobs),
        "WaitForBedrock": {"Type": "Wait", "Seconds": wait, "Next": "Advance"},
    }
    if deployment.repeats:
        states |= _collect_before(context)
    if not deployment.repeats or deployment.last == FALLBACK:
        states[deployment.last.capitalize()] = _spark(context, deployment.last, {"Next": "Done"})
    states["Done"] = {"Type": "Succeed"}
    return {
        "Comment": f"bedrock-spark: {deployment.config.run_uri}",
        "StartAt": "Prepare",
        "States": states,
    }


def _collect_before(context: Context) -> dict[str, Any]:
    """Return the states of a collect after which batch jobs may ask records again.

    It fails with exit code 10 if the results are not final, which EMR does not tell from other
    failures. Then a step shows whether more jobs are due.
    """
    is_last = context.deployment.last != FALLBACK
    caught = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.collect", "Next": "AdvanceAgain"}]
    states: dict[str, Any] = {
        "Collect": _spark(context, "collect", {"Next": "Done", "Catch": caught}, retries=0),
        "AdvanceAgain": _step(context, "AreMoreJobsDue"),
        "AreMoreJobsDue": _choice(over="CollectFailed" if is_last else "Fallback"),
    }
    if is_last:
        states["CollectFailed"] = {
            "Type": "Fail",
            "ErrorPath": "$.collect.Error",
            "CausePath": "$.collect.Cause",
        }
    return states


def _spark(context: Context, stage: str, more: dict[str, Any], retries: int = 1) -> dict[str, Any]:
    """Return a state that runs a stage on EMR Serverless, and ends with it.

    A stage that is repeated does what is left. The lease of a driver that was lost ends after six
    minutes, and the stage waits for it.
    """
    request = {_pascal(key): _pascal_keys(v) for key, v in request_for(context, stage).items()}
    retry = {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 300, "MaxAttempts": retries}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::emr-serverless:startJobRun.sync",
        "Parameters": request,
        "ResultPath": f"$.{stage}",
        **({"Retry": [retry]} if retries else {}),
        **more,
    }


def _pascal(key: str) -> str:
    return key[0].upper() + key[1:]


def _pascal_keys(value: Any) -> Any:
    """Return a request with the keys as Step Functions wants them. Those of tags stay."""
    if isinstance(value, dict) and "bedrock-spark" not in value:
        return {_pascal(key): _pascal_keys(item) for key, item in value.items()}
    return value


def _step(context: Context, after: str) -> dict[str, Any]:
    """Return a state that takes one step of the batch jobs."""
    config = context.deployment.uri(CONFIG_FILE)
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": _FUNCTION, "Payload": {"config": config}},
        "ResultSelector": {"exit_code.$": "$.Payload.exit_code"},
        "ResultPath": "$.step",
        "Retry": [
            {
                "ErrorEquals": _LAMBDA_ERRORS,
                "IntervalSeconds": 2,
                "MaxAttempts": 6,
                "BackoffRate": 2.0,
            },
            {"ErrorEquals": _PASSING_ERRORS, "IntervalSeconds": 300, "MaxAttempts": 12},
        ],
        "Next": after,
    }


def _choice(over: str) -> dict[str, Any]:
    """Return a state that goes on if all jobs are over, and waits if there is more to do."""
    codes = ExitCode.MORE_TO_DO, ExitCode.BUSY
    return {
        "Type": "Choice",
        "Choices": [
            {"Variable": "$.step.exit_code", "NumericEquals": 0, "Next": over},
            *(
                {
                    "Variable": "$.step.exit_code",
                    "NumericEquals": int(code),
                    "Next": "WaitForBedrock",
                }
                for code in codes
            ),
        ],
    }


def _function(context: Context) -> dict[str, Any]:
    """Return the CreateFunction request, without the code. One function serves all runs."""
    return {
        "FunctionName": _FUNCTION,
        "Runtime": f"python{_PYTHON}",
        "Role": context.value("lambda_role_arn"),
        "Handler": "bedrock_spark.lambda_handler.advance",
        "Timeout": _STEP_SECONDS,
        "MemorySize": 1024,
        "Architectures": [_lambda_architecture(context.deployment)],
    }


def _lambda_architecture(deployment: Deployment) -> str:
    return "arm64" if deployment.architecture == "aarch64" else "x86_64"


def _make(context: Context) -> Plan:
    deployment = context.deployment
    region, folder = deployment.region, context.folder
    name = f"bedrock-spark-{deployment.name}"

    def file(path: str, scheme: str = "file") -> str:
        return shlex.quote(f"{scheme}://{folder}/{path}")

    return Plan(
        [
            *common_files(deployment, scripts=(), archive=True),
            json_file("state-machine.json", state_machine(context)),
            json_file("function.json", _function(context)),
            rendered_file(
                "build-function.sh",
                "build-function.sh.j2",
                wheel=deployment.wheel,
                python=_PYTHON,
                architecture=deployment.architecture,
            ),
        ],
        [
            upload_command(context),
            ("function, once", f"bash {shlex.quote(f'{folder}/build-function.sh')}"),
            (
                "",
                f"aws lambda create-function --region {region} --cli-input-json "
                f"{file('function.json')} --zip-file {file('function.zip', 'fileb')}",
            ),
            (
                "create, once",
                f"aws stepfunctions create-state-machine --region {region} --name {name} "
                f"--role-arn {context.value('state_machine_role_arn')} "
                f"--definition {file('state-machine.json')}",
            ),
            (
                "start",
                f"aws stepfunctions start-execution --region {region} "
                "--state-machine-arn ARN # as create-state-machine printed it",
            ),
        ],
        [
            *serverless_notes(deployment),
            "an execution that failed may be started again, from the beginning: every stage does "
            "what is left. If the run is held, run `bedrock-spark submit` before",
        ],
    )


STEP_FUNCTIONS = Target(
    "stepfunctions",
    "A state machine of AWS Step Functions, with EMR Serverless and a Lambda function.",
    _OPTIONS,
    _make,
)
