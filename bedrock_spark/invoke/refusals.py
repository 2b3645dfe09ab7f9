"""Tell a refusal that every record would meet from the refusal of one record.

A 400 may be about the body of a record, or about the account or an option of the call: "Operation
not allowed", a guardrail that does not exist. Its code does not say which, and no list of messages
is complete. So the refusal of a record is final only if the model has answered another one. Until
then it is held. If many records are refused alike and none is answered, asking the rest is of no
use.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bedrock_spark.errors import InvokeError, InvokeRecordError
from bedrock_spark.invoke.redact import redact
from bedrock_spark.outputs.record_errors import RecordError
from bedrock_spark.shards.lines import ShardLine

# If this many refusals are alike and no record is answered, the records are not at fault.
ALIKE = 20
# The most refusals that are held, with their bodies. More can only be held if they are not alike.
MOST_HELD = 2 * ALIKE
_MAX_PATTERN = 200
# Further patterns are counted under one name; the refusals under it are not alike.
_MOST_PATTERNS, OTHERS = 20, "others"
# The parts of a message that differ from record to record: quoted text, and words with digits.
_VARIABLE = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|\S*\d\S*")
# Errors that no reply of the service is behind: the fault is certainly the body's.
_LOCAL = frozenset({"NotBase64", "ParamValidationError"})


@dataclass(frozen=True)
class Refusal:
    """A record that the service refused, with its error."""

    shard_id: str
    record: ShardLine
    error: InvokeError


@dataclass
class Refusals:
    """The refusals of one task. Safe to use from many threads.

    has_answered: whether the model has answered any record
    alike: how many refusals there were by pattern, before any answer; messages: the first message
        of each pattern, without what it quotes of a body
    """

    has_answered: bool = False
    answered: int = 0
    alike: Counter[str] = field(default_factory=Counter)
    messages: dict[str, str] = field(default_factory=dict)
    _held: list[Refusal] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note_answer(self) -> list[Refusal]:
        """Note an answer. Return the refusals that were held and are final now."""
        with self._lock:
            self.answered += 1
            self.has_answered = True
            released, self._held = self._held, []
        return released

    def note(self, refusal: Refusal) -> bool:
        """Note a refusal. Return whether it is final; if it is not, it is held."""
        with self._lock:
            if self.has_answered:
                return True
            pattern = pattern_of(refusal.error)
            if pattern not in self.messages and len(self.messages) >= _MOST_PATTERNS:
                pattern = OTHERS
            self.alike[pattern] += 1
            if pattern not in self.messages:
                self.messages[pattern] = redact(str(refusal.error), refusal.record.body)
            self._held.append(refusal)
            return False

    def take_surplus(self) -> list[Refusal]:
        """Return the held refusals if there are too many to hold; they are not final."""
        with self._lock:
            if len(self._held) < MOST_HELD:
                return []
            surplus, self._held = self._held, []
        return surplus

    def take_rest(self) -> list[Refusal]:
        """Return the refusals that are still held; they are not final."""
        with self._lock:
            rest, self._held = self._held, []
        return rest

    @property
    def is_hopeless(self) -> bool:
        """Tell whether many records were refused alike, and none was answered."""
        with self._lock:
            return not self.has_answered and most_alike(self.alike)[1] >= ALIKE


def most_alike(patterns: Mapping[str, int]) -> tuple[str, int]:
    """Return the most frequent pattern, and its number; "" and 0 if there is none."""
    alike = ((pattern, n) for pattern, n in patterns.items() if pattern != OTHERS)
    return max(alike, key=lambda each: each[1], default=("", 0))


def is_refusal(error: InvokeError, *, has_raised_limit: bool = False) -> bool:
    """Tell whether an error is the service's refusal, which may be about more than one record.

    has_raised_limit: whether the record has an answer that was cut off, and is asked with a higher
        limit of tokens: a refusal that speaks of tokens is about that limit, and final
    """
    is_final = not RecordError(error.error_code, None).is_retryable
    if not isinstance(error, InvokeRecordError) or not is_final or error.error_type in _LOCAL:
        return False
    return not (has_raised_limit and "token" in str(error).lower())


def pattern_of(error: InvokeError) -> str:
    """Return what the refusals of many records have in common: code and message, without values."""
    message = _VARIABLE.sub("#", str(error).lower())
    return f"{error.error_code} {error.error_type}: {' '.join(message.split())}"[:_MAX_PATTERN]
