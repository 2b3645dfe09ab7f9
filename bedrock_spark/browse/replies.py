"""What came back for one record: every answer and error, how it was read, what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from bedrock_spark.costs.paid import place_of
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.families.base import Answer
from bedrock_spark.invoke.kept_calls import judge_of
from bedrock_spark.outputs.judge import Judge, Judgement
from bedrock_spark.outputs.line_pieces import PIECE_BYTES
from bedrock_spark.outputs.lines import BadLine, Note, OutputRecord, read_lines
from bedrock_spark.outputs.outcomes import ERROR
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, KEPT, Origin, Outcome
from bedrock_spark.outputs.shard_outputs import attempt_of, in_time
from bedrock_spark.prices import CallPrices
from bedrock_spark.prices.place_prices import PlaceKey
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.run import Run
from bedrock_spark.schema import parse_ddl
from bedrock_spark.storage import LineReader, StoredObject


@dataclass(frozen=True)
class Reply:
    """What one job or call returned for a record: an answer, or an error.

    served_by: batch or fallback; kept: of an earlier run, which paid for it
    attempt: of the batch job; job_id: the last part of its ARN
    source: the object in the run folder
    output: the answer as JSON, byte for byte as it came; answer: its parts
    cost: dollars, None if a price or the tokens are not known
    ended: ok, invalid, truncated, refused or error; reason: why it is not ok
    columns: the values of `results.parse`, None if the answer does not fit, or is not parsed;
        others: how many other objects of the answer fit, too
    model_id, ended_at, run_id: of the call, as its line says; ended_at in seconds since the epoch;
        run_id: of the run that asked, if it is another one
    counts: whether the results have this reply
    """

    served_by: str
    attempt: int | None
    source: str
    output: bytes | None
    answer: Answer | None
    error_code: int | None = None
    error_message: str | None = None
    cost: Decimal | None = None
    job_id: str | None = None
    ended: str = ERROR
    reason: str | None = None
    columns: dict[str, Any] | None = None
    others: int = 0
    model_id: str | None = None
    ended_at: float | None = None
    run_id: str | None = None
    counts: bool = False


def read_replies(run: Run, inputs: Iterable[StoredObject], record_id: str) -> tuple[Reply, ...]:
    """Return the replies to a record, in the order of time. Reads the files in pieces.

    inputs: the output objects of the units that may have it
    """
    files = [item for item in in_time(inputs) if layout.has_output_lines(item.key)]
    judge = judge_of(run.config)
    found: list[tuple[Reply, Outcome]] = []
    jobs = _JobPrices(run)
    with closing(LineReader(run.storage, files, PIECE_BYTES)) as reader:
        for item in files:
            for piece in reader.whole_lines(item):
                for line in _lines_with(piece, record_id.encode()):
                    found += _read(run, judge, jobs, item.key, line, record_id)
    chosen = _that_counts([outcome for _, outcome in found])
    replies = (reply for reply, _ in found)
    return tuple(replace(r, counts=True) if i == chosen else r for i, r in enumerate(replies))


def _that_counts(outcomes: list[Outcome]) -> int | None:
    """Return which one the results have: the first ok one, else the last of the highest rank."""
    best: int | None = None
    for number, outcome in enumerate(outcomes):
        if outcome.is_ok:
            return number
        if best is None or outcome.rank >= outcomes[best].rank:
            best = number
    return best


def _lines_with(piece: bytes, needle: bytes) -> Iterator[bytes]:
    """Yield the lines of a piece that have these bytes."""
    at = piece.find(needle)
    while at >= 0:
        start, end = piece.rfind(b"\n", 0, at) + 1, piece.find(b"\n", at)
        end = len(piece) if end < 0 else end
        yield piece[start:end]
        at = piece.find(needle, end)


def _read(
    run: Run, judge: Judge, jobs: _JobPrices, key: str, line: bytes, record_id: str
) -> Iterator[tuple[Reply, Outcome]]:
    side = _side_of(key)
    attempt = attempt_of(key) if side == BATCH else None
    job_id = key.rsplit("/", 2)[-2] if side == BATCH else None
    origin = Origin(side, attempt, source=key)
    for record in read_lines(line, has_notes=side != BATCH):
        if isinstance(record, BadLine) or record.record_id != record_id:
            continue
        reply = Reply(side, attempt, key, record.output, None, job_id=job_id)
        if record.note is not None:
            note = record.note
            reply = replace(
                reply, model_id=note.model_id, ended_at=note.ended_at, run_id=note.run_id
            )
        if record.output is None:
            error = record.error
            if error is not None:
                reply = replace(reply, error_code=error.code, error_message=error.message)
            yield reply, Outcome(record, origin)
            continue
        answer, judgement = judge.read(record.output)
        cost = _cost(run, jobs, answer, record, reply)
        reply = replace(reply, answer=answer, cost=cost, **_judged(run, judgement))
        yield reply, Outcome(record, origin, judgement)


def _side_of(key: str) -> str:
    folder = key.split("/", 1)[0]
    return {layout.FALLBACK: FALLBACK, layout.KEPT: KEPT}.get(folder, BATCH)


def _judged(run: Run, judgement: Judgement) -> dict[str, Any]:
    """Return what a judgement says, as members of a reply."""
    parsed, error = judgement.parsed, judgement.error
    reason = judgement.reason or (parsed.reason if parsed is not None else None)
    found: dict[str, Any] = {
        "ended": judgement.ended,
        "reason": reason or (error.message if error is not None else None),
    }
    if parsed is not None and parsed.values is not None:
        parse = run.config.results.parse
        names = [field.name for field in parse_ddl(parse.columns)] if parse is not None else []
        found["columns"] = dict(zip(names, parsed.values, strict=True))
        found["others"] = parsed.others
    return found


@dataclass
class _JobPrices:
    """The prices of the batch jobs of a run, each by the model and the Region in which it ran."""

    run: Run

    def of(self, job_id: str | None) -> CallPrices:
        """Return the prices of a job. Reads the ledger if the places of the run differ in them."""
        prices = self.run.prices
        each = {repr(prices.of_batch(place)) for place in (None, *prices.places)}
        place = None if len(each) == 1 else self._places.get(job_id)
        return prices.of_batch(place)

    @cached_property
    def _places(self) -> dict[str | None, PlaceKey | None]:
        jobs = Ledger(self.run.storage).replay().values()
        return {job.seen.job_id: place_of(job) for job in jobs if job.seen is not None}


def _cost(
    run: Run, jobs: _JobPrices, answer: Answer, record: OutputRecord, reply: Reply
) -> Decimal | None:
    if reply.served_by == KEPT:
        return Decimal(0)
    if reply.served_by == FALLBACK:
        note = record.note or Note()
        prices = run.prices.of_call(note.model_id, note.tier)
    else:
        prices = jobs.of(reply.job_id)
    images = len(answer.images)
    has_price = prices.tokens is not None and answer.input_tokens is not None
    if not has_price and (not images or prices.image is None):
        return None
    tokens = Tokens(
        answer.input_tokens or 0,
        answer.output_tokens or 0,
        images=images,
        cache_read=answer.cache_read_tokens or 0,
        cache_write=answer.cache_write_tokens or 0,
    )
    return tokens.cost(prices.tokens, prices.image)
