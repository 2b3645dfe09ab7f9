"""`bedrock-spark clean`: delete what finished runs no longer need."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import click

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.runs import find_runs
from bedrock_spark.cleaning import (
    KEPT,
    Deleted,
    check_cleanable,
    check_parts,
    clean,
    is_cleaned,
    measure,
)
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import BedrockSparkError, ExitCode, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import PARTS
from bedrock_spark.run_folder.run import Run, find_run
from bedrock_spark.s3_spelling import same_s3

_SECONDS = {"h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_VERSIONS = (
    "the bucket keeps versions: the deleted objects are billed until a lifecycle rule expires "
    "noncurrent versions"
)


def _seconds_of(_context: object, _option: object, age: str) -> float:
    """Return a time such as 30d in seconds: the callback of --older-than."""
    found = re.fullmatch(r"(\d+)([hdw])", age)
    if found is None:
        raise click.BadParameter(f"{age!r} is no age: a number with h, d or w, such as 30d")
    return int(found[1]) * _SECONDS[found[2]]


@dataclass(frozen=True)
class CleanedRun:
    """What was deleted of a run, or would be, by part."""

    run_uri: str
    deleted: list[Deleted]


@dataclass(frozen=True)
class RefusedRun:
    """A run that was left alone, and why."""

    run_uri: str
    why: str


@dataclass(frozen=True)
class Cleaning:
    """What `clean` deleted, or would delete.

    kept: the parts that stay; objects, bytes: of all runs
    old_versions_stay: whether the bucket keeps the deleted objects as old versions
    """

    dry_run: bool
    kept: list[str]
    runs: list[CleanedRun]
    refused: list[RefusedRun]
    objects: int
    bytes: int
    old_versions_stay: bool


@dataclass(frozen=True)
class _Settings:
    keep: tuple[str, ...]
    least_age: float
    is_dry: bool
    has_consent: bool
    aws: AwsSettings
    clock: Clock


@click.command(
    name="clean",
    epilog="Example: bedrock-spark clean s3://my-bucket/runs/ --older-than 30d --dry-run",
)
@with_output_options(json_type=Cleaning)
@click.option("--endpoint-url", help="The endpoint to use instead of AWS, such as a local Bedrock.")
@click.option("--region", help="The Region of the bucket, if the environment names none.")
@click.option(
    "--keep",
    default=",".join(KEPT),
    show_default=True,
    metavar="PARTS",
    help=f"What stays, separated by commas: {', '.join(PARTS)}.",
)
@click.option(
    "--older-than",
    "least_age",
    default="0h",
    callback=_seconds_of,
    metavar="AGE",
    help="Only runs whose last command ended that long ago, such as 12h, 30d or 4w.",
)
@click.option(
    "--dry-run", "is_dry", is_flag=True, help="Say what would be deleted; delete nothing."
)
@click.option("--yes", "has_consent", is_flag=True, help="Do not ask before anything is deleted.")
@click.argument("place", metavar="RUN_URI|PREFIX")
def clean_command(
    place: str,
    region: str | None,
    endpoint_url: str | None,
    keep: str,
    least_age: float,
    is_dry: bool,
    has_consent: bool,
    output: Output,
) -> None:
    """Delete what finished runs no longer need: requests, answers, jobs. Needs no Spark.

    RUN_URI is a run folder, PREFIX a folder that run folders are in. A run that is not done, or at
    work, is refused. Results and report stay; a cleaned run cannot go on.
    """

    def work(display: Display) -> int:
        aws, clock = AwsSettings(region, endpoint_url), SystemClock()
        parts = check_parts(filter(None, map(str.strip, keep.split(","))))
        settings = _Settings(parts, least_age, is_dry, has_consent, aws, clock)
        return _clean(place, settings, display)

    sys.exit(run_command(work, output))


def _clean(place: str, settings: _Settings, display: Display) -> int:
    uris = [found.run_uri for found in find_runs(place, settings.aws)]
    if not uris:
        raise RunFolderError(f"{place}: there is no run in or below this folder")
    is_one = len(uris) == 1 and uris[0].rstrip("/") == same_s3(place).rstrip("/")
    found, refused = _sorted_out(uris, settings, strictly=is_one)
    ready = [run for run in found if not is_cleaned(run, settings.keep)]
    for uri, why in refused.items():
        display.note(f"left alone: {why or uri}")
    if not settings.is_dry and ready and not settings.has_consent:
        _ask(ready, settings, display)
    done: list[CleanedRun] = []
    total: list[Deleted] = []
    for run in ready:
        if settings.is_dry:
            deleted = measure(run, settings.keep)
        else:
            try:
                deleted = clean(
                    run, settings.keep, settings.clock, settings.least_age, display.observe
                )
            except RunFolderError as exc:  # it has begun to go on since it was looked at
                if is_one:
                    raise
                refused[run.storage.uri] = str(exc)
                display.finish()
                display.note(f"left alone: {exc}")
                continue
        total += deleted
        done.append(CleanedRun(run.storage.uri, deleted))
        display.finish()
        for line in _lines(run, deleted):
            display.say(line)
    has_versions = _warn_of_versions(ready, display)
    cleaning = Cleaning(
        dry_run=settings.is_dry,
        kept=list(settings.keep),
        runs=done,
        refused=[RefusedRun(uri, why) for uri, why in refused.items()],
        objects=sum(each.objects for each in total),
        bytes=sum(each.bytes for each in total),
        old_versions_stay=has_versions,
    )
    display.show_json(asdict(cleaning))
    would = "would be deleted" if settings.is_dry else "deleted"
    clean_already = len(found) - len(ready)
    parts = [
        f"{_runs(len(done))}: {_amount(total)} {would}" if done or not clean_already else "",
        f"{_runs(clean_already)} cleaned already" if clean_already else "",
        f"{_runs(len(refused))} left alone" if refused else "",
    ]
    display.close("; ".join(filter(None, parts)))
    return ExitCode.DONE


def _sorted_out(
    uris: Sequence[str], settings: _Settings, *, strictly: bool
) -> tuple[list[Run], dict[str, str]]:
    """Return the runs that may be cleaned, and why others may not.

    strictly: the error of a run that may not is raised
    """
    ready: list[Run] = []
    refused: dict[str, str] = {}
    for uri in uris:
        try:
            run = find_run(uri, settings.aws.region, settings.aws.endpoint_url, needs=())
            check_cleanable(run, settings.keep, settings.clock.now(), settings.least_age)
            ready.append(run)
        except BedrockSparkError as exc:
            if strictly:
                raise
            refused[uri] = str(exc)
    return ready, refused


def _ask(ready: Sequence[Run], settings: _Settings, display: Display) -> None:
    """Ask a person at a terminal. Raises UsageError if there is none."""
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: --yes deletes, --dry-run only looks")
    amount: list[Deleted] = []
    for run in ready:
        found = measure(run, settings.keep)
        amount += found
        for line in _lines(run, found):
            display.note(line)
    display.finish()
    question = f"Delete {_amount(amount)} of {_runs(len(ready))}?"
    click.confirm(question, abort=True, err=True)


def _warn_of_versions(ready: Sequence[Run], display: Display) -> bool:
    """Say that deleted objects stay as old versions, if the bucket of a run keeps them."""
    has_versions = any(run.storage.keeps_versions(layout.RUN_FILE) for run in ready)
    if has_versions:
        display.show_warning(_VERSIONS)
    return has_versions


def _lines(run: Run, deleted: Sequence[Deleted]) -> Iterable[str]:
    yield f"{run.storage.uri}: {_amount(deleted)}"
    for each in deleted:
        yield f"  {each.part:12} {_amount([each])}"


def _amount(deleted: Iterable[Deleted]) -> str:
    found = list(deleted)
    objects = sum(each.objects for each in found)
    number = "1 object" if objects == 1 else f"{objects:,} objects"
    return f"{number}, {_bytes(sum(each.bytes for each in found))}"


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1_000
    return f"{size:,.1f} TB"


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"
