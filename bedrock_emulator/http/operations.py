"""From a matched request to a reply: faults, parsing, validation, the operation, serialisation."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from bedrock_emulator.errors import DroppedConnectionError, ServiceError
from bedrock_emulator.faults import Latency
from bedrock_emulator.runtime.invoke import PAID_ANSWER
from bedrock_emulator.state.calls import Call
from bedrock_emulator.state.draws import draw
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire import validation
from bedrock_emulator.wire.request_parsing import HttpRequest, parse
from bedrock_emulator.wire.serialization import HttpReply, error_reply, reply_to
from bedrock_emulator.wire.service_model import Match

log = logging.getLogger(__name__)

# Tells clients that the clock runs fast, so that they need not wait as long as with AWS.
SPEED_HEADER = "x-bedrock-emulator-speed"

Operation = Callable[[dict[str, Any], str], dict[str, Any]]


class Operations:
    """All operations by name, with the scripted faults around each call."""

    def __init__(self, world: EmulatorState, operations: dict[str, Operation]) -> None:
        self._world = world
        self._operations = operations
        speed = world.clock.speed
        self._speed_header = [(SPEED_HEADER, f"{speed:g}")] if speed > 1 else []

    def reply(self, match: Match, request: HttpRequest, region: str) -> HttpReply:
        """Return the reply to a request; raises DroppedConnectionError if it must get none."""
        name = match.route.name
        request_id = str(uuid.uuid4())
        faults = CallFaults(self._world, name, unquote(request.path), request.body)
        now, path = self._world.clock.now(), match.uri_params
        call = Call(now, name, region, path, request.query, request.body)
        self._world.calls.add(call)
        try:
            faults.before()
            params = parse(match.route.operation, match.uri_params, request)
            validation.check(params, match.route.operation.input_shape)
            result = self._operations[name](params, region)
            self._drop_reply(faults, result)
            reply = reply_to(match.route.operation, result)
            reply.headers.append(("x-amzn-RequestId", request_id))
            reply.headers.extend(self._speed_header)
        except ServiceError as exc:
            self._count_error(call, exc.code)
            return error_reply(exc, request_id)
        except DroppedConnectionError:
            self._count_error(call, "dropped connection")
            raise
        except Exception:
            log.exception("%s failed", name)
            self._count_error(call, "InternalServerException")
            message = "The emulator failed; its log has the traceback."
            return error_reply(ServiceError("InternalServerException", message), request_id)
        return reply

    def _count_error(self, call: Call, code: str) -> None:
        call.error = code
        self._world.usage.count_error(call.operation, code)

    def _drop_reply(self, faults: CallFaults, result: dict[str, Any]) -> None:
        """Drop the connection if the script says so; the answer in the reply is lost then."""
        try:
            faults.after()
        except DroppedConnectionError:
            if PAID_ANSWER in result:
                self._world.usage.mark_lost(result[PAID_ANSWER])
            for value in result.values():
                if hasattr(value, "close"):  # the events of a stream
                    value.close()
            raise


class CallFaults:
    """The scripted faults of one call. The constructor counts the call."""

    def __init__(
        self, world: EmulatorState, operation: str, path: str = "", body: bytes = b""
    ) -> None:
        """path: of the request, decoded; body: of the request, empty for S3"""
        self._holds = world.faults.holds
        self._path, self._body = path, body
        self._script = world.faults.current.operation(operation)
        self._seed = world.faults.seed
        self._operation = operation
        self._number = world.usage.count_request(operation)

    def before(self) -> None:
        """Before the operation: wait, drop the connection, throttle or fail the call."""
        self._holds.wait(self._operation, self._path, self._body)
        script = self._script
        if script is None:
            return
        time.sleep(self._latency_ms(script.latency) / 1000)
        if self._hits("drop-before", script.drop_before_rate, script.drop_before):
            raise DroppedConnectionError
        if self._number <= script.throttle_first or self._hits("throttle", script.throttle_rate):
            raise ServiceError(
                "ThrottlingException", "Too many requests, please wait before trying again."
            )
        if self._number <= script.error_first or self._hits("error", script.error_rate):
            raise ServiceError(script.error, "The request could not be processed. Try again.")

    def after(self) -> None:
        """After the operation took effect: drop the connection, so the caller cannot know of it."""
        script = self._script
        if script and self._hits("drop-after", script.drop_after_rate, script.drop_after):
            raise DroppedConnectionError

    def _hits(self, fault: str, rate: float, numbers: tuple[int, ...] = ()) -> bool:
        if self._number in numbers:
            return True
        return rate > 0 and draw(self._seed, fault, self._operation, self._number) < rate

    def _latency_ms(self, latency: Latency) -> float:
        """Return a delay by inverse transform sampling: min(max_ms, median_ms · exp(sigma · z)).

        z is about standard normal. Its quantile is approximated by the logistic one,
        ln(p / (1 - p)) / 1.702: with this scale the two distribution functions differ by less
        than 0.01. https://en.wikipedia.org/wiki/Logit#Comparison_with_probit
        """
        if latency.median_ms == 0:
            return 0.0
        # Away from 0 and 1, where the quantile is infinite.
        p = min(max(draw(self._seed, "latency", self._operation, self._number), 1e-9), 1 - 1e-9)
        z = math.log(p / (1 - p)) / 1.702
        return min(latency.max_ms, latency.median_ms * math.exp(latency.sigma * z))
