"""`bedrock-spark show`: single records of a run, with every answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.keys import id_of_key
from bedrock_spark.browse.plain_json import as_json
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.run_argument import with_run_arguments
from bedrock_spark.costs.tokens import dollars
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.outputs.outcomes import REJECTED
from bedrock_spark.run_folder.manifest import require_manifest
from bedrock_spark.run_folder.run import Run, find_run

if TYPE_CHECKING:
    from bedrock_spark.browse.record import ShownRecord
    from bedrock_spark.browse.replies import Reply


@dataclass(frozen=True)
class ReplyJson:
    """A reply to a record.

    served_by: batch, fallback, or kept by an earlier run; attempt, job_id: of the batch job
    source: the object that has it; model_id, run_id: of the call, if the object says them
    output: the answer as the model sent it, None for an error; cost: dollars, None if not known
    ended: its outcome; reason: why it is not ok; columns: those of results.parse, None if it does
        not fit; counts: whether the results have this reply
    """

    served_by: str
    attempt: int | None
    job_id: str | None
    model_id: str | None
    run_id: str | None
    counts: bool
    ended: str
    reason: str | None
    columns: dict[str, Any] | None
    source: str
    output: Any
    error_code: int | None
    error_message: str | None
    cost: str | None


@dataclass(frozen=True)
class RecordJson:
    """A record with all that is known of it.

    record_id: null for a rejected row; unit: the shard, or kept or rejected rows, that has it
    request: the body that the model got; null if nothing can show it; note: why, or where this one
        is from
    rows: as the results have them, those that share it
    """

    record_id: str | None
    unit: str | None
    request: dict[str, Any] | None
    note: str
    replies: list[ReplyJson]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Records:
    """The records that were asked for."""

    records: list[RecordJson]


@click.command(
    epilog="Example: bedrock-spark show s3://my-bucket/runs/tickets --outcome truncated --sample 3"
)
@with_output_options(json_type=Records)
@click.option("--record", help="The id of a record, as in the column record_id.")
@click.option("--key", multiple=True, help="The key of a row; once for each column of source.key.")
@click.option("--outcome", help="Records whose rows ended so, such as error.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="With --outcome: how many records.",
)
@click.option(
    "--open",
    "opens",
    is_flag=True,
    help="Show the first of them as a page, as `bedrock-spark ui` does, until Ctrl-C.",
)
@with_run_arguments
def show(
    run_uri: str,
    region: str | None,
    endpoint_url: str | None,
    record: str | None,
    key: tuple[str, ...],
    outcome: str | None,
    sample: int,
    opens: bool,
    output: Output,
) -> None:
    """Show records of a run: request, every answer and error, rows, cost. Needs no Spark.

    RUN_URI is the run_uri of the config. Prompts and answers are printed.
    """
    if sum(bool(given) for given in (record, key, outcome)) != 1:
        raise click.UsageError("give one of --record, --key and --outcome")
    if opens and output.as_json:
        raise click.UsageError("--open and --json are two ways to show a record; give one")

    def work(display: Display) -> int:
        run = find_run(run_uri, region, endpoint_url)
        shown = [*_shown(run, record, key, outcome, sample)]
        if opens:
            _open_page(run_uri, shown, AwsSettings(region, endpoint_url), display)
            return ExitCode.DONE
        for each in shown:
            display.show_table(list(_lines(each)))
            display.say("")
        display.show_json(asdict(Records([_as_json(each) for each in shown])))
        number = "1 record" if len(shown) == 1 else f"{len(shown):,} records"
        display.close(f"{run_uri}: {number}")
        return ExitCode.DONE

    sys.exit(run_command(work, output))


def _open_page(
    run_uri: str, shown: Sequence[ShownRecord], aws: AwsSettings, display: Display
) -> None:
    """Serve the page of the first record. Raises ConfigError if there is none with an id."""
    from bedrock_spark.cli.ui import serve_pages
    from bedrock_spark.ui.settings import Kind, Place, UiSettings

    record_id = next((each.record_id for each in shown if each.record_id is not None), None)
    if record_id is None:
        raise ConfigError("--open: no record with an id was found; rejected rows have none")
    query = urlencode({"uri": run_uri, "id": record_id})
    settings = UiSettings(Place(run_uri, Kind.RUN), aws)
    serve_pages(settings, display, opens=True, path=f"/run/record?{query}")


def _shown(
    run: Run, record: str | None, key: tuple[str, ...], outcome: str | None, sample: int
) -> Iterator[ShownRecord]:
    from bedrock_spark.browse.record import ids_with_outcome, rejected_rows, show_record

    manifest = require_manifest(run.storage)
    if outcome == REJECTED:
        found = rejected_rows(run, manifest, sample)
    else:
        ids = [record] if record is not None else []
        if key:
            ids = [id_of_key(key, run.config)]
        elif outcome is not None:
            ids = ids_with_outcome(run, outcome, sample)
        found = [show_record(run, manifest, record_id) for record_id in ids]
    if not found:
        raise ConfigError(f"--outcome {outcome}: no record of {run.storage.uri} ended so")
    yield from found


def _lines(shown: ShownRecord) -> Iterator[tuple[str, str]]:
    if shown.record_id is not None:
        yield "record", shown.record_id
    if shown.request is not None:
        yield "request", shown.request.decode(errors="replace")
    if shown.note:
        yield "note", shown.note
    for reply in shown.replies:
        yield "answer" if reply.output is not None else "error", _about(reply)
        yield from (("", text) for text in _content(reply))
    if not shown.replies and shown.record_id is not None:
        yield "answer", "none yet"
    for row in shown.rows:
        yield "row", as_json(_without_answer(row))


def _about(reply: Reply) -> str:
    who = reply.served_by if reply.attempt is None else f"{reply.served_by}, job {reply.attempt}"
    if reply.run_id is not None:
        who += f" by the run {reply.run_id}"
    cost = "" if reply.cost is None else f", {dollars(reply.cost)}"
    answer = reply.answer
    if answer is None:
        code = "" if reply.error_code is None else f" {reply.error_code}"
        return f"by {who}:{code} {reply.error_message or 'without a message'}"
    tokens = "" if answer.input_tokens is None else f"; {answer.input_tokens:,} tokens in"
    tokens += "" if answer.output_tokens is None else f", {answer.output_tokens:,} out"
    stopped = "" if answer.stop_reason is None else f"; stopped by {answer.stop_reason}"
    return f"by {who}{stopped}{tokens}{cost}"


def _content(reply: Reply) -> Iterator[str]:
    """Yield what a reply says, for a person; the whole reply if no part of it is known."""
    answer = reply.answer
    if answer is None or reply.output is None:
        return
    parts = [("reasoning", answer.reasoning), ("text", answer.text), ("tool", answer.tool_input)]
    known = [f"{name}: {text}" for name, text in parts if text]
    yield from known or [reply.output.decode(errors="replace")]


def _without_answer(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what is shown already, and without null values."""
    return {k: v for k, v in row.items() if v is not None and not k.endswith("model_output")}


def _as_json(shown: ShownRecord) -> RecordJson:
    replies = [
        ReplyJson(
            served_by=reply.served_by,
            attempt=reply.attempt,
            job_id=reply.job_id,
            model_id=reply.model_id,
            run_id=reply.run_id,
            counts=reply.counts,
            ended=reply.ended,
            reason=reply.reason,
            columns=json.loads(as_json(reply.columns)),
            source=reply.source,
            output=None if reply.output is None else json.loads(reply.output),
            error_code=reply.error_code,
            error_message=reply.error_message,
            cost=None if reply.cost is None else str(reply.cost),
        )
        for reply in shown.replies
    ]
    request = None if shown.request is None else json.loads(shown.request)
    rows = json.loads(as_json(shown.rows))
    return RecordJson(shown.record_id, shown.unit, request, shown.note, replies, rows)
