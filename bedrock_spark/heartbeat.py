"""Run a function periodically in a background thread, while a block runs.

A lease or a claim is kept in this way. Its holder must stop when it is lost: if another process
took it over, or if it could not be renewed for as long as it lasts. The second is measured by the
holder's own monotonic clock, so no clocks of two machines are compared.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bedrock_spark.errors import BedrockSparkError, RunHeldError

log = logging.getLogger(__name__)


@contextmanager
def run_periodically(
    name: str, work: Callable[[], object], interval: Callable[[], float]
) -> Iterator[None]:
    """Call `work` after every interval until the block ends. Errors are logged; work goes on.

    name: of the thread, and in the log
    interval: returns the seconds until the next call
    """
    done = threading.Event()

    def loop() -> None:
        while not done.wait(interval()):
            try:
                work()
            except BedrockSparkError as exc:
                log.warning("%s: %s", name, exc)

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Renewal:
    """Renews a lease or a claim, and knows whether it is lost. Safe to use from many threads.

    name: what is renewed, in messages
    renew: raises RunHeldError if another process took it over; any other error is trouble, and the
        next beat tries again
    seconds: how long it lasts if it is not renewed
    on_lost: called by every beat after it is lost, because a first call may come too early to end
        everything
    """

    def __init__(
        self,
        name: str,
        renew: Callable[[], None],
        seconds: float,
        on_lost: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._renew = renew
        self._seconds = seconds
        self._on_lost = on_lost
        self._monotonic = monotonic
        self._renewed_at = monotonic()
        self._lost: RunHeldError | None = None

    def beat(self) -> None:
        """Renew once; if it is lost, call `on_lost`."""
        if not self.is_lost:
            began_at = self._monotonic()
            try:
                self._renew()
                self._renewed_at = began_at
            except RunHeldError as exc:
                self._lost = exc
            except BedrockSparkError as exc:
                log.warning("%s: %s", self._name, exc)
        if self.is_lost:
            self._call_on_lost()

    @property
    def is_lost(self) -> bool:
        """Tell whether the holder must stop."""
        idle = self._monotonic() - self._renewed_at
        if self._lost is None and idle >= self._seconds:
            self._lost = RunHeldError(
                f"{self._name}: could not be renewed for {idle:.0f} seconds; another process may "
                "hold it by now. Run this again"
            )
        return self._lost is not None

    def check(self) -> None:
        """Raise RunHeldError if it is lost."""
        if self.is_lost:
            assert self._lost is not None
            raise self._lost

    def _call_on_lost(self) -> None:
        try:
            self._on_lost()
        except Exception as exc:  # noqa: BLE001 - Spark has many; the next beat tries again
            log.warning("%s is lost, and its work could not be ended: %s", self._name, exc)


@contextmanager
def kept(name: str, renewal: Renewal, interval: float) -> Iterator[Renewal]:
    """Beat every `interval` seconds while the block runs. Raises RunHeldError if it is lost.

    The error is raised from the one that ended the block, if any: most likely its work was
    cancelled because of the loss.
    """
    with run_periodically(name, renewal.beat, lambda: interval):
        try:
            yield renewal
        except Exception as exc:
            if renewal.is_lost and not isinstance(exc, RunHeldError):
                try:
                    renewal.check()
                except RunHeldError as lost:
                    raise lost from exc
            raise
    renewal.check()
