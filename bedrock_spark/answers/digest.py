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

from bedrock_spark.config import Config
from bedrock_spark.families import invocation_of
from bedrock_spark.families.bare_ids import bare_model_id

_INVOCATIONS = {"invoke_model": "InvokeModel", "converse": "Converse"}


@dataclass(frozen=True)
class Asking:
    """How a run asks its models; together with the model, it is the context of a request.

    invocation: InvokeModel or Converse; schema: the JSON Schema of the answers
    guardrail: of the fallback's calls
    """

    invocation: str = "InvokeModel"
    schema: Mapping[str, Any] | None = None
    guardrail: Mapping[str, Any] | None = None

    def context(self, model_id: str, *, is_fallback: bool = False) -> bytes:
        """Return the SHA-256 of the context in which a model is asked.

        model_id: the model that is asked, or that has answered, by any of its ids
        is_fallback: whether the fallback asks it; only its calls have a guardrail
        """
        context: dict[str, Any] = {
            "model": bare_model_id(model_id),
            "invocation": self.invocation,
            "schema": self.schema,
            "guardrail": self.guardrail if is_fallback else None,
        }
        text = json.dumps(context, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).digest()


def asking_of(config: Config) -> Asking:
    """Return how a run asks its models. Raises ConfigError if the family is not known."""
    guardrail = config.fallback.guardrail if config.fallback is not None else None
    return Asking(
        _INVOCATIONS[invocation_of(config)],
        config.request.answer_schema,
        None if guardrail is None else guardrail.model_dump(mode="json"),
    )


def context_of(config: Config, model_id: str, *, is_fallback: bool = False) -> bytes:
    """Return the context in which a run asks a model; see `Asking.context`."""
    return asking_of(config).context(model_id, is_fallback=is_fallback)


def contexts_of(config: Config) -> tuple[bytes, ...]:
    """Return the contexts in which a run may ask, in the order in which their answers are used.

    First that of the model, then those of other models of targets, then that of the fallback.
    """
    contexts = [context_of(config, config.model.id)]
    contexts += [context_of(config, target.model_id) for target in config.targets]
    if config.fallback is not None:
        contexts.append(context_of(config, config.fallback.model_id, is_fallback=True))
    return tuple(dict.fromkeys(contexts))


def request_digest(body_sha256: bytes, context: bytes) -> str:
    """Return the digest of a request in hexadecimal, 64 characters.

    body_sha256: 32 bytes; context: as `context_of` returns it
    """
    return hashlib.sha256(body_sha256 + context).hexdigest()


def request_digests(bodies_sha256: Sequence[bytes], context: bytes) -> list[str]:
    """Return the digests of many requests in one context."""
    sha256 = hashlib.sha256
    return [sha256(body + context).hexdigest() for body in bodies_sha256]
