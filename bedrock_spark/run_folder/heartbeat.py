"""Do something again and again, beside what takes long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bedrock_spark.errors import BedrockSparkError

log = logging.getLogger(__name__)


@contextmanager
def run_periodically(
    what: str, work: Callable[[], None], pause: Callable[[], float]
) -> Iterator[None]:
    """Work after every pause until the context ends; what fails is logged, and tried again."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(pause()):
            try:
                work()
            except BedrockSparkError as exc:
                log.warning("%s: %s", what, exc)

    thread = threading.Thread(target=repeat, name=what, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
