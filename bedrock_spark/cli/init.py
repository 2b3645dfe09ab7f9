"""`bedrock-spark init`: a config for a source, its policies and the command lines."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedrock_spark.aws.account import account_id
from bedrock_spark.aws.clients import AwsSettings, region_here
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.cli.interrupts import exit_code_of
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.stages import end_spark, mute_spark
from bedrock_spark.config import SourceConfig, parse_config
from bedrock_spark.deploy import TARGETS
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.starter.examples import EXAMPLES
from bedrock_spark.starter.files import write_new
from bedrock_spark.starter.make import (
    DEFAULT_MODEL,
    Made,
    Place,
    Wish,
    make,
    make_example,
    name_of_source,
    source_section,
)
from bedrock_spark.starter.source_sample import SourceSample, check_key, sample_source
from bedrock_spark.starter.tasks import TASKS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ROLE, _ACCOUNT, _REGION = "BedrockBatch", "123456789012", "us-east-1"
_RUNS = "s3://my-bucket/runs"
_BUCKET = re.compile(r"s3a?n?:/*[^/]*/*")
# Names of files that a shell takes as they are.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# What `deploy` writes for a config, as NAME.md shows it.
_DEPLOYED = {"emr-serverless": "On EMR Serverless", "emr": "On EMR on EC2", "airflow": "By Airflow"}


@dataclass(frozen=True)
class Initialized:
    """What `init` has written. next: the command to type next; notes: what must be replaced."""

    files: list[str]
    next: str
    notes: list[str]


@click.command(
    epilog="Examples: bedrock-spark init --example classify demo; bedrock-spark init --source "
    "tickets.csv --task classify --run-folder s3://my-bucket/runs/tickets",
)
@with_output_options(json_type=Initialized)
@click.argument("folder", type=click.Path(file_okay=False), default=".")
@click.option("--source", metavar="PLACE", help="A path, the name of a table, or a query.")
@click.option("--format", "table_format", help="The format of the path, if its end tells none.")
@click.option("--key", metavar="COLUMNS", help="Columns that are unique together: id, or a,b.")
@click.option("--task", type=click.Choice(tuple(TASKS)), help="What to do with each row, or …")
@click.option("--prompt", metavar="TEXT", help="… your own prompt; {{ body }} is a column.")
@click.option("--columns", metavar="DDL", help="Columns to read answers into: 'label string'.")
@click.option("--model", metavar="ID", help="The model. [default: the task's]")
@click.option("--run-folder", metavar="URI", help="A new folder in S3, which becomes `run_uri`.")
@click.option("--role", metavar="ARN", help=f"The role of the jobs. [default: {_ROLE}]")
@click.option("--region", help="The Region of the jobs. [default: that of the environment]")
@click.option("--results", metavar="PATH", help="The place of the results.")
@click.option("--name", help="The name of the files. [default: the source's]")
@click.option("--example", type=click.Choice(tuple(EXAMPLES)), help="Write a whole example.")
def init(output: Output, **given: Any) -> None:
    """Write a config that runs as it is, its IAM policies, and the command lines. Pays nothing.

    FOLDER gets the files; no file is ever replaced. The first rows of the source are read to
    propose a key and a column. On a terminal, what is not given is asked for.
    """
    display = Display(output)
    output.begin_logging()

    def end_interrupted(interrupt: KeyboardInterrupt) -> int:
        return display.end_interrupted(exit_code_of(interrupt), "interrupted: nothing was written")

    def work() -> int:
        try:
            return _init(_Given(**given), display)
        except click.Abort:  # Ctrl-C or the end of the input at a question
            raise KeyboardInterrupt from None

    sys.exit(run_to_end(work, display, end_interrupted, mute_spark, end_spark))


@dataclass(frozen=True)
class _Given:
    """The parsed command line."""

    folder: str
    source: str | None
    table_format: str | None
    key: str | None
    task: str | None
    prompt: str | None
    columns: str | None
    model: str | None
    run_folder: str | None
    role: str | None
    region: str | None
    results: str | None
    name: str | None
    example: str | None


# Options that an example does not take: it has a source, a key, a question and a name.
_OF_OWN_TABLES = ("source", "format", "key", "task", "prompt", "name")


def _init(given: _Given, display: Display) -> int:
    if given.example is not None:
        for option in _OF_OWN_TABLES:
            if getattr(given, option.replace("format", "table_format")) is not None:
                raise click.UsageError(f"--{option} does not go with --example")
        name, made, place = _example(given)
    else:
        name, made, place = _own(given, display)
    paths = write_new(Path(given.folder), made.files)
    goes_to = "" if given.folder == "." else f"cd {shlex.quote(given.folder)} && "
    done = Initialized(
        files=[str(path) for path in paths],
        next=f"{goes_to}bedrock-spark check {name}.yaml",
        notes=list(place.notes),
    )
    display.show_table([("wrote", path) for path in done.files])
    display.show_table([("note", note) for note in done.notes])
    display.show_table([("next", done.next), ("", f"then the lines of {name}.md")])
    display.show_json(asdict(done))
    display.close(f"{given.folder}: {len(paths)} files; nothing was paid")
    return ExitCode.DONE


def _example(given: _Given) -> tuple[str, Made, Place]:
    example = EXAMPLES[str(given.example)]
    place = _place(given, given.run_folder or f"{_RUNS}/{example.name}")
    if given.run_folder is None:
        note = f"run_uri: {_RUNS} is a guess; name a bucket of your own"
        place = replace(place, notes=[note, *place.notes])
    wish = Wish(task=example.task, model_id=given.model, columns=given.columns)
    return example.name, make_example(example, wish, place, _deploy(example.name)), place


def _own(given: _Given, display: Display) -> tuple[str, Made, Place]:
    asks = is_terminal() and not display.output.as_json and not display.output.is_quiet
    if not asks:
        _refuse_missing(given)
    if given.name is not None and not _NAME.fullmatch(given.name):
        raise click.UsageError(f"--name {given.name!r}: only letters, digits and -_. are allowed")
    text = given.source or _ask("Source: a path, the name of a table, or a query")
    section = source_section(text, given.table_format)
    if given.run_folder is not None:
        _refuse_bucket(given.run_folder)
    source = _source(section, given.run_folder or _RUNS)
    aws = AwsSettings(given.region or region_here())
    sample = sample_source(source, lambda: _session(source, display), aws)
    options = sample.csv_options() if source.format == "csv" else {}
    if options:
        section = {**section, "options": {**section.get("options", {}), **options}}
    name = given.name or name_of_source(section)
    if asks:
        display.say(f"          it has {', '.join(sample.names)}")
    key = _key(given, sample, asks=asks)
    wish = _wish(given, asks=asks)
    run_folder = given.run_folder or _ask("Run folder, a new one in S3", f"{_RUNS}/{name}")
    place = _place(given, run_folder)
    path = section.get("path", "://")
    if "://" not in path and not Path(path).is_absolute():
        section = {**section, "path": os.path.relpath(path, given.folder)}
    made = make(name, section, key, wish, place, sample, _deploy(name))
    return name, made, place


def _refuse_missing(given: _Given) -> None:
    """Raise ConfigError that names everything that is missing, and cannot be asked for."""
    missing = [] if given.source else ["--source"]
    missing += [] if given.task or given.prompt else ["--task or --prompt"]
    missing += [] if given.run_folder else ["--run-folder"]
    if missing:
        raise ConfigError(
            f"init: give {', '.join(missing)}; on a terminal, init asks. Or begin with an example: "
            f"--example {next(iter(EXAMPLES))}"
        )


def _source(section: Mapping[str, Any], run_folder: str) -> SourceConfig:
    """Return the section as a config has it. Raises ConfigError for what no config takes.

    run_folder: is checked, too, because it takes a minute to read a source by Spark
    """
    values = {
        "run_uri": run_folder,
        "source": dict(section),
        "model": DEFAULT_MODEL,
        "request": "{{ a }}",
        "batch": {"role_arn": _role_arn(_ACCOUNT)},
    }
    return parse_config(values, "init").source


def _session(source: SourceConfig, display: Display) -> SparkSession:
    from bedrock_spark.spark.session import spark_session

    values = {"run_uri": _RUNS, "source": source, "model": DEFAULT_MODEL, "request": "{{ a }}"}
    config = parse_config({**values, "batch": {"role_arn": _role_arn(_ACCOUNT)}})
    return spark_session(config, display.note)


def _key(given: _Given, sample: SourceSample, *, asks: bool) -> tuple[str, ...] | None:
    text = given.key
    if text is None and asks:
        proposed = ",".join(sample.proposed_key())
        text = _ask("Key: columns that are unique together", proposed or "none")
    if text is None:
        return None
    key = tuple(part.strip() for part in text.split(",") if part.strip())
    if key == ("none",) and "none" not in sample.names:
        return ()
    check_key(sample, key)
    return key


def _wish(given: _Given, *, asks: bool) -> Wish:
    task, prompt, model = given.task, given.prompt, given.model
    if task is not None and prompt is not None:
        raise click.UsageError("--task and --prompt are two questions; give one of them")
    if task is None and prompt is None:
        prompt = _ask(f"What to ask: {', '.join(TASKS)}, or a prompt of your own", "classify")
    if prompt in TASKS:
        task, prompt = prompt, None
    default = TASKS[task].model_id if task is not None else DEFAULT_MODEL
    if model is None and asks:
        model = _ask("Model", default)
    return Wish(TASKS[task] if task is not None else None, prompt, model, given.columns)


def _place(given: _Given, run_folder: str) -> Place:
    """Return the place of a run; what neither options nor credentials say is a guess."""
    _refuse_bucket(run_folder)
    notes = []
    region = given.region or region_here()
    if region is None:
        region = _REGION
        notes.append(f"batch.region: {_REGION} is a guess; no Region is configured here")
    role = given.role
    if role is None:
        account = account_id(AwsSettings(region), is_needed=False)  # a note says it
        role = _role_arn(account or _ACCOUNT)
        if account is None:
            notes.append(f"batch.role_arn: the account {_ACCOUNT} is a guess; write your own")
    return Place(run_folder.rstrip("/"), role, region, given.results, notes)


def _refuse_bucket(run_folder: str) -> None:
    """Raise UsageError if a run folder is a whole bucket.

    Config and results are put beside the run folder, and beside a bucket are other buckets.
    """
    if _BUCKET.fullmatch(run_folder):
        raise click.UsageError(f"--run-folder {run_folder}: name a folder in it, such as runs/one")


def _role_arn(account: str) -> str:
    return f"arn:aws:iam::{account}:role/{_ROLE}"


def _deploy(name: str) -> dict[str, str]:
    """Return the command line of each target that NAME.md shows."""
    lines = {}
    for target in TARGETS:
        if target.name in _DEPLOYED:
            options = [f"--{o.name} {o.example}" for o in target.options if o.is_required]
            call = f"bedrock-spark deploy {target.name} --config {name}.yaml"
            lines[_DEPLOYED[target.name]] = " ".join([call, *options])
    return lines


def is_terminal() -> bool:
    """Tell whether a person can be asked."""
    return sys.stdin.isatty()


def _ask(question: str, default: str | None = None) -> str:
    answer: str = click.prompt(question, default=default, err=True)
    return answer
