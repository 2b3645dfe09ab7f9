"""One emulator: serves its parts over HTTP on one port, and replaces them by fresh ones."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable
from typing import Any

from bedrock_emulator.answers.script import Answers
from bedrock_emulator.faults import Faults
from bedrock_emulator.http.certificate import self_signed
from bedrock_emulator.http.listener import Listener
from bedrock_emulator.http.parts import Parts
from bedrock_emulator.settings import Settings
from bedrock_emulator.state.clock import Clock
from bedrock_emulator.state.jobs import Job
from bedrock_emulator.state.store import Store


class Emulator:
    """A local Bedrock and S3. `serve` blocks; `close` ends it from another thread."""

    def __init__(self, settings: Settings, faults: Faults, answers: Answers | None = None) -> None:
        self.settings = settings
        self._faults, self._answers = faults, answers or Answers()
        self._store = Store(settings.data)
        self._clock = _clock(settings, self._store)
        self._lock = threading.Lock()
        self._parts = self._new_parts()
        tls = self_signed(settings.host, settings.tls) if settings.tls is not None else None
        self._listener = Listener(self._answer, settings.host, settings.port, tls)
        self._closed = threading.Event()

    @property
    def endpoint_url(self) -> str:
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        scheme = "http" if self.settings.tls is None else "https"
        return f"{scheme}://{host}:{self._listener.port}"

    def serve(self) -> None:
        """Answer requests until `close` is called."""
        self._parts.start()
        self._listener.serve()

    def close(self) -> None:
        """Stop the server and its threads, and save the emulated time. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._parts.world.faults.holds.replace(())  # the server waits for calls in flight
        self._listener.close()
        with self._lock:
            self._parts.close()
            self._save_clock()
            self._store.close()

    def reset(self) -> None:
        """Forget jobs, models, bills, calls and buckets; set the scripts of the start again.

        The time goes on. Other requests must have ended: they may get any answer.
        """
        from moto.moto_api._internal.models import moto_api_backend

        with self._lock:
            self._parts.close()
            moto_api_backend.reset()
            if self.settings.data is not None:
                shutil.rmtree(self.settings.data / "s3", ignore_errors=True)
            self._store.clear()
            self._parts = self._new_parts()
            self._parts.start()

    def _new_parts(self) -> Parts:
        parts = Parts(
            self.settings, self._store, self._clock, self._faults, self._answers, self.reset
        )
        parts.world.jobs.listen(self._on_status)
        return parts

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        return self._parts.app(environ, start_response)

    def _on_status(self, _job: Job) -> None:
        self._save_clock()

    def _save_clock(self) -> None:
        self._store.put("clock", "now", {"now": self._clock.now()})


def _clock(settings: Settings, store: Store) -> Clock:
    """Return a clock that starts at the real or the saved time, the later one: never backwards."""
    saved = dict(store.documents("clock")).get("now")
    clock = Clock(settings.speed)
    if saved is not None and saved["now"] > clock.now():
        return Clock(settings.speed, start=saved["now"])
    return clock
