"""How an answer ended, by the word that its model gives as the stop reason.

Each family lists its own words. Case does not matter. A word that is not listed, and an answer
without a word, ended in some other way: nothing is concluded from that.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class Ending(enum.Enum):
    """How an answer ended.

    TRUNCATED: the limit of tokens that the request has cut it off
    NO_ROOM: the model's own limit cut it off, or it paused: a higher limit would not help
    REFUSED: the model, a filter or a guardrail declined; the same request would be declined again
    """

    FINISHED = "finished"
    TRUNCATED = "truncated"
    NO_ROOM = "no_room"
    REFUSED = "refused"
    TOOL_USE = "tool_use"
    OTHER = "other"


# The refusals of Claude, of Converse and of Bedrock's guardrails. A guardrail may stand before any
# model, and models of other families use the first two words for the same.
REFUSED_ANYWHERE = ("refusal", "content_filtered", "guardrail_intervened")


@dataclass(frozen=True)
class Endings:
    """The words of one family.

    words: the ending of each word, in lower case
    refused: matches the beginning of a refusal that is a sentence; None if the family has none
    """

    words: Mapping[str, Ending] = field(
        default_factory=lambda: dict.fromkeys(REFUSED_ANYWHERE, Ending.REFUSED)
    )
    refused: re.Pattern[str] | None = None

    def of(self, stop_reason: str | None) -> Ending:
        """Return the ending that a stop reason means."""
        if stop_reason is None:
            return Ending.OTHER
        ending = self.words.get(stop_reason.lower())
        if ending is not None:
            return ending
        is_refused = self.refused is not None and self.refused.match(stop_reason)
        return Ending.REFUSED if is_refused else Ending.OTHER


def endings_by_word(
    *,
    finished: Iterable[str] = (),
    truncated: Iterable[str] = (),
    no_room: Iterable[str] = (),
    refused: Iterable[str] = (),
    tool_use: Iterable[str] = (),
    refused_sentence: str | None = None,
) -> Endings:
    """Return the endings of a family. `refused_sentence` is a regular expression."""
    words = {
        **dict.fromkeys(REFUSED_ANYWHERE, Ending.REFUSED),
        **dict.fromkeys((word.lower() for word in finished), Ending.FINISHED),
        **dict.fromkeys((word.lower() for word in truncated), Ending.TRUNCATED),
        **dict.fromkeys((word.lower() for word in no_room), Ending.NO_ROOM),
        **dict.fromkeys((word.lower() for word in refused), Ending.REFUSED),
        **dict.fromkeys((word.lower() for word in tool_use), Ending.TOOL_USE),
    }
    sentence = None if refused_sentence is None else re.compile(refused_sentence, re.IGNORECASE)
    return Endings(words, sentence)
