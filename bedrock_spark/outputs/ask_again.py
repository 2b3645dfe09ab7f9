"""Which records are asked again though they have an answer, and with which limit of tokens.

There are three reasons, and the config says for each of them how many answers may be followed by
another try:

- answers that do not fit `results.parse`: the first `results.parse.retries` of them;
- answers that were cut off or are empty: as many as it takes to double the limit of tokens up to
  `request.max_tokens_ceiling`, with `request.on_truncated: retry`;
- refusals: the first, with `request.on_refused: retry`.

A record that has answers of several kinds is asked again only if each kind allows it. So it is
asked at most once, and once more for each answer that is counted here. Its limit is doubled for
each answer that was cut off, whatever other answers it has.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bedrock_spark._version import __version__
from bedrock_spark.config import Config
from bedrock_spark.families.ceilings import Ceiling, ceiling_of
from bedrock_spark.outputs.outcomes import INVALID, REFUSED, TRUNCATED

RETRY = "retry"
_DIGEST_LENGTH = 32


@dataclass(frozen=True)
class AskAgain:
    """How often answers may be followed by another try.

    invalid, refused: the number of such answers
    ceiling: the limit of tokens of the requests; None if answers that were cut off are final
    most: the highest limit that is asked for
    """

    invalid: int = 0
    refused: int = 0
    ceiling: Ceiling | None = None
    most: int = 0

    @property
    def truncated(self) -> int:
        """Return how many answers that were cut off may be followed by another try."""
        return 0 if self.ceiling is None else self.ceiling.doublings_to(self.most)

    @property
    def total(self) -> int:
        """Return how often a record may be asked again at most."""
        return self.invalid + self.truncated + self.refused

    def limit_after(self, truncated: int) -> int | None:
        """Return the limit of the next try; None if it is that of the record's own body.

        truncated: how many answers so far were cut off
        """
        if self.ceiling is None or not truncated:
            return None
        return self.ceiling.after(truncated, self.most)


NEVER = AskAgain()


def ask_again_of(config: Config) -> AskAgain:
    """Return what a config says. Raises nothing: `check` refuses a limit that is not known."""
    request, parse = config.request, config.results.parse
    retries_cut = request.on_truncated == RETRY
    return AskAgain(
        invalid=parse.retries if parse is not None else 0,
        refused=1 if request.on_refused == RETRY else 0,
        ceiling=ceiling_of(config) if retries_cut else None,
        most=request.max_tokens_ceiling or 0,
    )


def rules_digest(config: Config) -> str:
    """Return a digest of all that decides whether an answer is asked again, and may change.

    Records that were chosen by other rules, or by another version, must not be asked: they may be
    ok now, or the user may want no other answer.
    """
    rules = __version__, ask_again_of(config), config.results.parse
    return hashlib.sha256(repr(rules).encode()).hexdigest()[:_DIGEST_LENGTH]


@dataclass
class Tries:
    """Counts the answers of the records of a shard that are not ok.

    Only such records are in memory here, so a shard whose answers are ok costs nothing.
    """

    rules: AskAgain
    _answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    _final: set[str] = field(default_factory=set)

    def note_answer(self, record_id: str, ended: str, *, is_final: bool = False) -> None:
        """Count an answer that is not ok.

        is_final: whether the record would get another one like it
        """
        self._answers[record_id, ended] += 1
        if is_final:
            self._final.add(record_id)
        else:
            self._final.discard(record_id)

    def note_error(self, record_id: str) -> None:
        """Note an error that will not pass, such as a limit that the model does not accept."""
        self._final.add(record_id)

    def allow(self, record_id: str) -> bool:
        """Tell whether a record may be asked again, though it has an answer."""
        if record_id in self._final:
            return False
        rules = self.rules
        most = {INVALID: rules.invalid, TRUNCATED: rules.truncated, REFUSED: rules.refused}
        return all(self._answers[record_id, ended] <= times for ended, times in most.items())

    def limits(self, record_ids: Iterable[str]) -> dict[str, int]:
        """Return the limit of the next try of those records that do not have their own body's."""
        limits = ((i, self.rules.limit_after(self._answers[i, TRUNCATED])) for i in record_ids)
        return {record_id: limit for record_id, limit in limits if limit is not None}
