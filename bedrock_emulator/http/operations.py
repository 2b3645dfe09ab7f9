"""From a matched request to a reply: parse, let faults happen, validate, act, serialise."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Callable
from typing import Any

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.faults import Latency
from bedrock_emulator.state.draws import draw
from bedrock_emulator.state.world import World
from bedrock_emulator.wire import validation
from bedrock_emulator.wire.request_parsing import HttpRequest, parse
from bedrock_emulator.wire.serialization import HttpReply, error_reply, reply_to
from bedrock_emulator.wire.service_model import Match

log = logging.getLogger(__name__)

Operation = Callable[[dict[str, Any], str], dict[str, Any]]


class DroppedConnectionError(Exception):
    """The script says that this call gets no reply."""


class Operations:
    """All operations by name, with the script's trouble around them."""

    def __init__(self, world: World, operations: dict[str, Operation]) -> None:
        self._world = world
        self._operations = operations

    def reply(self, match: Match, request: HttpRequest, region: str) -> HttpReply:
        """Return the reply to a request; DroppedConnectionError means there is to be none."""
        name = match.route.name
        request_id = str(uuid.uuid4())
        trouble = Trouble(self._world, name)
        try:
            trouble.before()
            params = parse(match.route.operation, match.uri_params, request)
            validation.check(params, match.route.operation.input_shape)
            result = self._operations[name](params, region)
            trouble.after()
            reply = reply_to(match.route.operation, result)
            reply.headers.append(("x-amzn-RequestId", request_id))
        except ServiceError as exc:
            self._world.usage.count_error(name, exc.code)
            return error_reply(exc, request_id)
        except DroppedConnectionError:
            self._world.usage.count_error(name, "dropped connection")
            raise
        except Exception:
            log.exception("%s failed", name)
            self._world.usage.count_error(name, "InternalServerException")
            message = "The emulator failed; its log has the traceback."
            return error_reply(ServiceError("InternalServerException", message), request_id)
        return reply


class Trouble:
    """What the script does to one call."""

    def __init__(self, world: World, operation: str) -> None:
        self._script = world.faults.current.operation(operation)
        self._seed = world.faults.seed
        self._operation = operation
        self._number = world.usage.count_request(operation)

    def before(self) -> None:
        """Wait, drop, throttle or fail before anything is done."""
        script = self._script
        if script is None:
            return
        time.sleep(self._latency(script.latency) / 1000)
        if self._hits("drop-before", script.drop_before_rate, script.drop_before):
            raise DroppedConnectionError
        if self._number <= script.throttle_first or self._hits("throttle", script.throttle_rate):
            raise ServiceError(
                "ThrottlingException", "Too many requests, please wait before trying again."
            )
        if self._number <= script.error_first or self._hits("error", script.error_rate):
            raise ServiceError(script.error, "The request could not be processed. Try again.")

    def after(self) -> None:
        """Drop the connection once the effect is there: the caller cannot know."""
        script = self._script
        if script and self._hits("drop-after", script.drop_after_rate, script.drop_after):
            raise DroppedConnectionError

    def _hits(self, what: str, rate: float, numbers: tuple[int, ...] = ()) -> bool:
        if self._number in numbers:
            return True
        return rate > 0 and draw(self._seed, what, self._operation, self._number) < rate

    def _latency(self, latency: Latency) -> float:
        if latency.median_ms == 0:
            return 0.0
        # Log-normal by the inverse of a logistic curve that is close to it: no state, no numpy.
        chance = min(
            max(draw(self._seed, "latency", self._operation, self._number), 1e-9), 1 - 1e-9
        )
        spread = math.log(chance / (1 - chance)) / 1.702
        return min(latency.max_ms, latency.median_ms * math.exp(latency.sigma * spread))
