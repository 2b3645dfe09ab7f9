"""What the canary came to, as it stands in the run folder: every try, the last one counts.

A try is written once its calls are over. A driver that dies before asks again; of two that ask at
once the later one's try stands. Either costs a few records.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

FORMAT = 1


@dataclass(frozen=True)
class CanaryFailure:
    """One way in which records were refused. The message quotes no prompt."""

    count: int
    error_code: int | None
    error_type: str
    message: str
    record_ids: tuple[str, ...]


@dataclass(frozen=True)
class Canary:
    """One try. What is neither answered nor refused was throttled, or found no one, to the end.

    line_bytes: of the answered records, as they stand in their shards
    input_tokens, output_tokens: of the answers; 0 where the model does not say
    """

    model_id: str
    asked_at: float
    asked: int
    answered: int
    refused: int
    line_bytes: int
    input_tokens: int
    output_tokens: int
    failures: tuple[CanaryFailure, ...] = ()

    @property
    def error_share(self) -> float | None:
        """Return the refused share of those that got a reply; None where none did."""
        replies = self.answered + self.refused
        return self.refused / replies if replies else None


def read_tries(storage: Storage) -> tuple[Canary, ...]:
    """Return every try of the run's canary, oldest first."""
    data = storage.read_if_present(layout.CANARY_FILE)
    if data is None:
        return ()
    try:
        told = json.loads(data)
        if told["format"] != FORMAT:
            raise RunFolderError(f"{_place(storage)}: has format {told['format']}, not {FORMAT}")
        return tuple(_parse(one) for one in told["tries"])
    except (ValueError, KeyError, TypeError) as exc:
        raise RunFolderError(
            f"{_place(storage)}: is not what a canary came to; delete it to ask again"
        ) from exc


def add_try(storage: Storage, canary: Canary) -> None:
    """Put one more try behind those that are there."""
    tries = [asdict(one) for one in (*read_tries(storage), canary)]
    data = json.dumps({"format": FORMAT, "tries": tries}, indent=1, ensure_ascii=False)
    storage.write(layout.CANARY_FILE, data.encode())


def _parse(told: dict[str, Any]) -> Canary:
    failures = (
        CanaryFailure(**{**one, "record_ids": tuple(one["record_ids"])}) for one in told["failures"]
    )
    return Canary(**{**told, "failures": tuple(failures)})


def _place(storage: Storage) -> str:
    return join_uri(storage.uri, layout.CANARY_FILE)
