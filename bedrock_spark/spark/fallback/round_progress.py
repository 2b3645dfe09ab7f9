"""The progress of a round of the fallback: records, tokens a minute of the limit, money."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from bedrock_spark.clock import Clock
from bedrock_spark.config import FallbackConfig
from bedrock_spark.costs.call_use import CallUse
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.heartbeat import run_periodically
from bedrock_spark.invoke.shared_limit import RoundUse
from bedrock_spark.progress import CallCounts, Observer, Progress, ignore_progress

# Returns what the run has cost so far, in dollars, given the tokens that a round has used, and
# those of them at the flex tier; None if that has no price.
CostOf: TypeAlias = Callable[[Tokens, Tokens], Decimal | None]

_MINUTE = 60.0


def no_cost(tokens: Tokens, flex: Tokens) -> Decimal | None:
    """Return None: nothing has a price."""
    return None


@dataclass
class RoundProgress:
    """Shows what a round of the fallback has done. Any thread may report.

    total: the records that the round asks
    cost: what the run has cost; budget: what it may cost; None without a limit
    """

    total: int
    config: FallbackConfig
    observe: Observer
    clock: Clock
    cost: CostOf = no_cost
    budget: Decimal | None = None
    _last: CallUse = field(default_factory=CallUse)
    _window: deque[tuple[float, CallUse]] = field(default_factory=deque)

    def report(self, use: CallUse) -> None:
        """Show what was used so far."""
        self._last, now = use, self.clock.now()
        self._window.append((now, use))
        # The oldest value is a minute old, or the newest of those that are older.
        while len(self._window) > 2 and self._window[1][0] <= now - _MINUTE:
            self._window.popleft()
        self._show(self._counts())

    def end(self, use: CallUse) -> None:
        """Show the end of the round. use: by the results of its tasks.

        The heartbeats may know more: also of attempts that died.
        """
        most = max(self._last, use, key=lambda each: each.quota)
        self.report(CallUse(self.total, most.quota, most.tokens, most.flex))

    def _show(self, counts: CallCounts) -> None:
        done = min(self._last.asked, self.total)
        waits_for = "answers of the model"
        self.observe(Progress("fallback", done, self.total, waits_for=waits_for, calls=counts))

    def _counts(self) -> CallCounts:
        (begun, first), (now, last) = self._window[0], self._window[-1]
        minutes = (now - begun) / _MINUTE
        cost = self.cost(last.tokens, last.flex)
        return CallCounts(
            input_tokens=last.tokens.input,
            output_tokens=last.tokens.output,
            tokens_per_minute=round((last.quota - first.quota) / minutes) if minutes else 0,
            token_limit=self.config.tokens_per_minute,
            calls_per_minute=round((last.asked - first.asked) / minutes) if minutes else 0,
            call_limit=self.config.requests_per_minute,
            cost_usd=None if cost is None else float(cost),
            budget_usd=None if self.budget is None else float(self.budget),
        )


@contextmanager
def shown_progress(progress: RoundProgress, use: RoundUse) -> Iterator[RoundProgress]:
    """Report every few seconds what the tasks of a round have used, while the block runs."""
    progress.report(CallUse())
    if progress.observe is ignore_progress:
        yield progress
        return
    with run_periodically(
        "counting the records of the fallback",
        lambda: progress.report(use.so_far()),
        lambda: use.pause,
    ):
        yield progress
