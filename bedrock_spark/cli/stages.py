"""One function per stage, for the command line and for spark-submit.

Each returns an exit code: docs/troubleshooting.md has the table.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bedrock_spark.chain import StageRuns, config_of_run, leave_to_others
from bedrock_spark.check_stages import Stage, Stages, check_stages
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.cli.interrupts import describe_interrupt, exit_code_of
from bedrock_spark.cli.job_arguments import read_arguments
from bedrock_spark.cli.output import Output
from bedrock_spark.cli.stages_table import stages_table
from bedrock_spark.config import Config
from bedrock_spark.config_file import open_config
from bedrock_spark.errors import ExitCode
from bedrock_spark.families.asked_shape import asked_shape
from bedrock_spark.fanout import StepResult
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.planning.agreement import agreement_on
from bedrock_spark.report import Report, check_complete
from bedrock_spark.report.shortfall import shortfall_of
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder.lease_wait import DEFAULT_SECONDS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Prepared:
    """What `prepare` made.

    rejected: rows that could not become records; kept: rows whose answers were kept by other runs
    """

    run_id: str
    run_uri: str
    rows: int
    records: int
    rejected: int
    shards: int
    kept: int


# Imported only by the stages that run on Spark: the others work without it.
_SESSION = "bedrock_spark.spark.session"


def run(pipeline: Pipeline, display: Display) -> int:
    """Run every stage that is not done yet."""
    _note_shape(pipeline, display)
    pipeline.check_models()  # before Spark starts, which takes much longer
    spark = _spark_session(pipeline, display)
    return _end(pipeline, display, pipeline.run_all(spark))


def run_stages(found: Stages, display: Display, open_run: Callable[[Config], Pipeline]) -> int:
    """Run every stage of a config that is not done yet, one after the other."""
    runs = StageRuns(found, open_run)
    configs = [stage.config for stage in found.stages]

    def work(stage: Stage, pipeline: Pipeline) -> Report:
        display.note(f"stage     {stage.name}, {len(runs.pipelines)} of {len(configs)}")
        _note_shape(pipeline, display)
        pipeline.check_models()
        report = pipeline.run_all(_spark_session(pipeline, display, configs))
        display.finish()
        display.show_report(report, f"stage {stage.name}")
        return report

    stop = runs.run(work)
    whole = runs.report()
    display.finish()
    display.say("")
    display.show_table(stages_table(whole))
    if stop is not None:
        code = ExitCode.MORE_TO_DO if stop.problem is None else ExitCode.ROWS
        return display.fail_with(code, stop.text, whole.as_json())
    display.show_json(whole.as_json())
    display.close(f"done: all {len(configs)} stages; their report is in {found.run_uri}")
    return ExitCode.DONE


def prepare(pipeline: Pipeline, display: Display) -> int:
    """Cut the source table into shards."""
    _note_shape(pipeline, display)
    pipeline.check_models()
    manifest = pipeline.prepare(_spark_session(pipeline, display))
    display.finish()
    values = asdict(
        Prepared(
            manifest.run_id,
            pipeline.run.storage.uri,
            *(manifest.rows, manifest.records, manifest.rejected, len(manifest.shards)),
            manifest.kept_rows,
        )
    )
    if manifest.rows and manifest.rejected == manifest.rows:
        message = f"all {manifest.rows:,} rows were rejected; collect shows why"
        return display.fail_with(ExitCode.ROWS, message, values)
    display.show_json(values)
    display.close(
        f"{manifest.rows:,} rows: {manifest.records:,} records in {len(manifest.shards):,} shards, "
        f"{manifest.rejected:,} rejected"
        + (f", {manifest.kept_rows:,} with kept answers" if manifest.kept else "")
    )
    return ExitCode.DONE


def _note_shape(pipeline: Pipeline, display: Display) -> None:
    """Say whether the model is asked for the shape of answers that the config describes."""
    line = asked_shape(pipeline.run.config).line
    if line:
        display.note(f"answers   {line}")


def submit(pipeline: Pipeline, display: Display) -> int:
    """Submit and watch batch jobs until every shard is settled. Needs no Spark."""
    result = pipeline.watch()
    display.finish()
    if result is None:
        display.show_json(asdict(StepResult(0, 0, 0, 0, 0, 0)))
        display.close("no shard is large enough for a batch job; the fallback asks their records")
    else:
        display.show_json(asdict(result))
        display.close(f"{result.settled:,} of {result.shards:,} shards are done")
    return ExitCode.DONE


def advance(pipeline: Pipeline, display: Display) -> int:
    """Check the batch jobs once and submit new ones; exit 10 if more is to do. Needs no Spark."""
    result = pipeline.advance()
    display.finish()
    display.show_json(asdict(result))
    display.close(
        f"{result.settled:,} of {result.shards:,} shards are done, {result.active:,} jobs are "
        f"active, {result.waiting:,} shards are waiting"
    )
    return ExitCode.DONE if result.is_done else ExitCode.MORE_TO_DO


def collect(pipeline: Pipeline, display: Display, partial: bool | str = False) -> int:
    """Join the answers to the rows, and write the results and the report."""
    spark = _spark_session(pipeline, display)
    report = pipeline.finish(spark, pipeline.collect(spark), partial)
    return _end(pipeline, display, report, partial)


def fallback(pipeline: Pipeline, display: Display, partial: bool | str = False) -> int:
    """Ask the unanswered records online, collect again, and write the results and the report."""
    spark = _spark_session(pipeline, display)
    reconciled = pipeline.fall_back(spark, pipeline.collect(spark))
    report = pipeline.finish(spark, reconciled, partial)
    return _end(pipeline, display, report, partial)


def _end(pipeline: Pipeline, display: Display, report: Report, partial: bool | str = False) -> int:
    """Show the numbers of a run and how it ended; return the exit code.

    partial: whether results that are not final were asked for
    """
    display.finish()
    display.show_report(report)
    check_complete(report)
    is_done = report.state == DONE
    problem = shortfall_of(report, pipeline.run.config) if is_done else None
    if problem is not None:
        return display.fail_with(ExitCode.ROWS, problem, report.as_json())
    display.show_json(report.as_json())
    display.close_report(report)
    return ExitCode.DONE if is_done or partial else ExitCode.MORE_TO_DO


def _spark_session(
    pipeline: Pipeline, display: Display, others: Sequence[Config] = ()
) -> SparkSession:
    """Import Spark only for the stages that run on it: the others work without it.

    others: configs that the session is for, too
    """
    from bedrock_spark.spark.session import spark_session

    return spark_session(pipeline.run.config, display.note, others)


def end_spark() -> None:
    """End Spark's Java process, if a stage started one."""
    if _SESSION in sys.modules:
        sys.modules[_SESSION].end_session()


