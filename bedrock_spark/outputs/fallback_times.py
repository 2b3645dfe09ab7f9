"""When the fallback's calls ended, and how long they took, from the lines that it wrote.

The task of the fallback notes both at the end of a line, after the model and the guardrail of the
call; a batch job writes no such line. A regular expression finds the times in whole pieces of a
file, so no line is decoded for them. It cannot find them inside an answer, after which the line has
one more brace.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bedrock_spark.outputs.size_bins import LEAST

_NOTE = re.compile(rb',"endedAt":(\d{1,12}),"latencyMs":(\d{1,9})\}\r?$', re.MULTILINE)


def note_of(
    model_id: str,
    ended_at: float,
    seconds: float | None = None,
    guardrail: Mapping[str, str] | None = None,
) -> bytes:
    """Return the end of a line: the model that was asked, when the call ended, how long it took.

    ended_at: in seconds since the epoch
    seconds: None if the model did not answer
    guardrail: of the call; a line of a call without one has no such member
    """
    asked = {"modelId": model_id} | ({} if guardrail is None else {"guardrail": dict(guardrail)})
    members = json.dumps(asked, separators=(",", ":"))[1:-1].encode()
    note = b',%b,"endedAt":%d' % (members, max(0, int(ended_at)))
    return note if seconds is None else note + b',"latencyMs":%d' % max(0, round(seconds * 1000))


@dataclass
class FallbackTimes:
    """Answered calls of the fallback.

    minutes: by the minute since the epoch in which they ended, as text
    latency: by how long they took, in milliseconds, in the bins of size_bins.py
    """

    minutes: Counter[str] = field(default_factory=Counter)
    latency: Counter[str] = field(default_factory=Counter)

    def add(self, piece: bytes) -> None:
        """Add the notes in some whole lines."""
        for ended_at, milliseconds in _NOTE.findall(piece):
            self.minutes[str(int(ended_at) // 60)] += 1
            self.latency[str(LEAST[bisect_right(LEAST, int(milliseconds)) - 1])] += 1
