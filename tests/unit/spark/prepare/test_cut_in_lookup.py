"""Rows that the tasks of a lookup cut into shards are in the shards of a second shuffle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.answers.digest import asking_of, request_digest
from bedrock_spark.answers.store import pin_files
from bedrock_spark.answers.table import SCHEMA
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.invoke.kept_calls import rules_of
from bedrock_spark.schema import ROW_RECORD_ID
from bedrock_spark.shards.hash_ranges import part_of
from bedrock_spark.spark.prepare import lookup_task
from bedrock_spark.spark.prepare.body_hashes import HashBodies
from bedrock_spark.spark.prepare.columns import HASH, KEY, REPEATED, TIE
from bedrock_spark.spark.prepare.lookup_task import SUMMARY, LookupTask
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.task import PrepareTask, bounds_of
from bedrock_spark.storage import LocalStorage
from tests.models import CLAUDE
from tests.unit.answers.rows import store_at, write
from tests.unit.fakes import make_config

PREPARE_ID = "0a1b2c3d4e5f"
COLUMNS = SourceColumns(("id",), ("id", "body"), ("id", "body"))
ROWS = 600


def config_of(folder: Path, **shards: int) -> Config:
    return make_config(
        str(folder / "run"),
        request={"prompt": "{{ body }}", "max_tokens": 10},
        answers={"uri": str(folder / "store")},
        shards={"max_records": 70, "min_records": 5, **shards},
    )


def hashed_rows(config: Config, bodies: list[str | None]) -> pa.RecordBatch:
    """Return rows with the hashes of their bodies, sorted as the shuffle leaves them."""
    count = len(bodies)
    rows = pa.RecordBatch.from_pydict(
        {
            HASH: pa.array([0] * count, pa.int64()),
            KEY: pa.array([str(n) for n in range(count)]),
            TIE: pa.array(np.random.default_rng(7).integers(-(2**63), 2**63, count), pa.int64()),
            REPEATED: pa.nulls(count, pa.string()),
            "id": pa.array(range(count), pa.int64()),
            "body": pa.array(bodies, pa.string()),
        }
    )
    table = pa.Table.from_batches(HashBodies(config, AwsSettings(), False)(iter([rows])))
    order = [(name, "ascending") for name in (HASH, KEY, TIE)]
    [batch] = table.sort_by(order).combine_chunks().to_batches()
    return batch


def by_part(rows: pa.RecordBatch, parts: int) -> list[pa.RecordBatch]:
    """Return the rows of each part that has rows."""
    own = part_of(rows.column(HASH).to_numpy(), parts)
    chosen = [rows.filter(pa.array(own == part)) for part in range(parts)]
    return [batch for batch in chosen if batch.num_rows]


def in_batches(rows: pa.RecordBatch, width: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows.num_rows, width):
        yield rows.slice(start, width)


def keep(config: Config, folder: Path, rows: pa.RecordBatch, known: frozenset[int]) -> LocalStorage:
    """Return a store with answers to the bodies of the rows with these ids, and to another one."""
    store = store_at(folder)
    context = asking_of(config).context(CLAUDE)
    output = {"content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn"}
    kept: list[dict[str, Any]] = []
    for row in [*rows.to_pylist(), {"id": -1, HASH: 5, KEY: hashlib.sha256(b"").hexdigest()}]:
        if (row["id"] in known or row["id"] == -1) and row[KEY] is not None:
            digest = request_digest(bytes.fromhex(row[KEY]), context)
            kept.append(
                dict.fromkeys(SCHEMA.names)
                | {
                    "body_hash": row[HASH],
                    "request_digest": digest,
                    "answered_at": 1_790_000_000_000_000,
                    "outcome": "ok",
                    "model_output": json.dumps(output),
                }
            )
    write(store, kept)
    return store


def cut(
    folder: Path,
    bodies: list[str | None],
    known: frozenset[int],
    parts: int,
    width: int,
    cuts: bool,
) -> tuple[dict[str, bytes], list[int], int]:
    """Look rows up and cut them; return the files of shards, the ids of kept rows, and how many
    parts the lookup has cut.

    cuts: whether the tasks of the lookup may cut; the other rows are cut by tasks of their own
    """
    config = config_of(folder)
    rows = hashed_rows(config, bodies)
    store = keep(config, folder, rows, known)
    storage = LocalStorage(str(folder / "run"))
    cutter = PrepareTask(config, COLUMNS, storage, AwsSettings(), parts, PREPARE_ID, True)
    task = LookupTask(
        *(config, COLUMNS, storage, store, tuple(pin_files(store)), parts),
        *(PREPARE_ID, rules_of(config, 1_790_000_001), bounds_of(config)),
        cutter=cutter if cuts else None,
    )
    cut_parts, looked, asked = 0, 0, 0
    for part in by_part(rows, parts):
        done = pa.Table.from_batches(task(in_batches(part, width)))
        is_summary = done.column(SUMMARY).is_valid()
        [text] = done.filter(is_summary).column(SUMMARY).to_pylist()
        summary = json.loads(text)
        looked += summary["rows"]
        going_on = done.filter(pc.invert(is_summary)).drop_columns([SUMMARY])
        if summary["bucket"] is not None:
            assert going_on.num_rows == 0
            cut_parts += 1
            asked += summary["bucket"]["rows"]
        elif going_on.num_rows:
            [batch] = going_on.combine_chunks().to_batches()
            [written] = list(cutter(in_batches(batch, width)))
            asked += json.loads(written.column("summary")[0].as_py())["rows"]
    kept_ids = ids_below(storage, "kept-")
    assert looked == len(bodies) == asked + len(kept_ids)
    keys = [o.key for o in storage.list("shards/")] + [o.key for o in storage.list("rejects/")]
    keys += [o.key for o in storage.list("rows/") if "/kept-" not in o.key]
    assert len(ids_below(storage, "shard-")) + len(rejected_of(storage)) == asked
    return {key: storage.read(key) for key in sorted(keys)}, kept_ids, cut_parts


def ids_below(storage: LocalStorage, prefix: str) -> list[int]:
    """Return the ids in the rows of units whose names begin with a prefix, in order."""
    keys = [o.key for o in storage.list("rows/") if f"/{prefix}" in o.key]
    tables = [pq.read_table(Path(storage.uri) / key) for key in keys]
    assert all(table.column_names[0] == ROW_RECORD_ID for table in tables)
    return sorted(row for table in tables for row in table.column("id").to_pylist())


def rejected_of(storage: LocalStorage) -> list[int]:
    keys = [o.key for o in storage.list("rejects/")]
    tables = [pq.read_table(Path(storage.uri) / key) for key in keys]
    return [row for table in tables for row in table.column("id").to_pylist()]


def bodies_of(rows: int, different: int) -> list[str | None]:
    """Return the bodies of rows: some are equal, and two rows have none."""
    made: list[str | None] = [f"body {n % different} " + "x" * (n % 40) for n in range(rows)]
    made[3] = made[rows // 2] = None
    return made


@settings(max_examples=12, deadline=None)
@given(
    share=st.sampled_from([0.0, 0.02, 0.1, 0.2, 0.9, 1.0]),
    parts=st.sampled_from([1, 2, 5]),
    width=st.sampled_from([7, 64, 1_000]),
    different=st.sampled_from([20, 350, ROWS]),
)
def test_the_shards_are_the_same_whichever_task_cuts_them(
    tmp_path_factory: pytest.TempPathFactory, share: float, parts: int, width: int, different: int
) -> None:
    bodies = bodies_of(ROWS, different)
    chosen = np.random.default_rng(3).permutation(ROWS)[: round(share * ROWS)]
    known = frozenset(chosen.tolist())
    made = [
        cut(tmp_path_factory.mktemp("cut"), bodies, known, parts, width, cuts)
        for cuts in (True, False)
    ]
    assert made[0][:2] == made[1][:2]
    assert made[1][2] == 0
    if not share:
        assert made[0][1] == [], "nothing was kept"
        assert made[0][2] == parts, "each task has cut its own rows"
    if share == 1.0:
        assert made[0][2] == 0


@pytest.mark.parametrize("first", [True, False])
def test_the_first_chunk_decides_for_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """If it was wrong, the shards are the same: the other rows are cut by the same task, or not."""
    monkeypatch.setattr(lookup_task, "_CHUNK_ROWS", 50)
    bodies: list[str | None] = [f"body {n}" for n in range(ROWS)]
    rows = hashed_rows(config_of(tmp_path), bodies)
    ids = rows.column("id").to_pylist()
    known = frozenset(ids[300:] if first else ids[:60])
    cutting, kept, parts = cut(tmp_path / "a", bodies, known, 1, 50, True)
    other, others_kept, _ = cut(tmp_path / "b", bodies, known, 1, 50, False)
    assert parts == (1 if first else 0)
    assert (cutting, kept) == (other, others_kept)
    assert kept == sorted(known)
