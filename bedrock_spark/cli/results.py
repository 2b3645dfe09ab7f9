"""`bedrock-spark results`: the collected rows of a run, without Spark."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from bedrock_spark.browse import open_results
from bedrock_spark.browse.plain_json import as_json
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.run_argument import with_run_arguments
from bedrock_spark.errors import BedrockSparkError, ExitCode

if TYPE_CHECKING:
    import pyarrow as pa

_TABLE, _FORMS = "table", ("csv", "jsonl", "parquet")
_ROWS_IN_TABLE = 20
_SHOWN_COLUMNS = ("record_id", "outcome", "text", "error_message", "stop_reason", "output_tokens")
_CELL = 60


@click.command(
    epilog="Example: bedrock-spark results s3://my-bucket/runs/tickets --format csv --out a.csv"
)
@with_output_options(as_json=False)
@click.option(
    "--format",
    "form",
    type=click.Choice((_TABLE, *_FORMS)),
    default=_TABLE,
    show_default=True,
    help=f"table: the first {_ROWS_IN_TABLE} rows, for a person.",
)
@click.option("--column", "columns", multiple=True, help="A column to show; once for each.")
@click.option("--outcome", "outcomes", multiple=True, help="Only rows that ended so, such as ok.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; stdout without it.",
)
@with_run_arguments
def results(
    run_uri: str,
    region: str | None,
    endpoint_url: str | None,
    form: str,
    columns: tuple[str, ...],
    outcomes: tuple[str, ...],
    limit: int | None,
    out: Path | None,
    output: Output,
) -> None:
    """Show or save the collected rows of a run. Needs no Spark.

    RUN_URI is the run_uri of the config. The rows are those of the last collect: the kept columns
    of the source and the result columns. One shard at a time is in memory.
    """
    from bedrock_spark.browse.writers import WRITERS, limited

    display = Display(output)
    output.begin_logging()
    try:
        reader = open_results(
            run_uri, columns or None, outcomes or None, region=region, endpoint_url=endpoint_url
        )
        if form == _TABLE:
            chosen = None if columns else _SHOWN_COLUMNS
            rows = _show(limited(reader, limit or _ROWS_IN_TABLE), chosen, out)
        else:
            with _opened(out) as file:
                rows = WRITERS[form](limited(reader, limit), file)
    except BedrockSparkError as exc:
        sys.exit(display.fail(exc))
    if out is not None:
        display.close(f"{out}: {rows:,} rows")
    sys.exit(ExitCode.DONE)


@contextmanager
def _opened(out: Path | None) -> Iterator[IO[bytes]]:
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    with out.open("wb") as file:
        yield file


def _show(reader: pa.RecordBatchReader, wanted: tuple[str, ...] | None, out: Path | None) -> int:
    """Print rows as a table. wanted: the columns to show, as far as there are any of the name."""
    names = reader.schema.names
    shown = [n for n in names if wanted is None or n in wanted or n.endswith(wanted)] or names
    table, rows = Table(*shown), 0
    for batch in reader:
        for row in batch.select(shown).to_pylist():
            table.add_row(*(_cell(row[name]) for name in shown))
            rows += 1
    with _text_file(out) as file:
        Console(file=file, highlight=False, emoji=False, markup=False).print(table)
    return rows


@contextmanager
def _text_file(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        return
    with out.open("w", encoding="utf-8") as file:
        yield file


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else as_json(value).strip('"')
    text = " ".join(text.split())
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
