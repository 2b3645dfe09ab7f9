"""One record of a run: its request, every answer and error that came back, and its rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from bedrock_spark.browse.results import reader_of
from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.families import family_of
from bedrock_spark.families.base import Answer, read_answer
from bedrock_spark.outputs.line_pieces import PIECE_BYTES
from bedrock_spark.outputs.lines import BadLine, OutputRecord, read_lines
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK
from bedrock_spark.outputs.shard_outputs import attempt_of, in_time, shard_inputs
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.records import find_record, shards_of
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LineReader

_RECORD_ID = "record_id"


@dataclass(frozen=True)
class Reply:
    """What one job or call returned for a record: an answer, or an error.

    served_by: batch or fallback; attempt: of the batch job
    source: the object in the run folder
    output: the answer as JSON, byte for byte as it came; answer: its parts
    cost: dollars, None if a price or the tokens are not known
    """

    served_by: str
    attempt: int | None
    source: str
    output: bytes | None
    answer: Answer | None
    error_code: int | None = None
    error_message: str | None = None
    cost: Decimal | None = None


@dataclass(frozen=True)
class ShownRecord:
    """A record: `request` is its body, byte for byte; `rows` are its rows in the results.

    Several rows may share a record. There is no row before the shard is collected.
    """

    record_id: str
    request: bytes
    replies: tuple[Reply, ...]
    rows: tuple[dict[str, Any], ...]


def show_record(run: Run, manifest: RunManifest, record_id: str) -> ShownRecord:
    """Return a record of a run. Reads the outputs of the shards of its bucket, in pieces.

    Raises RunFolderError if no record has this id.
    """
    record = find_record(run.storage, manifest, record_id)
    shards = list(shards_of(manifest, record_id))
    replies = tuple(reply for shard in shards for reply in _replies(run, shard, record_id))
    rows = tuple(row for shard in shards for row in _rows(run, shard, record_id))
    return ShownRecord(record_id, record.body, replies, rows)


def ids_with_outcome(run: Run, outcome: str, most: int) -> list[str]:
    """Return the first `most` records whose rows ended so, in the order of shards."""
    prefix = run.config.results.prefix
    name = f"{prefix}{_RECORD_ID}"
    found: dict[str, None] = {}
    for batch in reader_of(run, [name, run.config.results.outcome_column], [outcome]):
        found.update(dict.fromkeys(i for i in batch.column(0).to_pylist() if i is not None))
        if len(found) >= most:
            break
    return list(found)[:most]


def _replies(run: Run, shard: Shard, record_id: str) -> Iterator[Reply]:
    inputs = in_time(shard_inputs(run.storage, shard.shard_id))
    files = [item for item in inputs if layout.has_output_lines(item.key)]
    needle = record_id.encode()
    with closing(LineReader(run.storage, files, PIECE_BYTES)) as reader:
        for item in files:
            for piece in reader.whole_lines(item):
                for line in _lines_with(piece, needle):
                    yield from _read(run, item.key, line, record_id)


def _lines_with(piece: bytes, needle: bytes) -> Iterator[bytes]:
    """Yield the lines of a piece that have these bytes."""
    at = piece.find(needle)
    while at >= 0:
        start, end = piece.rfind(b"\n", 0, at) + 1, piece.find(b"\n", at)
        end = len(piece) if end < 0 else end
        yield piece[start:end]
        at = piece.find(needle, end)


def _read(run: Run, key: str, line: bytes, record_id: str) -> Iterator[Reply]:
    side = FALLBACK if key.startswith(f"{layout.FALLBACK}/") else BATCH
    attempt = attempt_of(key) if side == BATCH else None
    for record in read_lines(line):
        if isinstance(record, BadLine) or record.record_id != record_id:
            continue
        if record.output is None:
            error = record.error
            code, message = (error.code, error.message) if error is not None else (None, None)
            yield Reply(side, attempt, key, None, None, code, message)
            continue
        answer = read_answer(record.output, family_of(run.config))
        cost = _cost(run, answer, record, side)
        yield Reply(side, attempt, key, record.output, answer, cost=cost)


def _cost(run: Run, answer: Answer, record: OutputRecord, side: str) -> Decimal | None:
    prices: TokenPrices | None = run.prices.batch
    if side == FALLBACK:
        prices = run.prices.flex if record.is_flex else run.prices.fallback
    if prices is None or answer.input_tokens is None:
        return None
    tokens = Tokens(
        answer.input_tokens,
        answer.output_tokens or 0,
        cache_read=answer.cache_read_tokens or 0,
        cache_write=answer.cache_write_tokens or 0,
    )
    return tokens.cost(prices)


def _rows(run: Run, shard: Shard, record_id: str) -> Iterator[dict[str, Any]]:
    data = run.storage.read_if_present(layout.results_key(shard.shard_id))
    if data is None:
        return
    name = f"{run.config.results.prefix}{_RECORD_ID}"
    table = pq.read_table(io.BytesIO(data), filters=pc.field(name) == record_id)
    yield from table.to_pylist()
