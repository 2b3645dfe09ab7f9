"""What this process does with runs for a user: stop one, or go on with its batch jobs.

Each runs in a thread of its own, at most one a run. The lease of the run keeps other processes out;
that a button was clicked twice is seen here. When the pages end, each is asked to end, as Ctrl-C
asks a command: the lease is released, and the batch jobs run on.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from bedrock_spark.clock import Clock, EndableClock
from bedrock_spark.errors import BedrockSparkError, ConfigError
from bedrock_spark.progress import Observer, Progress

logger = logging.getLogger(__name__)
STOPPING, GOING_ON = "stop", "go on"
# How long whoever ends an operation waits for it.
_END_SECONDS = 30.0


class Ended(KeyboardInterrupt):
    """The user, or the end of the pages, ended what a thread does. It goes the way of Ctrl-C."""


# Does the work: with a clock and an observer. Returns what it came to, in a sentence.
Work = Callable[[Clock, Observer], str]


@dataclass
class Operation:
    """What is done with a run.

    kind: STOPPING or GOING_ON; began_at: in seconds since the epoch
    progress: in words; outcome: what it came to, error: why it failed; both None while it works
    """

    run_uri: str
    kind: str
    began_at: float
    progress: str = "begins"
    outcome: str | None = None
    error: str | None = None
    end: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended."""
        return self.over.is_set()


class Operations:
    """The operations of this process, the last one of each run."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, Operation] = {}

    def of(self, run_uri: str) -> Operation | None:
        """Return the last operation on a run, None if there was none."""
        return self._last.get(run_uri)

    def begin(self, run_uri: str, kind: str, work: Work, wait: float = 1.0) -> Operation:
        """Begin an operation, and wait a moment: what fails at once is known then.

        A stop ends what goes on with the run. If the same is done already, that is returned. Raises
        ConfigError if the run is being stopped, and somebody wants to go on.
        """
        with self._lock:
            before = self._last.get(run_uri)
            if before is not None and not before.is_over:
                if before.kind == kind:
                    return before
                if kind == GOING_ON:
                    raise ConfigError(f"{run_uri}: is being stopped; wait until that has ended")
                before.end.set()
            made = self._last[run_uri] = Operation(run_uri, kind, self._clock.now())
            threading.Thread(
                target=self._run, args=(made, work, before), name=f"{kind} {run_uri}", daemon=True
            ).start()
        made.over.wait(wait)
        return made

    def leave(self, run_uri: str) -> None:
        """End what this process does with a run. Its batch jobs run on."""
        operation = self._last.get(run_uri)
        if operation is not None:
            operation.end.set()
            operation.over.wait(_END_SECONDS)

    def close(self) -> None:
        """End all operations, and wait for them."""
        with self._lock:
            at_work = [each for each in self._last.values() if not each.is_over]
        for operation in at_work:
            operation.end.set()
        for operation in at_work:
            operation.over.wait(_END_SECONDS)

    def _run(self, operation: Operation, work: Work, before: Operation | None) -> None:
        def observe(progress: Progress) -> None:
            operation.progress = progress.detail or progress.stage

        try:
            if before is not None:
                before.over.wait(_END_SECONDS)
            operation.outcome = work(EndableClock(self._clock, operation.end, Ended), observe)
        except Ended:
            operation.outcome = "this page has left it; its batch jobs run on"
        except BedrockSparkError as exc:
            operation.error = str(exc)
        except Exception as exc:  # noqa: BLE001 - the page says so; the text may quote a row
            frames = "".join(traceback.format_tb(exc.__traceback__))
            logger.error("%s: %s\n%s", operation.run_uri, type(exc).__name__, frames)  # noqa: TRY400
            name = type(exc).__name__
            operation.error = f"an unexpected error ({name}); the terminal shows where it happened"
        finally:
            operation.over.set()
