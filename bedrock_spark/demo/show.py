"""Run the demo: the ordinary pipeline over a real corpus, against a local Bedrock with faults.

The pipeline does not know that it is a demo: the config is a file that a user could have written,
and the local Bedrock is reached through the standard variable AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bedrock_emulator import LocalBedrock
from bedrock_spark.aws.s3_uri import parse_s3_uri
from bedrock_spark.config import Config
from bedrock_spark.config_file import load_config
from bedrock_spark.demo.corpus import write_corpus
from bedrock_spark.errors import BedrockSparkError, ExitCode
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.progress import Progress
from bedrock_spark.report import Report
from bedrock_spark.run_folder import layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row


# Emulated seconds per second: a batch job of 12 minutes takes one or two seconds.
_SPEED = 500.0
# Names whose answers are shown, because everybody knows them.
_SHOWN = ("math.sqrt", "os.listdir", "socket.create_connection", "textwrap.dedent")
_SUMMARY_WIDTH = 58


class Screen(Protocol):
    """The output of the demo. The command line's `Display` implements it."""

    def observe(self, progress: Progress) -> None: ...

    def finish(self) -> None: ...

    def say(self, text: str) -> None: ...

    def fail(self, exc: BedrockSparkError) -> int: ...

    def show_report(self, report: Report) -> None: ...

    def close_report(self, report: Report) -> None: ...


def show_demo(
    folder: str, screen: Screen, look: Callable[[str], None] = lambda run_uri: None
) -> int:
    """Run the demo in a folder; return the exit code: 0 only if every row is accounted for.

    look: is called with the run at the end, while the local Bedrock still serves its run folder
    """
    home = Path(folder)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    try:
        return _demo(home, screen, look)
    except BedrockSparkError as exc:
        return screen.fail(exc)
    except KeyboardInterrupt:
        screen.finish()
        screen.say("interrupted; the jobs of the demo end with its local Bedrock")
        return ExitCode.INTERRUPTED


def _demo(home: Path, screen: Screen, look: Callable[[str], None]) -> int:
    corpus = home / "corpus.parquet"
    rows = write_corpus(corpus)
    screen.say(f"corpus    {rows:,} documented names of Python's standard library in {corpus}")
    with LocalBedrock(faults=_conf("demo-faults.yaml"), speed=_SPEED) as local:
        screen.say(f"bedrock   {local.endpoint_url}, local, {_SPEED:.0f} times as fast")
        os.environ.update(local.environment())
        config = _config(home, local)
        from bedrock_spark.spark.session import end_session, spark_session

        spark = spark_session(config, screen.say)
        try:
            pipeline = Pipeline.open(config, observe=screen.observe)
            report = pipeline.run_all(spark)
            screen.finish()
            examples = _examples(pipeline.results(spark))
            for name in (layout.REPORT_FILE, layout.REPORT_PAGE):
                (home / name).write_bytes(pipeline.run.storage.read(name))
        finally:
            end_session()
        _show(screen, report, examples, home)
        look(config.run_uri)
    return ExitCode.DONE if report.is_complete else ExitCode.FAILED


def _conf(name: str) -> Path:
    """Return a file of conf/: in a wheel it is beside this module, else in the checkout."""
    packaged = Path(__file__).with_name("conf") / name
    return packaged if packaged.exists() else Path(__file__).parents[2] / "conf" / name


def _config(home: Path, local: LocalBedrock) -> Config:
    """Return the config of the demo, and create the AWS resources that it names.

    These are the bucket and the provisioned throughput, which a real account already has.
    """
    config = load_config(_conf("demo.yaml"))
    local.client("s3").create_bucket(Bucket=parse_s3_uri(config.run_uri).bucket)
    arn = local.client("bedrock").create_provisioned_model_throughput(
        modelUnits=1, provisionedModelName="demo", modelId=config.model.id
    )["provisionedModelArn"]
    overrides = [
        f"source.path={home / 'corpus.parquet'}",
        f"results.path={home / 'results'}",
        f"fallback.model_id={arn}",
    ]
    return load_config(_conf("demo.yaml"), overrides)


def _examples(results: DataFrame) -> list[Row]:
    """Return a few answered rows: their names, and the columns that were read from the answers."""
    names = ", ".join(f"'{name}'" for name in _SHOWN)
    return (
        results.where(f"outcome = 'ok' AND qualified_name IN ({names})")
        .select("qualified_name", "topic", "difficulty", "summary")
        .orderBy("qualified_name")
        .collect()
    )


def _table(rows: list[tuple[str, str, int, str]]) -> list[str]:
    """Return the lines of a table of rows: name, topic, difficulty, summary."""
    lines = [("name", "topic", "difficulty", "summary")]
    lines += [(name, topic, str(n), _shortened(summary)) for name, topic, n, summary in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    widths.append(0)
    padded = ([cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in lines)
    return ["  ".join(cells) for cells in padded]


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SUMMARY_WIDTH else f"{text[: _SUMMARY_WIDTH - 1]}…"


def _show(screen: Screen, report: Report, examples: list[Row], home: Path) -> None:
    screen.show_report(report)
    screen.say("")
    screen.say("Each answer is JSON, which was read as typed columns (results.parse). The local")
    screen.say("Bedrock makes answers up from the words of the row; on AWS, a model writes them:")
    screen.say("")
    for line in _table([tuple(row) for row in examples]):
        screen.say(line)
    screen.say("")
    screen.say(f"report    {home / layout.REPORT_FILE}, and as a page {home / layout.REPORT_PAGE}")
    screen.close_report(report)
