"""What prepare has written, or would write, as a plan sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bedrock_spark.errors import PlanError
from bedrock_spark.run_folder.manifest import Shard, SourceState
from bedrock_spark.shards.lines import ShardLine


@dataclass(frozen=True)
class KnownKeys:
    """Rows that are asked whose key the last run had: with an answer that is ok, and without."""

    answered: int
    unanswered: int


@dataclass(frozen=True)
class Prepared:
    """The rows of a source, and the shards that they are cut into.

    rows: of the source; rejected: those without a record; reasons: their number by reason, of the
        most frequent reasons; empty if they are not known
    shards: all, with their digests; they have no prepare id if they are not written
    sample: some lines, chosen at random
    refusals: the errors that prepare would end with
    is_written: whether the shards are in the run folder
    source: the state of the source; None if it is not known
    left: the records that a run would still ask, if they are written; None if it is not known
    kept: rows that are not asked, because their answers were kept; why_asked: with a store of
        answers, the other rows by why no kept answer was used
    known_keys: those of these other rows whose key the last run of the source had; None if it is
        not known
    """

    rows: int
    rejected: int
    shards: Sequence[Shard]
    sample: Sequence[ShardLine]
    reasons: Mapping[str, int] = field(default_factory=dict)
    refusals: Sequence[PlanError] = ()
    is_written: bool = False
    source: SourceState | None = None
    left: int | None = None
    kept: int = 0
    why_asked: Mapping[str, int] = field(default_factory=dict)
    known_keys: KnownKeys | None = None
