"""The results of the canary in the run folder: every try. The last one decides.

A try is written when its calls are over. If the process dies before that, the canary is sent again,
which costs a few records. If two processes send it at once, both tries are kept: what they cost is
known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import ObjectChangedError, RunFolderError
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
    truncated, declined: answers that were cut off or are empty; answers that are refusals
    enough_tokens: the limit with which the answers that were cut off were whole; None if not known
    probes: how many answers were asked for to find that out; probe_tokens: their input and output
    is_denied: whether the model refused to answer any record: the account may not use it, say
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
    truncated: int = 0
    declined: int = 0
    enough_tokens: int | None = None
    probes: int = 0
    probe_tokens: tuple[int, int] = (0, 0)
    is_denied: bool = False

    @property
    def error_share(self) -> float | None:
        """Return the refused share of the records that got a reply; None if none got one."""
        replies = self.answered + self.refused
        return self.refused / replies if replies else None

    @property
    def truncated_share(self) -> float:
        """Return the share of the answers that were cut off or are empty."""
        return self.truncated / self.answered if self.answered else 0.0


def read_tries(storage: Storage) -> tuple[Canary, ...]:
    """Return every try of the run's canary, oldest first.

    Raises RunFolderError if the file is damaged, or of another format.
    """
    data = storage.read_if_present(layout.CANARY_FILE)
    return () if data is None else _parse_all(storage, data)


def add_try(storage: Storage, canary: Canary) -> None:
    """Append a try, after those that other processes add meanwhile.

    Raises RunFolderError if the file is damaged, or of another format.
    """
    while True:
        found = storage.read_version(layout.CANARY_FILE)
        data, version = found or (None, None)
        tries = () if data is None else _parse_all(storage, data)
        try:
            storage.replace(layout.CANARY_FILE, _encoded((*tries, canary)), version)
        except ObjectChangedError:
            continue
        return


def _encoded(tries: Iterable[Canary]) -> bytes:
    content = {"format": FORMAT, "tries": [asdict(each) for each in tries]}
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _parse_all(storage: Storage, data: bytes) -> tuple[Canary, ...]:
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise RunFolderError(f"{_uri(storage)}: has format {content['format']}, not {FORMAT}")
        return tuple(_parse(values) for values in content["tries"])
    except (ValueError, KeyError, TypeError) as exc:
        raise RunFolderError(
            f"{_uri(storage)}: is not a file of canary results; delete it to send the canary again"
        ) from exc


def _parse(values: dict[str, Any]) -> Canary:
    failures = (
        CanaryFailure(**{**failure, "record_ids": tuple(failure["record_ids"])})
        for failure in values["failures"]
    )
    return Canary(
        **{
            **values,
            "failures": tuple(failures),
            "probe_tokens": tuple(values.get("probe_tokens", (0, 0))),
        }
    )


def _uri(storage: Storage) -> str:
    return join_uri(storage.uri, layout.CANARY_FILE)
