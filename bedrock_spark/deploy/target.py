"""What all targets have in common: their options, and what they hand to the command.

What only the user knows, such as a role or a subnet, is an option. If one that is needed is
missing, nothing is written: a file with a gap would only fail later, on the platform.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from bedrock_spark.deploy.deployment import COLLECT, PREPARE, RUN, SUBMIT, Deployment
from bedrock_spark.deploy.files import DeployedFile, rendered_file

ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/\S+"
ROLE_EXAMPLE = "arn:aws:iam::123456789012:role/NAME"


@dataclass(frozen=True)
class Option:
    """An option of one target, such as --cluster-id.

    name: with hyphens
    help: what it is; for a required option also where it is found
    pattern: what a value must match in full
    example: a value that matches
    default: None if there is none; then `is_required` says whether it must be given
    is_flag: whether it is true or false, and takes no value
    """

    name: str
    help: str
    pattern: str = r"\S+"
    example: str = ""
    default: str | None = None
    is_required: bool = False
    is_flag: bool = False

    @property
    def key(self) -> str:
        """Return the name in Python."""
        return self.name.replace("-", "_")


EXECUTION_ROLE = Option(
    "execution-role-arn",
    "The role of the jobs, with the permissions of docs/iam.md.",
    ROLE,
    ROLE_EXAMPLE,
    is_required=True,
)


@dataclass(frozen=True)
class Plan:
    """What a target writes.

    commands: what to type next, in order: what it does, and the command
    notes: what to know or to do besides
    """

    files: list[DeployedFile]
    commands: list[tuple[str, str]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """What a target makes its plan of.

    values: of its options by their names in Python; None if one has no value
    folder: where the files will be, as the user named it
    config: the config as it is named on the command line
    """

    deployment: Deployment
    values: Mapping[str, str | None]
    folder: str
    config: str

    def value(self, key: str) -> str:
        """Return the value of an option that has one."""
        value = self.values[key]
        assert value is not None, key  # the command has checked it
        return value

    def is_set(self, key: str) -> bool:
        """Tell whether a flag is set."""
        return bool(self.values[key])


@dataclass(frozen=True)
class Target:
    """A platform or an orchestrator.

    has_file_system: whether a path without a scheme is one of the platform's shared file system
    """

    name: str
    summary: str
    options: tuple[Option, ...]
    make: Callable[[Context], Plan]
    has_file_system: bool = False


def option_faults(options: tuple[Option, ...], values: Mapping[str, str | None]) -> list[str]:
    """Return every option that is missing or has a value of another form."""
    faults = []
    for option in options:
        value = values.get(option.key)
        if option.is_flag:
            continue
        if value is None and option.is_required:
            faults.append(f"--{option.name} is missing, such as {option.example}: {option.help}")
        elif value is not None and not re.fullmatch(option.pattern, value):
            faults.append(
                f"--{option.name} {value}: must be such as {option.example}: {option.help}"
            )
    return faults


def common_files(
    deployment: Deployment,
    *,
    scripts: tuple[str, ...] = (RUN,),
    archive: bool = False,
    wheel: bool = False,
    more: tuple[str, ...] = (),
) -> list[DeployedFile]:
    """Return the files that all platforms need: config, scripts, upload.sh.

    scripts: stages that get a script besides those that need Spark
    archive, wheel: whether upload.sh copies the environment archive, or the wheel, from dist/
    more: other files that it copies
    """
    stages = dict.fromkeys([*deployment.stages, *scripts])
    built = [deployment.archive] * archive + [deployment.wheel] * wheel
    python, processor = deployment.python, deployment.architecture
    how = {
        deployment.archive: f"bedrock-spark environment --python {python} --arch {processor}",
        deployment.wheel: "make dist",
    }
    return [
        DeployedFile("config.yaml", deployment.config_text),
        *(DeployedFile(f"jobs/{stage}.py", _program(stage)) for stage in stages),
        rendered_file("upload.sh", "upload.sh.j2", d=deployment, built=built, how=how, more=more),
    ]


def _program(stage: str) -> str:
    """Return the program of a stage, as spark-submit takes it."""
    return (resources.files("bedrock_spark") / "jobs" / f"{stage}.py").read_text(encoding="utf-8")


def stage_commands(context: Context, start: Callable[[str], str]) -> list[tuple[str, str]]:
    """Return the commands of a run by hand: upload, stage by stage, or all in one job.

    start: returns the command that starts the job of a stage
    """
    deployment = context.deployment
    wait = ("then", f"bedrock-spark {SUBMIT} {shlex.quote(context.config)}")
    commands = [upload_command(context), (PREPARE, start(PREPARE)), wait]
    if deployment.repeats:
        commands += [(COLLECT, start(COLLECT)), wait]
    again = "again" if deployment.repeats and deployment.last == COLLECT else deployment.last
    return [*commands, (again, start(deployment.last)), ("or all", start(RUN))]


def aws_command(context: Context, call: str, file: str) -> str:
    """Return the command of a call of AWS whose request is in a file.

    call: the service and the operation, such as `glue create-job`
    """
    request = shlex.quote(f"file://{context.folder}/{file}")
    return f"aws {call} --region {context.deployment.region} --cli-input-json {request}"


def start_job_run(context: Context, service: str) -> Callable[[str], str]:
    """Return a function that returns the command that starts the job of a stage."""
    return lambda stage: aws_command(context, f"{service} start-job-run", f"{stage}.json")


def logs_in_s3(deployment: Deployment) -> dict[str, Any]:
    """Return the overrides of a job of EMR Serverless or EMR on EKS that keep its logs in S3."""
    place = {"logUri": deployment.uri("logs/")}
    return {"monitoringConfiguration": {"s3MonitoringConfiguration": place}}


def upload_command(context: Context) -> tuple[str, str]:
    """Return the command that copies the files to S3."""
    return "upload", f"bash {shlex.quote(f'{context.folder}/upload.sh')}"


def secrets_note(deployment: Deployment, where: str) -> list[str]:
    """Return a note on variables that hold secrets, which are in no file."""
    names = deployment.environment_names
    if not names:
        return []
    return [f"set {', '.join(names)} in the environment of the driver ({where}): no file has it"]
