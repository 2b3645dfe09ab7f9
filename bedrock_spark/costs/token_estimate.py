"""Estimate the tokens of a call: by a rule of thumb at first, then from the calls before it.

Two means are kept, input tokens per byte of body and output tokens per call. Each is the plain mean
of the first 50 calls, and then an exponential moving average with the weight 1/50
(https://en.wikipedia.org/wiki/Exponential_smoothing).
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

from bedrock_spark.costs.tokens import BYTES_PER_TOKEN

# The n-th call has the weight 1/n, but at least 1/50, so that old calls count less and less.
_MEMORY = 50
# A body may have more tokens per byte than the mean: 1/16 more are reserved.
_SPARE = 1.0625


@dataclass
class TokenEstimate:
    """Learns from answers. Safe to use from many threads.

    max_answer_tokens: the most tokens that an answer may have; None if the request sets no limit
    output_rate: how many tokens of the quota an output token takes: see `burndown.py`
    """

    max_answer_tokens: int | None = None
    output_rate: int = 1
    _input_per_byte: float = 1 / BYTES_PER_TOKEN
    _output: float = field(init=False)
    _calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._output = float(self.max_answer_tokens or 0)

    def of(self, body: bytes, limit: int | None = None) -> tuple[int, int]:
        """Return the quota tokens that a call is expected to use, and those that it reserves.

        limit: the most tokens of this answer, if it is not `max_answer_tokens`
        Both are input and output together. The service reserves the longest answer as it is, and
        counts a real one `output_rate` times. The second number is an estimate, too, but a high
        one, and never less than the first.
        """
        with self._lock:
            input_tokens = len(body) * self._input_per_byte
            expected = input_tokens + self._output * self.output_rate
            most = input_tokens * _SPARE + (limit or self.max_answer_tokens or self._output)
        return math.ceil(expected), math.ceil(max(expected, most))

    def used(self, input_tokens: int, output_tokens: int, cache_read: int = 0) -> int:
        """Return the quota tokens that an answered call has used.

        cache_read: the part of the input that was read from a cache, which does not count
        """
        return max(0, input_tokens - cache_read) + output_tokens * self.output_rate

    def learn(self, body: bytes, input_tokens: int, output_tokens: int) -> None:
        """Update the means with the tokens that a call used."""
        with self._lock:
            self._calls = min(self._calls + 1, _MEMORY)
            weight = 1 / self._calls
            # mean += weight * (value - mean). A model that counts no input tokens teaches no ratio.
            if body and input_tokens:
                self._input_per_byte += weight * (input_tokens / len(body) - self._input_per_byte)
            self._output += weight * (output_tokens - self._output)
