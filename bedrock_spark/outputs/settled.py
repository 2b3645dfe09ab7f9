"""The answers of a shard that are ok: handed on in batches, and then only counted.

No later line changes such an answer, so it is not kept: memory does not grow with the answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.judge import Judgement
from bedrock_spark.outputs.lines import Note, OutputRecord
from bedrock_spark.outputs.record_outcome import Origin

# A batch has at most this many answers, and no answer is added to one with this many bytes.
_BATCH_ANSWERS, _BATCH_BYTES = 2_000, 2_000_000


class OkAnswers(msgspec.Struct, gc=False):
    """Answers that are ok, of one output file: lists with an item per record.

    notes: None if the file has no notes
    """

    origin: Origin
    ids: list[str]
    outputs: list[bytes]
    answers: list[Answer]
    judgements: list[Judgement]
    notes: list[Note] | None = None

    def append(self, line: OutputRecord, answer: Answer, judgement: Judgement) -> None:
        """Append an answer."""
        assert line.output is not None
        self.ids.append(line.record_id)
        self.outputs.append(line.output)
        self.answers.append(answer)
        self.judgements.append(judgement)
        if line.note is not None:
            self.notes = self.notes if self.notes is not None else []
            self.notes.append(line.note)

    def extend(self, more: OkAnswers) -> None:
        """Append the answers of the same file."""
        self.ids += more.ids
        self.outputs += more.outputs
        self.answers += more.answers
        self.judgements += more.judgements
        if self.notes is not None and more.notes is not None:
            self.notes += more.notes


class SettledAnswers:
    """Takes answers that are ok, and gives them to `take` in batches.

    expected: every record, and the number of rows that share it
    take: None if no answer is to be taken: then `is_on` is false
    origins: the origin of every answer so far
    rows: the number of rows, by the side that served them and the stop reason
    several_fit: the number of answers in which more than one object fits
    """

    def __init__(
        self, expected: Mapping[str, int], take: Callable[[OkAnswers], None] | None = None
    ) -> None:
        self.is_on = take is not None
        self.origins: dict[str, Origin] = {}
        self.rows: Counter[tuple[str, str | None]] = Counter()
        self.several_fit = 0
        self._expected = expected
        self._has_shared = any(rows != 1 for rows in set(expected.values()))
        self._take = take
        self._batch: OkAnswers | None = None
        self._bytes = 0

    def add(self, line: OutputRecord, origin: Origin, answer: Answer, judgement: Judgement) -> None:
        """Add one answer."""
        one = OkAnswers(origin, [], [], [], [])
        one.append(line, answer, judgement)
        self.add_many(one)

    def add_many(self, more: OkAnswers) -> None:
        """Add answers of records that are not settled yet."""
        if not more.ids:
            return
        self.origins.update(dict.fromkeys(more.ids, more.origin))
        self._count(more)
        batch = self._batch
        if batch is not None and batch.origin != more.origin:
            self.flush()
            batch = None
        if batch is None:
            self._batch = more
        else:
            batch.extend(more)
        self._bytes += sum(map(len, more.outputs))
        assert self._batch is not None
        if self._bytes >= _BATCH_BYTES or len(self._batch.ids) >= _BATCH_ANSWERS:
            self.flush()

    def flush(self) -> None:
        """Give away the answers that are held."""
        if self._batch is not None and self._take is not None:
            self._take(self._batch)
        self._batch = None
        self._bytes = 0

    def close(self) -> None:
        """Give away what is held, and forget `take`, which may hold this object in a cycle."""
        self.flush()
        self._take = None

    def _count(self, more: OkAnswers) -> None:
        served_by = more.origin.served_by
        reasons = [judgement.stop_reason for judgement in more.judgements]
        if self._has_shared:
            rows = [self._expected[record_id] for record_id in more.ids]
            for (reason, each), records in Counter(zip(reasons, rows, strict=True)).items():
                self.rows[served_by, reason] += each * records
        else:
            for reason, records in Counter(reasons).items():
                self.rows[served_by, reason] += records
        parsed = (judgement.parsed for judgement in more.judgements)
        self.several_fit += sum(1 for one in parsed if one is not None and one.others)
