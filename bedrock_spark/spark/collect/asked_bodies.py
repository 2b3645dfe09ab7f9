"""The digests of what was asked, if prepare has hashed the bodies; see answers/digest.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bedrock_spark.answers.digest import Asking, request_digest, request_digests
from bedrock_spark.outputs.lines import Note


class AskedBodies:
    """The bodies of the records of a shard.

    asking: how the run asks its models
    sha256: of the body of each record; empty if prepare has not hashed bodies
    """

    def __init__(self, asking: Asking, sha256: Mapping[str, bytes | None]) -> None:
        self._asking = asking
        self._sha256 = sha256
        self._contexts: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}

    def digests(self, ids: Sequence[str], model_id: str | None) -> list[str | None] | None:
        """Return the digest of each request that a batch job has answered.

        None if no digest is known: bodies were not hashed, or the model is not known.
        """
        if not self._sha256 or model_id is None:
            return None
        bodies = [self._sha256.get(record_id) for record_id in ids]
        context = self._context(model_id)
        known = request_digests([body for body in bodies if body is not None], context)
        if len(known) == len(bodies):
            return list(known)
        rest = iter(known)
        return [None if body is None else next(rest) for body in bodies]

    def digest_of_call(self, record_id: str, note: Note) -> str | None:
        """Return the digest of the request of a single call; None if it is not known."""
        if note.request_digest is not None:
            return note.request_digest
        body = self._sha256.get(record_id)
        if body is None or note.model_id is None:
            return None
        return request_digest(body, self._context(note.model_id, note.guardrail))

    def _context(self, model_id: str, guardrail: dict[str, str] | None = None) -> bytes:
        key = model_id, tuple(sorted((guardrail or {}).items()))
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._asking.context(model_id, guardrail)
        return context


NO_BODIES = AskedBodies(Asking(), {})
