"""Run a function periodically in a background thread, while a block runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bedrock_spark.errors import BedrockSparkError

log = logging.getLogger(__name__)


@contextmanager
def run_periodically(
    name: str, work: Callable[[], None], interval: Callable[[], float]
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
