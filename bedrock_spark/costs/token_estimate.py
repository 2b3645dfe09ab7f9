"""What a call will use in tokens: guessed at first, then as those before it did."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

from bedrock_spark.costs.tokens import BYTES_PER_TOKEN

# What was learned earlier counts less and less: one call in so many.
_MEMORY = 50
# A record may have more tokens for its bytes than most.
_SPARE = 1.0625


@dataclass
class TokenEstimate:
    """Learns from answers. Safe to use from many threads.

    longest_answer: tokens, where the request says so
    """

    longest_answer: int | None = None
    _per_byte: float = 1 / BYTES_PER_TOKEN
    _output: float = field(init=False)
    _calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._output = float(self.longest_answer or 0)

    def of(self, body: bytes) -> tuple[int, int]:
        """Return the tokens that a call with a body will use, and may use at most."""
        with self._lock:
            taken = len(body) * self._per_byte
            expected = taken + self._output
            most = taken * _SPARE + (self.longest_answer or self._output)
        return math.ceil(expected), math.ceil(max(expected, most))

    def learn(self, body: bytes, input_tokens: int, output_tokens: int) -> None:
        """Take account of what a call used."""
        with self._lock:
            self._calls = min(self._calls + 1, _MEMORY)
            weight = 1 / self._calls
            if body and input_tokens:
                self._per_byte += weight * (input_tokens / len(body) - self._per_byte)
            self._output += weight * (output_tokens - self._output)
