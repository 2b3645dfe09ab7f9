"""Guardrails that the fault script has: ApplyGuardrail, and what they do to answers.

A guardrail intervenes if a text matches its regular expression. Then its message is the answer.
Shapes: Amazon Bedrock user guide, "Use guardrails with the InvokeModel operation" and "Use a
guardrail with the Converse API"; ApplyGuardrail in botocore's service model.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from bedrock_emulator.answers.pieces import pieces_of
from bedrock_emulator.answers.prompt import Backend, Completion, Pieces, Prompt
from bedrock_emulator.errors import invalid
from bedrock_emulator.families.family import Answer, Context
from bedrock_emulator.faults import GuardrailScript
from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_emulator.state.world import EmulatorState

_ACTION = "amazon-bedrock-guardrailAction"


class Guard:
    """One guardrail during one call. `has_intervened` tells afterwards what it did."""

    def __init__(self, script: GuardrailScript) -> None:
        self.script = script
        self.has_intervened = False

    def context(self, context: Context) -> Context:
        """Return a context whose answers this guardrail checks."""
        return replace(context, backend=_Guarded(context.backend, self))

    def blocks(self, text: str) -> bool:
        """Tell whether a text matches; the guardrail has intervened then."""
        is_blocked = re.search(self.script.blocks, text) is not None
        self.has_intervened = self.has_intervened or is_blocked
        return is_blocked

    def mark_chunk(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Return a body or a chunk of a stream, with what the guardrail did."""
        return {**chunk, _ACTION: "INTERVENED" if self.has_intervened else "NONE"}

    def mark_conversation(self, response: Answer) -> Answer:
        """Return the answer of Converse, with the stop reason of an intervention."""
        if not self.has_intervened:
            return response
        return replace(response, body={**response.body, "stopReason": "guardrail_intervened"})


class _Guarded:
    """A backend whose prompts and texts a guardrail checks."""

    def __init__(self, backend: Backend, guard: Guard) -> None:
        self._backend = backend
        self._guard = guard

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        script, last = self._guard.script, prompt.turns[-1].text if prompt.turns else ""
        if self._guard.blocks(last):
            return Completion(script.message, 0, 0)
        completion = self._backend.complete(model_id, prompt)
        if not self._guard.blocks(completion.text):
            return completion
        return replace(completion, text=script.message, tool_calls=(), reasoning="")

    def stream(self, model_id: str, prompt: Prompt) -> Pieces:
        """Yield the answer when it is there as a whole: what is blocked must not be seen."""
        return pieces_of(self.complete(model_id, prompt))

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        return self._backend.embed(model_id, text, dimensions)


class Guardrails:
    """Finds guardrails; one per emulator."""

    def __init__(self, world: EmulatorState) -> None:
        self._world = world

    def find(self, identifier: str | None, version: str | None) -> Guard | None:
        """Return the guardrail of a call, None if it names none.

        identifier: its id or ARN. Raise ValidationException if there is no such version.
        """
        if identifier is None:
            return None
        script = self._world.faults.current.guardrails.get(identifier.rsplit("/", 1)[-1])
        if script is None or str(version) not in script.versions:
            raise invalid(
                "The guardrail identifier or version provided in the request does not exist."
            )
        return Guard(script)

    def apply(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer ApplyGuardrail: whether the texts are blocked, and the message if they are."""
        identifier = params["guardrailIdentifier"]
        guard = self.find(identifier, params["guardrailVersion"])
        assert guard is not None
        texts = [block["text"]["text"] for block in params["content"] if block.get("text")]
        for text in texts:
            guard.blocks(text)
        is_blocked = guard.has_intervened
        length = sum(map(len, texts))
        name = identifier.rsplit("/", 1)[-1]
        return {
            "usage": {**dict.fromkeys(_UNITS, 0), "wordPolicyUnits": 1 + length // 1000},
            "action": "GUARDRAIL_INTERVENED" if is_blocked else "NONE",
            "actionReason": "Guardrail blocked." if is_blocked else "No action.",
            "outputs": [{"text": guard.script.message}] if is_blocked else [],
            "assessments": [
                {
                    "appliedGuardrailDetails": {
                        "guardrailId": name,
                        "guardrailVersion": params["guardrailVersion"],
                        "guardrailArn": f"arn:aws:bedrock:{region}:{ACCOUNT_ID}:guardrail/{name}",
                    }
                }
            ],
            "guardrailCoverage": {"textCharacters": {"guarded": length, "total": length}},
        }


_UNITS = (
    "topicPolicyUnits", "contentPolicyUnits", "wordPolicyUnits", "sensitiveInformationPolicyUnits",
    "sensitiveInformationPolicyFreeUnits", "contextualGroundingPolicyUnits",
)  # fmt: skip
