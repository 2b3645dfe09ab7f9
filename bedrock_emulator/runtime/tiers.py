"""Service tiers of InvokeModel and Converse: which a call has, and what its script does to flex."""

from __future__ import annotations

import fnmatch
import threading
import time
from typing import Any

from bedrock_emulator.errors import ServiceError, invalid
from bedrock_emulator.state.draws import draw
from bedrock_emulator.state.world import EmulatorState

FLEX = "flex"


class Tiers:
    """Checks the tier of a call before it is answered. Safe to use from many threads."""

    def __init__(self, world: EmulatorState) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._flex_calls = 0

    def enter(self, params: dict[str, Any], base_model_id: str) -> str | None:
        """Return the tier of a call, None if it names none; wait as long as the script says.

        Raise ValidationException if the model does not have the tier, ThrottlingException or
        ServiceUnavailableException if the script says that it is busy.
        """
        tier = params.get("serviceTier")
        tier = tier.get("type") if isinstance(tier, dict) else tier
        if tier == "reserved":
            raise invalid("Reservation not found.")
        if tier != FLEX:
            return tier
        script, seed = self._world.faults.current.flex, self._world.faults.seed
        if any(fnmatch.fnmatchcase(base_model_id, each) for each in script.unsupported):
            raise invalid("The provided service tier is not supported for this model")
        with self._lock:
            self._flex_calls += 1
            number = self._flex_calls
        if number <= script.throttle_first or (
            script.throttle_rate and draw(seed, "flex-throttle", number) < script.throttle_rate
        ):
            raise ServiceError(
                "ThrottlingException", "Too many requests, please wait before trying again."
            )
        if number <= script.unavailable_first or (
            script.unavailable_rate
            and draw(seed, "flex-unavailable", number) < script.unavailable_rate
        ):
            raise ServiceError(
                "ServiceUnavailableException", "Bedrock is unable to process your request."
            )
        time.sleep(script.seconds)
        return FLEX
