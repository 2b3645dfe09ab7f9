"""The results of the canary in the run folder: every try. The last one decides.

A try is written when its calls are over. If the process dies before that, the canary is sent again.
If two processes send it at once, the try of one may be lost. Either costs a few records.
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
    """One error, and the records that met it. The message quotes no prompt.

    count: the number of these records
    error_code: the HTTP status of the reply, or the one that fits best if there was no reply
    error_type: the service's code, such as ThrottlingException; "" if unknown
    """

    count: int
    error_code: int | None
    error_type: str
    message: str
    record_ids: tuple[str, ...]


@dataclass(frozen=True)
class Canary:
    """One try of the canary.

    Records neither answered nor refused met only errors that may pass, such as throttling or no
    reply, until their attempts or the time were used up.

    asked_at: when the calls were over, in seconds since the epoch
    asked, answered, refused: numbers of records
    line_bytes: the bytes of the answered records' lines in their shards
    input_tokens, output_tokens: of the answers; 0 if the model does not count them
    failures: the most frequent first
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
        """Return the refused share of the records that got a reply; None if none got one."""
        replies = self.answered + self.refused
        return self.refused / replies if replies else None


def read_tries(storage: Storage) -> tuple[Canary, ...]:
    """Return every try of the run's canary, oldest first.

    Raises RunFolderError if the file is damaged, or of another format.
    """
    data = storage.read_if_present(layout.CANARY_FILE)
    if data is None:
        return ()
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise RunFolderError(f"{_uri(storage)}: has format {content['format']}, not {FORMAT}")
        return tuple(_parse(values) for values in content["tries"])
    except (ValueError, KeyError, TypeError) as exc:
        raise RunFolderError(
            f"{_uri(storage)}: is not a file of canary results; delete it to send the canary again"
        ) from exc


def add_try(storage: Storage, canary: Canary) -> None:
    """Append a try. This is a read and a write: it is not atomic."""
    tries = [asdict(each) for each in (*read_tries(storage), canary)]
    data = json.dumps({"format": FORMAT, "tries": tries}, indent=1, ensure_ascii=False)
    storage.write(layout.CANARY_FILE, data.encode())


def _parse(values: dict[str, Any]) -> Canary:
    failures = (
        CanaryFailure(**{**failure, "record_ids": tuple(failure["record_ids"])})
        for failure in values["failures"]
    )
    return Canary(**{**values, "failures": tuple(failures)})


def _uri(storage: Storage) -> str:
    return join_uri(storage.uri, layout.CANARY_FILE)
