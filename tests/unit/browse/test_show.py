"""Single records of a run: the request, every answer and error, the rows, the cost."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.browse.record import show_place, show_record
from bedrock_spark.browse.unit_file import Place
from bedrock_spark.cli import main
from bedrock_spark.config import TokenPrices, parse_config
from bedrock_spark.errors import ConfigError, ExitCode, RunFolderError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.prices.place_prices import PlacePrices
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import Cleaned
from bedrock_spark.run_folder.job_plan import Place as PlaceOfJob
from bedrock_spark.run_folder.job_plan import plan_job
from bedrock_spark.run_folder.ledger import Job, Ledger
from bedrock_spark.run_folder.ledger.events import seen, submitting
from bedrock_spark.run_folder.manifest import (
    RunManifest,
    Shard,
    commit_manifest,
    require_manifest,
)
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.schema import ROW_RECORD_ID
from bedrock_spark.shards.record_ids import record_id
from bedrock_spark.spark.collect.reconciliation_table import write_reconciliation
from tests.unit.browse.finished_run import SCHEMA, rows_of, write_unit
from tests.unit.browse.run_of_rows import REJECTS, row, shard, write_run
from tests.unit.fakes import FakeClock, config_values

SHARD = "shard-00000-00"
PREPARE = "0a1b2c3d4e5f"
IDS = [record_id([str(number)]) for number in range(4)]
PRICE = {"input": 0.001, "output": 0.002}


def line(number: int, **rest: Any) -> bytes:
    body = {"prompt": f"question {number} mentions {IDS[3]}"}
    return json.dumps({"recordId": IDS[number], "modelInput": body, **rest}).encode() + b"\n"


def answer(text: str) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 500}
    return {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of four records: the first had an error in two jobs, and an answer by the fallback."""
    values = config_values()
    source = {**values["source"], "key": ["ticket_id"]}
    prices = {"batch": PRICE, "fallback": {k: 2 * v for k, v in PRICE.items()}}
    values = {**values, "run_uri": str(tmp_path), "source": source, "prices": prices}
    run = begin_run(open_run(parse_config(values), FakeClock()))
    data = b"".join(
        b'{"recordId":"%b","modelInput":{"n":%d}}\n' % (i.encode(), n) for n, i in enumerate(IDS)
    )
    shard = Shard(SHARD, len(IDS), len(data), "0" * 64, prepare_id=PREPARE)
    run.storage.write(shard.key, data)
    commit_manifest(run.storage, RunManifest(run.run_id, 4, "a INT", (shard,), (), PREPARE))
    rows = [{**row, "record_id": i} for row, i in zip(rows_of(0, 4), IDS, strict=True)]
    write_unit(tmp_path, SHARD, pa.Table.from_pylist([*rows, rows[0]], SCHEMA))
    error = {"errorCode": 500, "errorMessage": "try again"}
    first = line(0, error=error) + line(1, modelOutput=answer("one"))
    second = line(0, error={**error, "errorMessage": "and again"})
    run.storage.write(layout.attempt_prefix(SHARD, 1, "a") + "job1/x.jsonl.out", first)
    run.storage.write(layout.attempt_prefix(SHARD, 10, "b") + "job2/x.jsonl.out", second)
    run.storage.write(layout.fallback_key(SHARD, "p"), line(0, modelOutput=answer("zero")))
    return run


def command(run: Run, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["show", run.config.run_uri, *arguments])


def test_a_reply_of_a_batch_job_costs_what_its_own_target_costs(run: Run) -> None:
    """The ledger says where the job ran. It is only read if the targets differ in their prices."""
    reply = line(2, modelOutput=answer("two"))
    run.storage.write(layout.attempt_prefix(SHARD, 3, "c") + "job3/x.jsonl.out", reply)

    def cost() -> str:
        (only,) = show_record(run, require_manifest(run.storage), IDS[2]).replies
        return str(only.cost)

    assert cost() == "0.002"
    place = ("the-model", "us-west-2")
    seven = TokenPrices(input=Decimal(7), output=Decimal(0))
    places = {place: PlacePrices(seven), **run.prices.places}
    vars(run)["prices"] = replace(run.prices, places=places)
    assert cost() == "0.002"
    plan = plan_job(
        *(run.run_id, SHARD, "x", place[0], 3),
        prepare_id=PREPARE,
        place=PlaceOfJob(place[1], place[0]),
    )
    seen_job = SeenJob("arn:aws:x/job3", plan.job_name, plan.token, "Completed")
    Ledger(run.storage).append([submitting(plan, 0.0), seen(seen_job, 1.0)])
    assert cost() == "7"


def test_a_record_has_all_that_came_back_in_time_order(run: Run) -> None:
    shown = show_record(run, require_manifest(run.storage), IDS[0])
    assert json.loads(shown.request) == {"n": 0}
    assert [(r.served_by, r.attempt, r.error_message) for r in shown.replies] == [
        ("batch", 1, "try again"),
        ("batch", 10, "and again"),
        ("fallback", None, None),
    ]
    last = shown.replies[-1]
    assert last.answer is not None
    assert last.answer.text == "zero"
    assert str(last.cost) == "0.004"
    assert [row["ticket_id"] for row in shown.rows] == [0, 0]


