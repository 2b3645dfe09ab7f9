"""`bedrock-spark preview`: the answers of a few rows, before a run is paid for."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedrock_spark.check import check_config
from bedrock_spark.cli.config_argument import with_config
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.cli.interrupts import exit_code_of
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.preview_table import TableLayout, prompt_lines
from bedrock_spark.cli.stages import end_spark, mute_spark
from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.preview.options import CONCURRENCY, MAX_COST, ROWS, PreviewOptions
from bedrock_spark.preview.values import AnsweredRow, Estimate, Preview
from bedrock_spark.preview.words import closing_sentence, estimate_line, summary_rows
from bedrock_spark.schema import parse_ddl

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Elsewhere than on a terminal, lines may be long.
_WIDTH = 160


@click.command(
    name="preview",
    epilog="Examples: bedrock-spark preview tickets.yaml --rows 20; bedrock-spark preview "
    "tickets.yaml --where \"lang = 'de'\" --compare shorter.yaml --html preview.html",
)
@with_output_options(json_type=Preview)
@click.option(
    "--rows",
    type=click.IntRange(1, 1000),
    default=ROWS,
    show_default=True,
    help="How many rows to ask: the first of the source, unless others are chosen.",
)
@click.option("--where", metavar="SQL", help="Ask rows for which this is true.")
@click.option("--random", "is_random", is_flag=True, help="Ask rows at random.")
@click.option(
    "--seed",
    type=click.IntRange(0, 1_000_000),
    metavar="NUMBER",
    help="Ask the rows at random that this number chooses; 0 by default.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="Ask the row with this key, with tabs between the values of several columns; repeatable.",
)
@click.option(
    "--compare",
    type=click.Path(),
    metavar="OTHER",
    help="Another config, which is asked about the same rows. Its source is not read.",
)
@click.option(
    "--html", "page", type=click.Path(dir_okay=False), help="Write the answers as a page, too."
)
@click.option("--prompts", is_flag=True, help="Show the request of each row.")
@click.option("--render", "is_rendered", is_flag=True, help="Show the requests and pay nothing.")
@click.option(
    "--max-cost",
    type=click.FloatRange(min=0, min_open=True),
    default=float(MAX_COST),
    show_default=True,
    metavar="DOLLARS",
    help="Ask no row that may exceed this sum.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=CONCURRENCY,
    show_default=True,
    help="How many rows to ask at a time.",
)
@click.option(
    "--whole/--no-whole",
    "has_whole",
    default=True,
    help="Say what the whole source would cost, which counts its rows.",
)
@with_config
def preview_command(
    config: str, overrides: tuple[str, ...], output: Output, **options: Any
) -> None:
    """Ask for the answers of a few rows, and show them as they come. Writes nothing.

    The rows are rendered, asked and judged as in a run, but on demand: each costs twice what it
    costs in a batch job. Prompts and answers are printed.
    """
    display = Display(output)
    output.begin_logging()

    def end_interrupted(interrupt: KeyboardInterrupt) -> int:
        said = "interrupted: what was asked is paid for; nothing was written"
        return display.end_interrupted(exit_code_of(interrupt), said)

    command = _Command(config, overrides, display, **options)
    sys.exit(run_to_end(command.run, display, end_interrupted, mute_spark, end_spark))


class _Command:
    """One call of the command. It prints the table while the answers come."""

    def __init__(
        self,
        config: str,
        overrides: tuple[str, ...],
        display: Display,
        *,
        rows: int,
        where: str | None,
        is_random: bool,
        seed: int | None,
        keys: tuple[str, ...],
        compare: str | None,
        page: str | None,
        prompts: bool,
        is_rendered: bool,
        max_cost: float,
        concurrency: int,
        has_whole: bool,
    ) -> None:
        if not math.isfinite(max_cost):
            raise click.UsageError(f"--max-cost {max_cost}: is not a sum of dollars")
        if seed is not None and not is_random:
            raise click.UsageError("--seed: chooses rows at random; add --random")
        if keys and (where is not None or is_random):
            raise click.UsageError("--key goes with neither --where nor --random")
        if any(not key.strip() for key in keys):
            raise click.UsageError("--key: is empty; name the key of a row")
        self._path, self._overrides, self._display = config, overrides, display
        self._compare, self._page, self._is_rendered = compare, page, is_rendered
        self._options = PreviewOptions(
            rows=rows,
            where=where,
            seed=(seed or 0) if is_random else None,
            keys=keys,
            max_cost=Decimal(str(max_cost)),
            concurrency=concurrency,
            has_prompts=prompts or page is not None,
            has_whole=has_whole,
        )
        self._shows_prompts = prompts
        self._configs: list[Config] = []
        self._layout: TableLayout | None = None
        # Rows that wait for the answer of the other config, by number.
        self._waiting: dict[int, dict[int, AnsweredRow]] = {}

    def run(self) -> int:
        from bedrock_spark.preview import preview

        if self._is_rendered:
            if self._compare is not None or self._page is not None:
                raise click.UsageError("--render goes with neither --compare nor --html")
            return self._render()
        paths = [self._path, *([self._compare] if self._compare is not None else [])]
        own = check_config(self._path, self._overrides)
        others = [check_config(path) for path in paths[1:]]
        self._configs = [own, *others]
        if self._page is not None and not Path(self._page).absolute().parent.is_dir():
            raise ConfigError(f"--html {self._page}: its folder does not exist; create it first")
        found = preview(
            *(self._session, None, own, self._options),
            compare=others[0] if others else None,
            names=paths,
            on_estimate=self._show_estimate,
            on_row=self._show_row,
            observe=self._display.observe,
        )
        self._display.finish()
        self._display.say("")
        self._display.show_table(list(summary_rows(found)))
        fault = self._write_page(found) if self._page is not None else None
        return self._end(found, fault)

    def _session(self, config: Config) -> SparkSession:
        from bedrock_spark.spark.session import spark_session

        return spark_session(config, self._display.note)

    def _render(self) -> int:
        from bedrock_spark.preview import render

        own = check_config(self._path, self._overrides)
        found = render(self._session, None, own, self._options, names=(self._path,))
        rows = found.previews[0].rows
        for row in rows:
            is_rejected = row.request is None
            self._display.say(f"row {row.number}{': rejected' if is_rejected else ''}")
            lines = [f"      {row.reason}"] if is_rejected else prompt_lines(row)
            for line in lines:
                self._display.say(line)
        self._display.show_json(found.model_dump(mode="json"))
        rejected = sum(row.request is None for row in rows)
        self._display.close(
            f"{self._path}: {len(rows) - rejected:,} requests, {rejected:,} rejected rows; nothing "
            "was asked"
        )
        return ExitCode.DONE

    def _show_estimate(self, estimates: Sequence[Estimate], rows: Sequence[Any]) -> None:
        names = list(rows[0].row)
        key = self._configs[0].source.key or tuple(names[:1])
        width = shutil.get_terminal_size((_WIDTH, 1)).columns
        parses = [config.results.parse for config in self._configs]
        answers = [
            tuple(f.name for f in parse_ddl(parse.columns)) if parse is not None else ()
            for parse in parses
        ]
        self._layout = TableLayout(width, tuple(key[:2]), tuple(answers))
        self._display.finish()  # of the count of tokens
        for estimate, config in zip(estimates, self._configs, strict=True):
            model_id = config.canary.model_id or config.model.id
            self._display.note(estimate_line(estimate, model_id))
        names = [self._path, *([self._compare] if self._compare is not None else [])]
        for line in self._layout.header(names):
            self._display.say(line)

    def _show_row(self, which: int, row: AnsweredRow) -> None:
        assert self._layout is not None
        waiting = self._waiting.setdefault(row.number, {})
        waiting[which] = row
        if len(waiting) < len(self._configs):
            return
        rows = [waiting[each] for each in sorted(waiting)]
        del self._waiting[row.number]
        self._display.say(self._layout.line(rows))
        if self._shows_prompts:
            for each in rows:
                for line in prompt_lines(each):
                    self._display.say(line)

    def _write_page(self, found: Preview) -> str | None:
        """Write the page; return why it cannot be written: the answers are paid for, so go on."""
        from bedrock_spark.preview.page import page_html

        assert self._page is not None
        try:
            Path(self._page).write_text(page_html(found), encoding="utf-8")
        except OSError as exc:
            return f"--html {self._page}: cannot be written: {exc.strerror}"
        self._display.show_table([("page", self._page)])
        return None

    def _end(self, found: Preview, fault: str | None) -> int:
        """Show how the preview ended. fault: why its page was not written."""
        values = found.model_dump(mode="json")
        if fault is not None:
            return self._display.fail_with(ExitCode.FAILED, fault, values)
        if found.unasked:
            message = (
                f"{found.unasked:,} answers were not asked for: they may cost more than is left of "
                f"--max-cost {small_dollars(self._options.max_cost)}; raise it"
            )
            return self._display.fail_with(ExitCode.BUDGET, message, values)
        if not found.has_answer:
            message = f"{self._path}: no row has an answer that is ok; the table says why"
            return self._display.fail_with(ExitCode.ROWS, message, values)
        self._display.show_json(values)
        self._display.close(f"{self._path}: {closing_sentence(found)}")
        return ExitCode.DONE
