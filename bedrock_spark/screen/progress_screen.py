"""The progress of a command or of a call in Python, on the screen that it has.

A terminal and a notebook get bars, a log gets lines. Importing this module does not import rich:
only a terminal needs it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol, TextIO

from bedrock_spark.progress import Observer, Progress
from bedrock_spark.screen.json_lines import JsonLines
from bedrock_spark.screen.lines import ProgressLines

# How often silence is looked for.
_TICK_SECONDS = 5.0

# Calls a function every few seconds in the background; returns what ends that.
Ticker = Callable[[Callable[[], None]], Callable[[], None]]


class _View(Protocol):
    def observe(self, progress: Progress, now: float) -> None: ...

    def tick(self, now: float) -> None: ...

    def say(self, text: str, now: float) -> None: ...

    def finish(self, now: float) -> None: ...


def tick_in_background(tick: Callable[[], None]) -> Callable[[], None]:
    """Call `tick` every few seconds from a background thread."""
    done = threading.Event()

    def loop() -> None:
        while not done.wait(_TICK_SECONDS):
            tick()

    threading.Thread(target=loop, name="progress", daemon=True).start()
    return done.set


class ProgressScreen:
    """Shows progress on a stream; `observe` is the observer. Any thread may call it.

    bars: draw bars; None for bars on a terminal and lines elsewhere
    notebook: draw bars in the cell of a notebook that runs, and nothing on the stream
    as_json: write JSON lines, wherever that is; `run_uri` is in each once it is set
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        bars: bool | None = None,
        now: Callable[[], float] = time.time,
        ticker: Ticker = tick_in_background,
        *,
        as_json: bool = False,
        notebook: bool = False,
    ) -> None:
        self._stream = stream
        self._bars = bars
        self._notebook = notebook
        self._now = now
        self._ticker = ticker
        self._lock = threading.Lock()
        self._json = JsonLines(_writer(stream)) if as_json else None
        self._view: _View | None = self._json
        self._end_ticks: Callable[[], None] | None = None

    def observe(self, progress: Progress) -> None:
        """Show the progress of a stage."""
        with self._lock:
            self._opened().observe(progress, self._now())
            if self._end_ticks is None:
                self._end_ticks = self._ticker(self._tick)

    def say(self, text: str) -> None:
        """Show a line that is about no stage."""
        with self._lock:
            self._opened().say(text, self._now())

    def say_json(self, level: str, event: str, message: str, topic: str | None = None) -> bool:
        """Write an event as JSON; return False, and write nothing, if the screen is for people."""
        with self._lock:
            if self._json is None:
                return False
            self._json.event(level, event, message, self._now(), topic)
            return True

    def name_run(self, run_uri: str) -> None:
        """Name the run in all JSON lines from now on."""
        if self._json is not None:
            self._json.run_uri = run_uri

    def finish(self) -> None:
        """Show the last progress, and end. Another `observe` begins again."""
        with self._lock:
            if self._end_ticks is not None:
                self._end_ticks()
                self._end_ticks = None
            if self._view is not None:
                self._view.finish(self._now())

    def _tick(self) -> None:
        with self._lock:
            # A tick may come late, when the screen has just been finished.
            if self._view is not None and self._end_ticks is not None:
                self._view.tick(self._now())

    def _opened(self) -> _View:
        if self._view is None and self._notebook:
            self._view = _notebook_bars()
        elif self._view is None:
            stream = self._stream or sys.stderr
            wants_bars = stream.isatty() if self._bars is None else self._bars
            self._view = _bars(stream) if wants_bars else ProgressLines(_writer(self._stream))
        return self._view


def _bars(stream: TextIO) -> _View:
    from rich.console import Console

    from bedrock_spark.screen.bars import ProgressBars

    return ProgressBars(Console(file=stream, highlight=False, emoji=False))


def _notebook_bars() -> _View:
    from bedrock_spark.screen.notebook_bars import NotebookBars, Show

    display: Any = import_module("IPython.display").display

    def place() -> Show:
        handle: Any = None

        def show(html: str, plain: str) -> None:
            nonlocal handle
            content = {"text/html": html, "text/plain": plain}
            if handle is None:
                handle = display(content, raw=True, display_id=True)
            else:
                handle.update(content, raw=True)

        return show

    return NotebookBars(place)


def _writer(stream: TextIO | None) -> Callable[[str], None]:
    def write(line: str) -> None:
        # sys.stderr is looked up each time: notebooks and tests replace it.
        place = stream or sys.stderr
        # One write, so that no log record of another thread comes between the text and its end.
        place.write(f"{line}\n")
        place.flush()

    return write


@contextmanager
def automatic_screen(is_wanted: bool) -> Iterator[Observer | None]:
    """Yield an observer that shows the progress of a call in Python; None if it is not wanted."""
    if not is_wanted:
        yield None
        return
    screen = ProgressScreen(notebook=is_notebook())
    try:
        yield screen.observe
    finally:
        screen.finish()


def is_notebook() -> bool:
    """Tell whether the code runs in a notebook: its IPython shell has a kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None
