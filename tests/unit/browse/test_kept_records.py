"""A record whose answer was kept: its request is made again from the row, and proved by its id."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.browse.record import show_place, show_record
from bedrock_spark.browse.unit_file import Place
from bedrock_spark.config import parse_config
from bedrock_spark.errors import RunFolderError
from bedrock_spark.families.request_body import body_template
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import KeptRows, RunManifest, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.schema import ROW_RECORD_ID
from bedrock_spark.shards.record_ids import body_hash, encode, hash_of_id
from tests.unit.fakes import FakeClock, config_values

PREPARE = "0a1b2c3d4e5f"
ROWS = 40
UNITS = [layout.kept_unit(part, cut) for part in range(2) for cut in range(4)]


def values(folder: Path) -> dict[str, Any]:
    made = config_values()
    source = {**made["source"], "key": ["ticket_id"]}
    request = {"prompt": "Answer: {{ body }}", "max_tokens": 10}
    store = {"uri": str(folder / "store")}
    return {
        **made,
        "run_uri": str(folder / "run"),
        "source": source,
        "request": request,
        "answers": store,
    }


@pytest.fixture
def made(tmp_path: Path) -> tuple[Run, RunManifest, list[dict[str, Any]]]:
    """A run of kept rows in eight units, in the order of their hashes, and these rows."""
    run = begin_run(open_run(parse_config(values(tmp_path)), FakeClock()))
    template = body_template(run.config)
    rows = [{"ticket_id": f"T-{n}", "body": f"question {n}"} for n in range(ROWS)]
    for each in rows:
        each["record_id"] = encode(body_hash(template.render(each)))
    rows.sort(key=lambda each: hash_of_id(each["record_id"]) or 0)
    kept = []
    for number, unit in enumerate(UNITS):
        own = rows[number * 5 : number * 5 + 5]
        kept.append(KeptRows(unit, 5, 5, 1))
        write(tmp_path / "run" / layout.rows_key(unit, PREPARE), own, ROW_RECORD_ID)
        write(tmp_path / "run" / layout.results_key(unit), own, "record_id")
        lines = "".join(line(each["record_id"]) for each in own)
        run.storage.write(layout.kept_key(unit, PREPARE), lines.encode())
    columns = "`ticket_id` string, `body` string"
    manifest = RunManifest(run.run_id, ROWS, columns, (), (), PREPARE, None, tuple(kept))
    return run, commit_manifest(run.storage, manifest), rows


def write(path: Path, rows: list[dict[str, Any]], column: str) -> None:
    table = pa.Table.from_pylist(rows)
    names = [column if name == "record_id" else name for name in table.schema.names]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.rename_columns(names), path)


def line(record_id: str) -> str:
    usage = {"input_tokens": 10, "output_tokens": 5}
    content = [{"type": "text", "text": "kept"}]
    output = {"content": content, "stop_reason": "end_turn", "usage": usage}
    made = {"recordId": record_id, "modelOutput": output, "modelId": "m", "endedAt": 7.0}
    return json.dumps({**made, "runId": "earlier-run", "requestDigest": "d"}) + "\n"


Made = tuple[Run, RunManifest, list[dict[str, Any]]]


def test_every_record_is_found_with_its_request_and_its_answer(made: Made) -> None:
    run, manifest, rows = made
    for number, each in enumerate(rows):
        shown = show_record(run, manifest, each["record_id"])
        assert shown.request is not None
        assert f"Answer: {each['body']}" in shown.request.decode()
        assert shown.unit == UNITS[number // 5]
        assert [row["ticket_id"] for row in shown.rows] == [each["ticket_id"]]
        (reply,) = shown.replies
        assert (reply.served_by, reply.run_id, reply.ended_at) == ("kept", "earlier-run", 7.0)
        assert (reply.cost, reply.counts, reply.ended) == (0, True, "ok")
        assert "has the hash of the record id" in shown.note


def test_a_row_is_shown_by_its_place(made: Made) -> None:
    run, manifest, rows = made
    shown = show_place(run, manifest, Place(UNITS[3], 0, 2))
    assert shown.record_id == rows[17]["record_id"]
    assert shown.request is not None


def test_an_id_that_no_kept_row_has_is_refused(made: Made) -> None:
    run, manifest, _ = made
    with pytest.raises(RunFolderError, match="has no record 00000000001"):
        show_record(run, manifest, "00000000001")


def _without_body(run: Run, folder: Path) -> Run:
    for path in (folder / "run" / layout.RESULTS).glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["body"]), path)
    return run


def _with_prompt(prompt: str) -> Callable[[Run, Path], Run]:
    def changed(run: Run, folder: Path) -> Run:
        request = {"prompt": prompt, "max_tokens": 10}
        return replace(run, config=parse_config({**values(folder), "request": request}))

    return changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without_body, "its request reads body, which source.columns does not keep"),
        (_with_prompt("Other: {{ body }}"), "is not the request that has this record id"),
        (_with_prompt("{{ nope }}"), "its request reads nope"),
    ],
)
def test_a_request_that_cannot_be_made_again_says_why(
    made: Made, tmp_path: Path, change: Callable[[Run, Path], Run], said: str
) -> None:
    run, manifest, rows = made
    shown = show_record(change(run, tmp_path), manifest, rows[0]["record_id"])
    assert shown.request is None
    assert said in shown.note
    assert len(shown.replies) == 1
