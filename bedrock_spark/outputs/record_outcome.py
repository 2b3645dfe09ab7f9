"""The output line that counts for a record: where it is from, and how much it counts."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from bedrock_spark.outputs.judge import Judgement
from bedrock_spark.outputs.lines import OutputRecord
from bedrock_spark.outputs.outcomes import BEST_FIRST, ERROR, OK, TRUNCATED
from bedrock_spark.outputs.parse import Parsed
from bedrock_spark.outputs.record_errors import RecordError
from bedrock_spark.outputs.spill import Spill, Spilled

# KEPT: an answer that an earlier run has paid for.
BATCH, FALLBACK, KEPT = "batch", "fallback", "kept"
# Which line of a record counts: the first that is ok, else the last of the highest rank. A line
# without an answer ranks lowest: an answer, also one that cannot be read, was paid for.
_RANKS = {ERROR: 1, **{ended: rank for rank, ended in enumerate(reversed(BEST_FIRST), start=2)}}


@dataclass(frozen=True)
class Origin:
    """The job, or the object of the fallback, that a line comes from.

    model_id, region: where the job ran; None if it is not known
    ended_at: when the job ended, in seconds since the epoch; None if it still runs
    Lines of the fallback have notes of their own, which say both.
    """

    served_by: str
    attempt: int | None = None
    job_arn: str | None = None
    source: str = ""
    model_id: str | None = None
    ended_at: float | None = None
    region: str | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The line that counts for one record. `judgement` is None if it has no answer to judge.

    spilled: the place of the line's output in a file, if it is not in memory
    """

    record: OutputRecord
    origin: Origin
    judgement: Judgement | None = None
    spilled: Spilled | None = None

    @property
    def ended(self) -> str:
        """Return ok, invalid, truncated, refused or error."""
        if self.record.error is not None:
            return ERROR
        return OK if self.judgement is None else self.judgement.ended

    @property
    def error(self) -> RecordError | None:
        """Return why the record has no answer: by its line, or by what is in place of an answer."""
        if self.record.error is not None:
            return self.record.error
        return None if self.judgement is None else self.judgement.error

    @property
    def parsed(self) -> Parsed | None:
        """Return the answer's columns, or why they do not fit; None without `results.parse`."""
        return None if self.judgement is None else self.judgement.parsed

    @property
    def reason(self) -> str | None:
        """Return why an answer is not ok, unless it is an error."""
        if self.judgement is None:
            return None
        parsed = self.judgement.parsed
        return self.judgement.reason or (parsed.reason if parsed is not None else None)

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Return how much the line counts against other lines of the record."""
        if self.record.error is not None:
            # An error that may be the account's is settled by any other line, also by one whose
            # file was named by a clock that is behind.
            return -1 if self.record.error.may_be_the_accounts else 0, False, 0
        judgement, ended = self.judgement, self.ended
        if ended != TRUNCATED or judgement is None:
            return _RANKS[ended], False, 0
        return _RANKS[ended], judgement.finding is None, self.size

    @property
    def size(self) -> int:
        """Return the bytes of the line's output."""
        return len(self.record.output or b"") if self.spilled is None else self.spilled.size

    def spilled_by(self, spill: Spill) -> Outcome:
        """Return the outcome with its output where there is room for it."""
        if self.record.output is None:
            return self
        place = spill.put(self.record.output)
        if place is None:
            return self
        line = msgspec.structs.replace(self.record, output=None)
        return Outcome(line, self.origin, self.judgement, place)

    def line(self, spill: Spill | None) -> OutputRecord:
        """Return the line with its output."""
        if self.spilled is None or spill is None:
            return self.record
        return msgspec.structs.replace(self.record, output=spill.get(self.spilled))

    @property
    def is_ok(self) -> bool:
        """Tell whether the record was answered, with an answer that fits."""
        return self.ended == OK
