"""`bedrock-spark results`: the collected rows of a run, without Spark."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from bedrock_spark.browse import open_results
from bedrock_spark.browse.plain_json import as_json
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.run_argument import with_run_arguments
from bedrock_spark.errors import ExitCode

if TYPE_CHECKING:
    import pyarrow as pa

_TABLE, _FORMS = "table", ("csv", "jsonl", "parquet")
_ROWS_IN_TABLE = 20
_SHOWN_COLUMNS = ("record_id", "outcome", "text", "error_message", "stop_reason", "output_tokens")
_CELL = 60


@dataclass(frozen=True)
class Rows:
    """Rows of a run, with the kept columns of the source and the result columns."""

    rows: list[dict[str, Any]]


@click.command(
    epilog="Example: bedrock-spark results s3://my-bucket/runs/tickets --format csv --out a.csv"
)
@with_output_options(json_type=Rows)
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
@click.option("--limit", type=click.IntRange(min=1), help="The most rows to show or write.")
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

    if output.as_json and (form != _TABLE or out is not None):
        raise click.UsageError("--json prints the rows itself: leave out --format and --out")

    def work(display: Display) -> int:
        reader = open_results(
            run_uri, columns or None, outcomes or None, region=region, endpoint_url=endpoint_url
        )
        if output.as_json:
            rows_of = limited(reader, limit or _ROWS_IN_TABLE)
            values = [row for batch in rows_of for row in batch.to_pylist()]
            display.show_json(asdict(Rows(json.loads(as_json(values)))))
            return ExitCode.DONE
        place = "-" if out is None else str(out)
        if form == _TABLE:
            chosen = None if columns else _SHOWN_COLUMNS
            table, rows = _table(limited(reader, limit or _ROWS_IN_TABLE), chosen)
            with click.open_file(place, "w", encoding="utf-8") as file:
                Console(file=file, highlight=False, emoji=False, markup=False).print(table)
        else:
            with click.open_file(place, "wb") as file:
                rows = WRITERS[form](limited(reader, limit), file)
        if out is not None:
            display.close(f"{out}: {rows:,} rows")
        return ExitCode.DONE

    sys.exit(run_command(work, output))


def _table(reader: pa.RecordBatchReader, wanted: tuple[str, ...] | None) -> tuple[Table, int]:
    """Return rows as a table, and their number.

    wanted: the columns to show, as far as there are any of the name; None for all
    """
    names = reader.schema.names
    shown = [n for n in names if wanted is None or n in wanted or n.endswith(wanted)] or names
    table, rows = Table(*shown), 0
    for batch in reader:
        for row in batch.select(shown).to_pylist():
            table.add_row(*(_cell(row[name]) for name in shown))
            rows += 1
    return table, rows


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else as_json(value).strip('"')
    text = " ".join(text.split())
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
