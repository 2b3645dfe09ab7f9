"""What goes along with every call to a model, as InvokeModel and Converse call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bedrock_spark.config import FallbackConfig

_JSON = "application/json"


@dataclass(frozen=True)
class InvokeOptions:
    """Options that are None are not sent."""

    content_type: str = _JSON
    service_tier: str | None = None
    guardrail: tuple[str, str] | None = None
    performance: str | None = None

    def of_invoke_model(self) -> dict[str, Any]:
        """Return them as parameters of InvokeModel."""
        name, version = self.guardrail or (None, None)
        given = {
            "contentType": self.content_type,
            "accept": _JSON,
            "serviceTier": self.service_tier,
            "guardrailIdentifier": name,
            "guardrailVersion": version,
            "performanceConfigLatency": self.performance,
        }
        return {k: v for k, v in given.items() if v is not None}

    def of_converse(self) -> dict[str, Any]:
        """Return them as parameters of Converse, which takes nothing but JSON."""
        given: dict[str, Any] = {}
        if self.service_tier is not None:
            given["serviceTier"] = {"type": self.service_tier}
        if self.guardrail is not None:
            name, version = self.guardrail
            given["guardrailConfig"] = {"guardrailIdentifier": name, "guardrailVersion": version}
        if self.performance is not None:
            given["performanceConfig"] = {"latency": self.performance}
        return given


def invoke_options(config: FallbackConfig) -> InvokeOptions:
    """Return the options that the config asks for."""
    guardrail = config.guardrail
    return InvokeOptions(
        content_type=config.content_type,
        service_tier=config.service_tier,
        guardrail=(guardrail.id, guardrail.version) if guardrail else None,
        performance=config.performance,
    )