def test_a_record_that_others_quote_is_not_theirs(run: Run) -> None:
    """Every body has the id of the last record in its text."""
    assert show_record(run, require_manifest(run.storage), IDS[3]).replies == ()


def test_the_command_shows_a_record_by_its_key(run: Run) -> None:
    result = command(run, "--key", "1")
    assert result.exit_code == ExitCode.DONE, result.output
    lines = result.stdout.splitlines()
    assert lines[:4] == [
        f"record   {IDS[1]}",
        'request  {"n":1}',
        "answer   by batch, job 1; stopped by end_turn; 1,000 tokens in, 500 out, $0.0020",
        "         text: one",
    ]
    assert lines[4].startswith('row      {"ticket_id": 1')


def test_a_reply_says_how_it_was_read_which_job_has_it_and_which_one_counts(run: Run) -> None:
    """The fallback's answer is the only one that is ok."""
    shown = show_record(run, require_manifest(run.storage), IDS[0])
    assert [(r.job_id, r.ended, r.counts) for r in shown.replies] == [
        ("job1", "error", False),
        ("job2", "error", False),
        (None, "ok", True),
    ]
    assert shown.unit == SHARD


def test_the_jobs_of_the_shard_are_those_of_the_table(run: Run) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
    names = {"n1": (SHARD, 1, "job1"), "n2": (SHARD, 10, "job2"), "n3": ("other", 1, "job3")}
    jobs = {
        name: Job(unit, attempt, name, "t", SeenJob(arn + job, name, "t", "Completed"))
        for name, (unit, attempt, job) in names.items()
    }
    write_reconciliation(run.storage, [ReconciledShard(unit=SHARD)], jobs)
    shown = show_record(run, require_manifest(run.storage), IDS[0])
    assert [(job.attempt, job.job_id, job.status) for job in shown.jobs] == [
        (1, "job1", "Completed"),
        (10, "job2", "Completed"),
    ]


def test_before_collect_the_source_rows_are_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / layout.results_key(SHARD)).unlink()
    path = tmp_path / layout.rows_key(SHARD, PREPARE)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({ROW_RECORD_ID: IDS, "a": [10, 11, 12, 13]}), path)
    shown = show_record(run, require_manifest(run.storage), IDS[2])
    assert (shown.is_collected, shown.rows) == (False, ({"a": 12},))


def test_a_row_is_shown_by_its_place(run: Run) -> None:
    """With its shard known, only that is looked at."""
    shown = show_place(run, require_manifest(run.storage), Place(SHARD, 0, 1))
    assert (shown.record_id, shown.unit, len(shown.replies)) == (IDS[1], SHARD, 1)
    with pytest.raises(ConfigError, match="no row is there"):
        show_place(run, require_manifest(run.storage), Place(SHARD, 0, 99))


def test_a_request_that_clean_has_deleted_is_missed_and_named(run: Run) -> None:
    cleaned = Cleaned(0.0, ("results", "report"))
    run.storage.write(layout.CLEANED_FILE, cleaned.to_json())
    run.storage.delete([layout.shard_key(SHARD, PREPARE)])
    shown = show_record(run, require_manifest(run.storage), IDS[0])
    assert shown.request is None
    assert shown.note == "bedrock-spark clean has deleted the requests and answers of this run"
    assert len(shown.rows) == 2


def test_a_rejected_row_has_no_request_and_a_reason(tmp_path: Path) -> None:
    made = {shard(0): [row(0)], REJECTS: [row(1, "rejected", error_message="body: is null")]}
    write_run(tmp_path, made)
    result = CliRunner().invoke(main, ["show", str(tmp_path), "--outcome", "rejected", "--json"])
    (record,) = json.loads(result.stdout)["records"]
    assert (record["record_id"], record["request"], record["unit"]) == (None, None, REJECTS)
    assert record["note"] == "the row was rejected, so it was never asked: body: is null"
    assert record["rows"][0]["ticket_id"] == "T-1"
    text = CliRunner().invoke(main, ["show", str(tmp_path), "--outcome", "rejected"]).stdout
    assert text.startswith("note  the row was rejected")


def test_records_are_chosen_by_outcome(run: Run) -> None:
    result = command(run, "--outcome", "ok", "--sample", "5", "--json")
    records = json.loads(result.stdout)["records"]
    assert [record["record_id"] for record in records] == IDS[:2]
    assert records[1]["replies"][0]["output"]["content"][0]["text"] == "one"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), ExitCode.USAGE, "give one of --record, --key and --outcome"),
        (("--record", IDS[0], "--outcome", "ok"), ExitCode.USAGE, "give one of"),
        (("--outcome", "refused"), ExitCode.CONFIG, "no record"),
        (("--key", "a", "--key", "b"), ExitCode.CONFIG, "give one for each of ticket_id"),
        (("--record", "00000000000"), ExitCode.FAILED, "has no record"),
    ],
)
def test_what_cannot_be_shown_is_an_error(
    run: Run, arguments: tuple[str, ...], code: ExitCode, said: str
) -> None:
    result = command(run, *arguments)
    assert result.exit_code == code
    assert said in result.stderr


def test_an_id_of_no_record_raises(run: Run) -> None:
    with pytest.raises(RunFolderError, match="is not a record id"):
        show_record(run, require_manifest(run.storage), "x")
