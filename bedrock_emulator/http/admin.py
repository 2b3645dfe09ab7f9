"""The emulator's control endpoints, under /_emulator: what was called, scripts, clock, reset."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from bedrock_emulator.answers.script import Answers
from bedrock_emulator.faults import Faults
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.request_parsing import HttpRequest
from bedrock_emulator.wire.serialization import HttpReply, dump

PREFIX = "/_emulator/"
_MAX_ADVANCE_SECONDS = 10 * 365 * 86_400.0
_SETTLE_SECONDS = 300.0  # real time: how long an advance waits for the work that is due by then


class Admin:
    """Answers requests to `/_emulator/…`."""

    def __init__(
        self, world: EmulatorState, catch_up: Callable[[float], bool], reset: Callable[[], None]
    ) -> None:
        """Answer for one emulator.

        catch_up: waits some seconds at most for the counts of running jobs; reset: forgets all
        """
        self._world = world
        self._catch_up = catch_up
        self._reset = reset
        self._routes: dict[tuple[str, str], Callable[[bytes], Any]] = {
            ("GET", "health"): lambda _: {"status": "ok"},
            ("GET", "usage"): lambda _: world.usage.report(),
            ("GET", "calls"): lambda _: world.calls.report(),
            ("POST", "reset"): self._forget,
            ("GET", "requests"): lambda _: (
                world.usage.requests() | {"held": world.faults.holds.counts()}
            ),
            ("GET", "faults"): lambda _: world.faults.current.model_dump(mode="json"),
            ("PUT", "faults"): self._set_faults,
            ("GET", "answers"): lambda _: world.answers.report(),
            ("PUT", "answers"): self._set_answers,
            ("GET", "clock"): lambda _: self._clock(),
            ("POST", "clock/advance"): self._advance,
        }

    def reply(self, request: HttpRequest) -> HttpReply:
        """Return the reply: 404 for an unknown endpoint, 400 for an invalid body, else 200."""
        route = self._routes.get((request.method, request.path.removeprefix(PREFIX).strip("/")))
        if route is None:
            endpoints = [f"{method} {PREFIX}{path}" for method, path in self._routes]
            return _json(404, {"message": "no such endpoint", "endpoints": endpoints})
        try:
            return _json(200, route(request.body))
        except (ValueError, TypeError, ValidationError, RecursionError) as exc:
            return _json(400, {"message": str(exc)})

    def _forget(self, _body: bytes) -> Any:
        self._reset()
        return {"status": "ok"}

    def _set_faults(self, body: bytes) -> Any:
        faults = Faults.model_validate_json(body or b"{}")
        self._world.faults.replace(faults)
        return faults.model_dump(mode="json")

    def _set_answers(self, body: bytes) -> Any:
        self._world.answers.replace(Answers.model_validate_json(body or b"{}"))
        return self._world.answers.report()

    def _clock(self) -> Any:
        clock = self._world.clock
        return {"now": clock.now(), "speed": clock.speed}

    def _advance(self, body: bytes) -> Any:
        params = json.loads(body or b"{}")
        seconds = params.get("seconds") if isinstance(params, dict) else None
        if not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_ADVANCE_SECONDS:
            raise TypeError('the body must be {"seconds": <emulated seconds>}, from 0 to ten years')
        settled = self._world.timeline.advance(float(seconds), _SETTLE_SECONDS)
        settled = settled and self._catch_up(_SETTLE_SECONDS)
        return {**self._clock(), "settled": settled}


def _json(status: int, value: Any) -> HttpReply:
    return HttpReply(status, [("Content-Type", "application/json")], dump(value))