def mute_spark() -> None:
    """Show nothing more of what Java prints."""
    if _SESSION in sys.modules:
        sys.modules[_SESSION].mute_session()


Work = Callable[[Pipeline, Display], int]
WorkOnStages = Callable[[Stages, Display, Callable[[Config], Pipeline]], int]


def perform(
    stage: Work,
    config_path: str,
    overrides: Sequence[str] = (),
    output: Output | None = None,
    lease_wait: float = DEFAULT_SECONDS,
    plan: str | None = None,
    on_stages: WorkOnStages | None = None,
) -> int:
    """Load the config, open the run, run the stage, and return the exit code.

    lease_wait: see `Pipeline`; plan: the file of a plan that the run keeps to
    on_stages: works on a config with stages; None if one of them must be named
    A BedrockSparkError is printed as a message without a traceback. In YARN's cluster mode it is
    told to YARN, too.
    """
    display = Display(output)
    display.output.begin_logging()
    code = _perform(stage, config_path, overrides, display, lease_wait, plan, on_stages)
    if display.failure is not None and "PYSPARK_GATEWAY_PORT" in os.environ:
        from bedrock_spark.spark.yarn import tell_yarn

        tell_yarn(display.failure, code)
    return code


def _perform(
    stage: Work,
    config_path: str,
    overrides: Sequence[str],
    display: Display,
    lease_wait: float,
    plan: str | None,
    on_stages: WorkOnStages | None,
) -> int:
    opened: list[Pipeline] = []

    def opened_run(config: Config) -> Pipeline:
        agreement = None if plan is None else agreement_on(plan)
        words = [config_path, *(w for override in overrides for w in ("--set", override))]
        pipeline = Pipeline.open(
            config,
            observe=display.observe,
            command_config=shlex.join(words),
            lease_wait=lease_wait,
            agreement=agreement,
        )
        opened.append(pipeline)
        display.name_run(config.run_uri)
        return pipeline

    def work() -> int:
        config = open_config(config_path)
        found = None if on_stages is None or plan else check_stages(config, overrides)
        if found is not None and on_stages is not None:
            return on_stages(found, display, opened_run)
        pipeline = opened_run(config_of_run(config, overrides))
        leave_to_others(pipeline, config, overrides)
        return stage(pipeline, display)

    def end_interrupted(interrupt: KeyboardInterrupt) -> int:
        run = opened[-1].run if opened else None
        return display.end_interrupted(exit_code_of(interrupt), describe_interrupt(run))

    return run_to_end(work, display, end_interrupted, mute_spark, end_spark)


def run_program(stage: Work, description: str | None) -> None:
    """Run a stage as a program of spark-submit, and exit with its code if that is not 0.

    AWS Glue and Databricks take any SystemExit for a failure, also one with the code 0.
    """
    code = perform_from_arguments(stage, description)
    if code:
        sys.exit(code)


def perform_from_arguments(stage: Work, description: str | None) -> int:
    """Call `perform` with the arguments that spark-submit or AWS Glue passes to the program."""
    arguments = read_arguments(sys.argv[1:], description)
    if arguments.ignored:
        # On the standard error, as progress: the log of a job.
        names = ", ".join(arguments.ignored)
        Display(arguments.output).note(f"arguments of AWS Glue, which are not used: {names}")
    if arguments.plan is not None and stage not in (run, prepare):
        message = "--plan is of the programs run and prepare: the others ask what is prepared"
        return Display(arguments.output).fail_with(ExitCode.USAGE, message)
    return perform(
        *(stage, arguments.config, arguments.overrides, arguments.output),
        lease_wait=arguments.lease_wait,
        plan=arguments.plan,
        on_stages=run_stages if stage is run else None,
    )
