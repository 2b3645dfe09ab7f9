"""`bedrock-spark report`: a run as one HTML page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.chain import StageReport, StagesReport, StagesReportJson
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.run_argument import with_run_arguments
from bedrock_spark.cli.stages_table import stages_table
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.page import Sample, render, render_stages
from bedrock_spark.report.live import Look, look_at
from bedrock_spark.run_folder.report_shape import ReportJson
from bedrock_spark.run_folder.run import Run, find_run
from bedrock_spark.run_folder.stages_file import is_run, stages_below

_EVERY_SECONDS = 30


@click.command(epilog="Example: bedrock-spark report s3://my-bucket/runs/tickets --out a.html")
@with_output_options(json_type=ReportJson | StagesReportJson)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The file to write.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many records to show with their prompts and answers, of each outcome in turn.",
)
@click.option("--watch", is_flag=True, help="Write the page again and again while the run goes on.")
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=_EVERY_SECONDS,
    show_default=True,
    help="With --watch: after how many seconds.",
)
@with_run_arguments
def report(
    run_uri: str,
    region: str | None,
    endpoint_url: str | None,
    out: Path,
    samples: int,
    watch: bool,
    every: int,
    output: Output,
) -> None:
    """Write a run as one HTML page that needs nothing else. Needs no Spark.

    RUN_URI is the run_uri of the config. Every command that works on the run writes the same page
    as report.html into the run folder when it ends. This command reads the folder, and writes only
    the file. The folder of a config with stages gives one page of all of them.
    """

    def work(display: Display) -> int:
        settings = AwsSettings(region, endpoint_url)
        names = stages_below(run_uri, settings)
        if names is not None:
            if samples or watch:
                raise ConfigError(f"--samples and --watch are about one run: {run_uri}/{names[0]}")
            whole = _report_of_stages(run_uri, names, settings)
            _write_file(out, render_stages(whole.as_json()))
            display.show_table(stages_table(whole))
            display.show_json(whole.as_json())
            display.close(f"{out}: {len(names)} stages ({whole.state})")
            return ExitCode.DONE
        # The last report stays in a run that was cleaned; samples need what is deleted.
        run = find_run(run_uri, region, endpoint_url, needs=None if samples else ())
        look = _write(run, out, samples, SystemClock(), every if watch else None)
        while watch and look.goes_on:
            display.note(f"{out}: {look.report['ended_at']}")
            look = _wait_and_write(run, out, samples, SystemClock(), every)
        display.show_json(look.report)
        state = "goes on" if look.goes_on else look.report["state"]
        display.close(f"{out}: the run {run.run_id} ({state})")
        return ExitCode.DONE

    sys.exit(run_command(work, output))


def _wait_and_write(run: Run, out: Path, samples: int, clock: Clock, every: int) -> Look:
    clock.sleep(every)
    return _write(run, out, samples, clock, every)


def _write(run: Run, out: Path, samples: int, clock: Clock, every: int | None) -> Look:
    """Write the page. every: the seconds after which a browser reads it again, during the run."""
    look = look_at(run, clock)
    shown: list[Sample] = []
    if samples:
        from bedrock_spark.browse.samples import samples_of

        shown = samples_of(run, look.report, samples)
    _write_file(out, render(look.report, shown, every if look.goes_on else None))
    return look


def _report_of_stages(uri: str, names: Sequence[str], settings: AwsSettings) -> StagesReport:
    """Return the report of all stages below a folder, as they are now."""
    found = []
    for name in names:
        own = join_uri(uri.rstrip("/"), name)
        report = None
        if is_run(own, settings):
            run = find_run(own, settings.region, settings.endpoint_url, needs=())
            report = look_at(run, SystemClock()).report
        found.append(StageReport(name, report))
    return StagesReport(uri, found)


def _write_file(out: Path, page: str) -> None:
    part = out.with_name(f"{out.name}.part")  # a browser never reads half a page
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(out)
    except OSError as exc:
        raise ConfigError(f"--out {out}: cannot be written: {exc.strerror}") from exc
