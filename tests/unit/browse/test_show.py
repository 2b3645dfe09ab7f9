"""Single records of a run: the request, every answer and error, the rows, the cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from bedrock_spark.browse.record import show_record
from bedrock_spark.cli import main
from bedrock_spark.config import parse_config
from bedrock_spark.errors import ExitCode, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import (
    RunManifest,
    Shard,
    commit_manifest,
    require_manifest,
)
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.shards.record_ids import record_id
from tests.unit.browse.finished_run import SCHEMA, rows_of, write_unit
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
