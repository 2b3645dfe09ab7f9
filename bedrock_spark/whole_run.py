"""The whole pipeline as one call, for notebooks and programs: by a config, or by a question."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bedrock_spark.chain import StageRuns, config_of_run, leave_to_others
from bedrock_spark.check import check_config
from bedrock_spark.check_stages import Stage, Stages, check_stages
from bedrock_spark.config import Config
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.config_file import open_config
from bedrock_spark.errors import ConfigError, RowsWarning
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.planning import Plan
from bedrock_spark.planning.agreement import agreement_on
from bedrock_spark.preview.options import MAX_COST, PreviewOptions
from bedrock_spark.preview.preview_run import preview_rows
from bedrock_spark.preview.rows import SparkRows
from bedrock_spark.preview.values import Preview
from bedrock_spark.preview.words import closing_sentence, estimate_line, summary_rows
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.report import Report
from bedrock_spark.report.shortfall import shortfall_of
from bedrock_spark.schema import parse_ddl
from bedrock_spark.screen import automatic_screen
from bedrock_spark.screen.progress_screen import is_notebook

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def run(
    spark: SparkSession,
    df: DataFrame | None,
    config: AnyConfig,
    observe: Observer | bool | None = True,
    plan: Plan | str | None = None,
) -> DataFrame:
    """Ask the model one question per row of `df`, or of the config's source if `df` is None.

    Returns one row per source row: the kept source columns, then record_id, outcome, text and the
    other result columns. Runs every stage that is not done yet, and waits for the batch jobs,
    usually for hours. Raises a BedrockSparkError. Then every answer that was paid for is kept, and
    the same call continues the run from there.

    observe: is called with the progress. True shows it, in a notebook on stdout, else on stderr;
        False or None shows nothing
    config: with stages, all of them are run, and the rows of the last one are returned; `df` is the
        source of the first. A file may name one of its stages: "contracts.yaml#extract"
    plan: what the run keeps to, or the file that `bedrock-spark plan --out` wrote. If it would do
        something else, it raises OtherPlanError before anything is submitted
    Warns (RowsWarning) if more rows were rejected or failed than the limits of the config allow.
    """
    with automatic_screen(observe is True) as screen:
        observer = observe if callable(observe) else screen or ignore_progress
        config, agreement = open_config(config), None if plan is None else agreement_on(plan)
        stages = check_stages(config) if agreement is None else None
        if stages is not None:
            pipeline, problem = _run_stages(spark, df, stages, observer)
        else:
            checked = config_of_run(config)
            pipeline = Pipeline.open(checked, observe=observer, agreement=agreement)
            leave_to_others(pipeline, config)
            problem = shortfall_of(pipeline.run_all(spark, df), pipeline.run.config)
    if problem is not None:
        warnings.warn(problem, RowsWarning, stacklevel=2)
    return pipeline.results(spark)


def _run_stages(
    spark: SparkSession, df: DataFrame | None, stages: Stages, observe: Observer
) -> tuple[Pipeline, str | None]:
    """Run all stages. Return the pipeline of the last one that began, and why no other one did."""
    runs = StageRuns(stages, lambda config: Pipeline.open(config, observe=observe))

    def work(stage: Stage, pipeline: Pipeline) -> Report:
        return pipeline.run_all(spark, df if stage.source is None else None)

    stop = runs.run(work)
    return list(runs.pipelines.values())[-1], None if stop is None else stop.text


_MAX_TOKENS = 500
# What a preview adds to the columns of a row, beside those of the answers.
_PREVIEWED = "outcome string, text string, error_message string"
_TOKENS = "input_tokens int, output_tokens int"


def ask(
    df: Any,
    prompt: str,
    *,
    model: str,
    role: str,
    run_uri: str,
    columns: str | None = None,
    key: str | Sequence[str] = (),
    max_cost: float | None = None,
    max_tokens: int = _MAX_TOKENS,
    region: str | None = None,
    preview: int | None = None,
    config: Mapping[str, Any] | None = None,
    observe: Observer | bool | None = True,
    plan: Plan | str | None = None,
) -> DataFrame:
    """Ask a model one question per row of a DataFrame; return the rows with their answers.

    answers = bedrock_spark.ask(
        tickets, "Classify {{ body }}", model="amazon.nova-lite-v1:0", columns="label string",
        role="arn:aws:iam::123456789012:role/BedrockBatch", run_uri="s3://bucket/runs/labels",
    )

    The same call again continues the run at `run_uri`, or returns its answers.

    df: of Spark, pandas or Arrow
    columns: of the answers, as Spark DDL; without it, the answer is the column `text`
    key: columns that are unique together
    max_cost: dollars; the run ends before it costs more. A preview costs at most this, or $1,
        beside the run
    preview: ask this number of rows only, one by one, and return them; nothing is written
    config: further sections of a config, such as {"results": {"prefix": "llm_"}}
    observe, plan: as of `run`; the plan is one of the config that `ask_config` returns

    Rows that batch jobs leave, and tables of fewer than 100 rows, are asked one by one.
    Raises a BedrockSparkError; warns (RowsWarning) as `run` does.
    """
    checked = ask_config(
        prompt,
        model=model,
        role=role,
        run_uri=run_uri,
        columns=columns,
        key=key,
        max_cost=max_cost,
        max_tokens=max_tokens,
        region=region,
        config=config,
    )
    if preview is not None and plan is not None:
        raise ConfigError("plan: is of a whole run; leave out preview, or the plan")
    if preview is not None and preview < 1:
        raise ConfigError(f"preview = {preview}: must be at least 1")
    spark, frame = _spark_frame(df, checked)
    if preview is None:
        return run(spark, frame, checked, observe, plan)
    limit = checked.budget.max_cost_usd
    options = PreviewOptions(rows=preview, max_cost=MAX_COST if limit is None else limit)
    return _previewed(spark, frame, checked, options, is_shown=observe is True)


def ask_config(
    prompt: str,
    *,
    model: str,
    role: str,
    run_uri: str,
    columns: str | None = None,
    key: str | Sequence[str] = (),
    max_cost: float | None = None,
    max_tokens: int = _MAX_TOKENS,
    region: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> Config:
    """Return the config that `ask` runs with the same arguments, such as to plan it.

    plan = bedrock_spark.plan(spark, tickets, bedrock_spark.ask_config("Classify {{ body }}", …))

    Raises ConfigError that names every problem.
    """
    values: dict[str, Any] = {
        "run_uri": run_uri,
        "source": {"key": [key] if isinstance(key, str) else list(key)},
        "model": {"id": model},
        "request": {"prompt": prompt, "max_tokens": max_tokens},
        "batch": {"role_arn": role, **({"region": region} if region is not None else {})},
        "fallback": {"model_id": model},
        "budget": {"max_cost_usd": max_cost} if max_cost is not None else {},
        "results": {"parse": {"columns": columns}} if columns is not None else {},
    }
    for name, section in (config or {}).items():
        own = values.get(name)
        is_merged = isinstance(own, dict) and isinstance(section, Mapping)
        values[name] = {**own, **section} if is_merged and own is not None else section
    return check_config({name: section for name, section in values.items() if section != {}})


def _spark_frame(df: Any, config: Config) -> tuple[SparkSession, DataFrame]:
    """Return a DataFrame of Spark, and its session; one is started for pandas and Arrow."""
    if hasattr(df, "sparkSession"):
        return df.sparkSession, df
    from bedrock_spark.spark.session import spark_session

    spark = spark_session(config)
    # An Arrow table: Spark 3.5 takes pandas only.
    return spark, spark.createDataFrame(df.to_pandas() if hasattr(df, "to_pandas") else df)


def _previewed(
    spark: SparkSession,
    frame: DataFrame,
    config: Config,
    options: PreviewOptions,
    *,
    is_shown: bool,
) -> DataFrame:
    """Return the first rows with their answers; show them in a notebook, else what they cost."""
    model_id = config.canary.model_id or config.model.id

    def say(*texts: str) -> None:
        if is_shown:
            for text in texts:
                print(text, file=sys.stdout if is_notebook() else sys.stderr)

    found, rows = preview_rows(
        *(spark, frame, config, options),
        names=("ask",),
        on_estimate=lambda estimates, _: say(estimate_line(estimates[0], model_id)),
    )
    if is_shown and is_notebook():
        _show_in_notebook(found)
    else:
        say(*(f"{name}: {value}" for name, value in summary_rows(found)), closing_sentence(found))
    parse = config.results.parse
    names = [field.name for field in parse_ddl(parse.columns)] if parse is not None else []
    parsed = [parse.columns] if parse is not None else []
    values = [
        (
            *(row.outcome, row.text, row.reason),
            *((row.columns or {}).get(name) for name in names),
            *(row.input_tokens, row.output_tokens),
        )
        for row in found.previews[0].rows
    ]
    ddl = ", ".join([_PREVIEWED, *parsed, _TOKENS])
    assert isinstance(rows, SparkRows)  # they are those of a DataFrame
    return rows.first.with_columns(ddl, values, config.results.prefix)


def _show_in_notebook(found: Preview) -> None:
    display: Any = sys.modules["IPython"].display
    display.display(found)
