"""Tell an OpenLineage service that a run was begun, goes on, is done or has failed.

A thread sends the events, so that no stage waits, and ends when none is left. At the end of a
command it gets a few seconds (`openlineage.timeout_seconds`); then the command ends without it.
What goes wrong is one warning.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bedrock_spark.clock import Clock
from bedrock_spark.errors import ConfigError
from bedrock_spark.report import Report
from bedrock_spark.run_folder.manifest import read_manifest
from bedrock_spark.run_folder.run import Run

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

log = logging.getLogger(__name__)

# The variable that the client library reads, too.
API_KEY = "OPENLINEAGE_API_KEY"
_MISSING = (
    "openlineage.url needs the package openlineage-python, which is not installed: "
    "pip install 'bedrock-spark[lineage]'"
)


@dataclass
class Lineage:
    """The lineage events of one process. Any thread may tell.

    run: returns the run as it is now
    """

    run: Callable[[], Run]
    clock: Clock
    _has_started: bool = False
    _is_off: bool = False
    _waiting: deque[tuple[Callable[[], RunEvent], threading.Event]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_sending: bool = False
    _client: Any = None

    @property
    def is_on(self) -> bool:
        """Tell whether the config names a service."""
        return self.run().config.openlineage.url is not None and not self._is_off

    def check(self) -> None:
        """Raise ConfigError if the client library is missing, before a run is begun.

        A run that was begun goes on without lineage, with a warning.
        """
        if not self.is_on or find_spec("openlineage") is not None:
            return
        if not self.run().is_begun:
            raise ConfigError(_MISSING)
        log.warning("%s; the run goes on, and nobody is told", _MISSING)
        self._is_off = True

    def started(self) -> None:
        """Tell, once, that this process has begun the run."""
        run = self.run()
        if not (run.is_first and run.is_begun):
            return
        with self._lock:
            if self._has_started:
                return
            self._has_started = True
        now = self.clock.now()

        def event() -> RunEvent:
            from bedrock_spark.monitoring.lineage_events import start_event

            return start_event(run, now)

        self._send(event)

    def ended(self, report: Report) -> None:
        """Tell how a command has ended; wait for it, but no longer than the config says."""
        self.started()
        run, now = self.run(), self.clock.now()

        def event() -> RunEvent:
            from bedrock_spark.monitoring.lineage_events import end_event

            return end_event(run, report, read_manifest(run.storage), now)

        seconds = run.config.openlineage.timeout_seconds
        if not self._send(event).wait(seconds):
            log.warning("openlineage: no answer within %g seconds; the event may be lost", seconds)

    def _send(self, event: Callable[[], RunEvent]) -> threading.Event:
        """Send an event after those before it; return what is set when it was sent, or was not."""
        is_over = threading.Event()
        with self._lock:
            self._waiting.append((event, is_over))
            if self._is_sending:
                return is_over
            self._is_sending = True
        try:
            threading.Thread(target=self._work, name="openlineage", daemon=True).start()
        except RuntimeError as exc:  # the process may have no further thread
            log.warning("openlineage: an event was not sent: %s", exc)
            self._is_sending = False
            is_over.set()
        return is_over

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_sending = False
                    return
                make, is_over = self._waiting.popleft()
            try:
                self._emit(make())
            except Exception as exc:  # noqa: BLE001 - lineage is never more important than the run
                # Its text may have the whole event, so only a part of it is shown.
                log.warning("openlineage: an event was not sent: %s", f"{exc!r}"[:300])
            is_over.set()

    def _emit(self, event: RunEvent) -> None:
        if self._client is None:
            self._client = _client(self.run())
        self._client.emit(event)


def _client(run: Run) -> Any:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.http import (
        ApiKeyTokenProvider,
        HttpConfig,
        HttpTransport,
        TokenProvider,
    )

    config, key = run.config.openlineage, os.environ.get(API_KEY)
    auth = ApiKeyTokenProvider({"apiKey": key}) if key else TokenProvider({})
    transport = HttpTransport(
        HttpConfig(
            url=str(config.url),
            endpoint=config.endpoint,
            timeout=config.timeout_seconds,
            auth=auth,
            retry={"total": 1, "connect": 1, "read": 0},
        )
    )
    return OpenLineageClient(transport=transport)
