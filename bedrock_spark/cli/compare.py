"""`bedrock-spark compare`: what differs between the rows of two runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len

from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.cli.interrupts import exit_code_of
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.stages import end_spark, mute_spark
from bedrock_spark.comparing.tables import (
    TextTable,
    closing_sentence,
    shown_answer,
    shown_value,
    tables_of,
)
from bedrock_spark.comparing.values import Comparison, Example, ShownRow
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.pairs.sides import OUTCOMES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CELL = 48


@click.command(
    epilog="Examples: bedrock-spark compare s3://my-bucket/runs/nova s3://my-bucket/runs/haiku "
    "--column label --samples 10; bedrock-spark compare s3://my-bucket/runs/nova --gold "
    "labels.csv --gold-column label"
)
@with_output_options(json_type=Comparison)
@click.option(
    "--key",
    "keys",
    multiple=True,
    help="A column that tells rows apart, in both runs, or NAME_IN_A=NAME_IN_B; once for each. "
    "By default source.key.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    help="A column to compare beside the text, or NAME_IN_A=NAME_IN_B; once for each. By default "
    "those of results.parse that both runs have.",
)
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice(OUTCOMES),
    help="Only rows that ended so in RUN_A; once for each.",
)
@click.option(
    "--where",
    metavar="SQL",
    help="Only rows of each run for which this is true, such as \"lang = 'de'\".",
)
@click.option(
    "--samples",
    type=click.IntRange(0, 1000),
    default=0,
    metavar="NUMBER",
    help="Show this number of rows that differ, with their answers.",
)
@click.option(
    "--gold",
    metavar="TABLE",
    help="True values: Parquet, CSV or JSON lines, a Delta Lake or Iceberg folder, or a table's "
    "name. RUN_B may be left out then.",
)
@click.option("--gold-column", help="Its column with the true values, or NAME=COLUMN_OF_THE_RUNS.")
@click.option(
    "--gold-key",
    "gold_keys",
    multiple=True,
    help="Its column for a column of the key, if the names differ; once for each, in that order.",
)
@click.option("--gold-format", help="Its format, if no file name tells it, such as delta.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the comparison as a page, too.",
)
@click.option(
    "--spark/--no-spark",
    "on_spark",
    default=None,
    help="Compare on Spark, or in memory. By default on Spark if the runs are large.",
)
@click.option("--endpoint-url", help="The endpoint to use instead of AWS, such as a local Bedrock.")
@click.option("--region", help="The Region, if the run folders have none.")
@click.argument("run_a")
@click.argument("run_b", required=False)
def compare(
    run_a: str,
    run_b: str | None,
    region: str | None,
    endpoint_url: str | None,
    on_spark: bool | None,
    page: Path | None,
    gold_format: str | None,
    gold_keys: tuple[str, ...],
    gold_column: str | None,
    gold: str | None,
    samples: int,
    where: str | None,
    outcomes: tuple[str, ...],
    columns: tuple[str, ...],
    keys: tuple[str, ...],
    output: Output,
) -> None:
    """Show what differs between the rows of two runs, or from true values. Pays nothing.

    RUN_A and RUN_B are the run_uri of two configs. Rows are paired by their key. Answers are shown
    only with --samples; labels that at least three rows have are named.
    """
    display = Display(output)
    output.begin_logging()

    def session(config: Config) -> SparkSession:
        from bedrock_spark.spark.session import spark_session

        return spark_session(config, display.note)

    def work() -> int:
        from bedrock_spark.comparing import compare as compare_runs

        if page is not None and not page.absolute().parent.is_dir():
            raise ConfigError(f"--html {page}: its folder does not exist; create it first")
        found = compare_runs(
            *(run_a, run_b, keys, columns),
            outcomes=outcomes,
            where=where,
            samples=samples,
            gold=gold,
            gold_column=gold_column,
            gold_key=gold_keys,
            gold_format=gold_format,
            spark=session,
            engine=None if on_spark is None else ("spark" if on_spark else "memory"),
            region=region,
            endpoint_url=endpoint_url,
        )
        _show(found, display)
        if page is not None:
            from bedrock_spark.comparing.page import page_html

            try:
                page.write_text(page_html(found), encoding="utf-8")
            except OSError as exc:
                raise ConfigError(f"--html {page}: cannot be written: {exc.strerror}") from exc
            display.say(f"page: {page}")
        display.show_json(asdict(found))
        display.close(closing_sentence(found))
        return ExitCode.DONE

    sys.exit(
        run_to_end(
            work,
            display,
            lambda interrupt: display.fail_with(exit_code_of(interrupt), "interrupted"),
            *(mute_spark, end_spark),
        )
    )


def _show(found: Comparison, display: Display) -> None:
    for table in tables_of(found):
        for line in lines_of(table):
            display.say(line)
        display.say("")
    for example in found.examples:
        for line in _example_lines(example):
            display.say(line)
        display.say("")
    for note in found.notes:
        display.say(f"note: {_cell(note)}")


def lines_of(table: TextTable) -> Iterator[str]:
    """Yield a table as lines: its title, its head and its rows, in columns."""
    rows = [tuple(_cell(cell) for cell in row) for row in (table.head, *table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    yield _cell(table.title)
    for row in rows:
        if any(row):
            yield "  ".join(("", *_aligned(row, widths, table.is_text))).rstrip()
    if table.note:
        yield f"  ({_cell(table.note)})"


def _aligned(row: Sequence[str], widths: Sequence[int], is_text: bool) -> Iterator[str]:
    for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
        space = " " * (width - cell_len(cell))
        yield f"{cell}{space}" if i == 0 or is_text else f"{space}{cell}"


def _cell(text: str, most: int | None = None) -> str:
    """Return a text on one line that changes nothing on a terminal."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if most is None or len(line) <= most else f"{line[: most - 1]}…"


def _example_lines(example: Example) -> Iterator[str]:
    yield ", ".join(f"{name} {_cell(shown_value(v), _CELL)}" for name, v in example.key.items())
    if example.b is None and example.a is not None:
        yield f"  true  {_cell(shown_value(example.truth), 3 * _CELL)}"
    for name, row in (("A", example.a), ("B", example.b)):
        if row is not None:
            yield f"  {name}  {_row(row)}"


def _row(row: ShownRow) -> str:
    values = [f"{name}: {_cell(shown_answer(row, name), 2 * _CELL)}" for name in row.values]
    error = [f"error: {_cell(row.error_message, 2 * _CELL)}"] if row.error_message else []
    return "; ".join([f"{row.outcome}", *values, *error])
