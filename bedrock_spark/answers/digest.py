"""The digest of what was asked: under it, an answer is kept and found again.

    request digest = sha256( sha256(body) || sha256(context) )

The body is `modelInput` as it is in the JSONL, byte for byte. The context is canonical JSON (sorted
keys, no white space) of what else decides the answer: the model, whether it was asked by
InvokeModel or Converse, the JSON Schema of the answers, and the guardrail. A model has one id
here, whatever inference profile or geography it was asked through.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_spark.config import Config, FallbackConfig
from bedrock_spark.families import invocation_of
from bedrock_spark.families.bare_ids import bare_model_id

_INVOCATIONS = {"invoke_model": "InvokeModel", "converse": "Converse"}


@dataclass(frozen=True)
class Asking:
    """How a run asks its models; together with the model, it is the context of a request.

    invocation: InvokeModel or Converse; schema: the JSON Schema of the answers
    """

    invocation: str = "InvokeModel"
    schema: Mapping[str, Any] | None = None

    def context(self, model_id: str, guardrail: Mapping[str, Any] | None = None) -> bytes:
        """Return the SHA-256 of the context in which a model is asked.

        model_id: the model that is asked, or that has answered, by any of its ids
        guardrail: of the call, see `guardrail_of`; only calls of the fallback have one
        """
        context: dict[str, Any] = {
            "model": bare_model_id(model_id),
            "invocation": self.invocation,
            "schema": self.schema,
            "guardrail": guardrail,
        }
        text = json.dumps(context, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).digest()


def asking_of(config: Config) -> Asking:
    """Return how a run asks its models. Raises ConfigError if the family is not known."""
    return Asking(_INVOCATIONS[invocation_of(config)], config.request.answer_schema)


def guardrail_of(fallback: FallbackConfig | None) -> dict[str, str] | None:
    """Return the guardrail of the fallback's calls, as the context and the notes of calls have it.

    It may change while a run goes on: the note of a call says which one that call had.
    """
    if fallback is None or fallback.guardrail is None:
        return None
    return {"id": fallback.guardrail.id, "version": fallback.guardrail.version}


def contexts_of(config: Config) -> tuple[bytes, ...]:
    """Return the contexts in which a run may ask, in the order in which their answers are used.

    First that of the model, then those of other models of targets, then that of the fallback.
    """
    asking, fallback = asking_of(config), config.fallback
    models = [config.model.id, *(target.model_id for target in config.targets)]
    contexts = [asking.context(model_id) for model_id in models]
    if fallback is not None:
        contexts.append(asking.context(fallback.model_id, guardrail_of(fallback)))
    return tuple(dict.fromkeys(contexts))


def request_digest(body_sha256: bytes, context: bytes) -> str:
    """Return the digest of a request in hexadecimal, 64 characters.

    body_sha256: 32 bytes; context: as `Asking.context` returns it
    """
    return hashlib.sha256(body_sha256 + context).hexdigest()


def request_digests(bodies_sha256: Sequence[bytes], context: bytes) -> list[str]:
    """Return the digests of many requests in one context."""
    sha256 = hashlib.sha256
    return [sha256(body + context).hexdigest() for body in bodies_sha256]
