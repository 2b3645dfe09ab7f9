"""Answers that a job claims and whose lines are not found: they are paid for, or may be.

The service counts the answered records of a job, in its listing and in the output manifest. The
lines may be absent all the same: deleted, written late, under another name, with other ids, or
unreadable. The counts do not say which records were answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

# A few unreadable lines are torn writes. More of them mean that this version cannot read the file.
FEW_UNREADABLE = 5

# The number of answers and of errors by one claimant: the listing, or the output manifest.
Claim = tuple[int | None, int | None]


@dataclass
class FoundLines:
    """The lines of one output folder.

    ids: the shard's records that have a line; answered: those with an answer
    lines: the number of all lines; unreadable: of those that cannot be read
    """

    ids: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    lines: int = 0
    unreadable: int = 0


@dataclass(frozen=True)
class UnfoundAnswers:
    """A job, or the fallback, of which more answers are claimed than were found.

    claimant: the job's ARN, or the output folder if the ledger does not know the job
    ids: the shard's records that have a line there
    """

    claimant: str
    claimed: int
    found: int
    ids: frozenset[str]

    @property
    def count(self) -> int:
        """Return how many answers were not found."""
        return self.claimed - self.found

    def __str__(self) -> str:
        return f"{self.claimant}: {self.claimed:,} answers are claimed, {self.found:,} were found"


def unfound_answers(
    claimant: str, claims: Iterable[Claim], found: FoundLines
) -> UnfoundAnswers | None:
    """Return the answers that are claimed and were not found; None if there are none.

    The highest claim counts. Lines that cannot be read count as answers if there are more than
    `FEW_UNREADABLE` of them and no claim accounts for them.
    """
    counts = [(answers or 0, errors or 0) for answers, errors in claims]
    claimed = max((answers for answers, _ in counts), default=0)
    accounted = max((sum(count) for count in counts), default=0)
    if found.unreadable > FEW_UNREADABLE and accounted < found.lines:
        claimed = max(claimed, len(found.answered) + found.unreadable)
    if claimed <= len(found.answered):
        return None
    return UnfoundAnswers(claimant, claimed, len(found.answered), frozenset(found.ids))
