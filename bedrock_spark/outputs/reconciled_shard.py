"""How one shard ended, as a value: collect writes it; report, budget and fallback read it.

One JSON object per shard in the run folder, and one per bucket of rejected rows. To read those of
all shards: reconciliations.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.findings import Finding
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.storage import Storage

_DIGEST_LENGTH = 32


class CollectedJob(msgspec.Struct, frozen=True):
    """The output of one batch job.

    attempt: None if neither the ledger nor the path of the output tells it
    lines: the number of output lines, by kind: ok, error, bad
    input_tokens, output_tokens, images: by its output manifest, if it has one
    """

    job_id: str
    attempt: int | None
    lines: dict[str, int]
    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int | None = None


class ReconciledShard(msgspec.Struct, frozen=True, kw_only=True):
    """The reconciliation of one `unit`: a shard, rejected rows, or rows with kept answers.

    rows: of the source; outcomes: rows by outcome; served_by: answered rows by batch and fallback
    stop_reasons: rows with an answer, by its stop reason
    tokens: of the answers in the results: `input` and `output`; if there are any, `cache_read` and
        `cache_write`, which are a part of the input, and `reasoning`, a part of the output
    manifest_tokens: tokens and images by output manifests
    fallback_models: the same of all answers of the fallback, including superseded ones, by the
        model that answered and the tier of the call
    kept_tokens: of the answers in the results that were kept; no part of `tokens`
    jobs: the output of every batch job; lines: output lines by kind, of all files
    unanswered: rows without an answer that may still get one; unanswered_records: their records
    unfound: rows that are not asked again because a job claims answers that were not found;
        unfound_records: their records. Both are 0 with `fallback.ask_unfound`
    again_records: those of the records that have an answer already, and are asked again
    reasons: the commonest reasons of rows that are not ok; other_reasons: rows with any other
    again_ids, unanswered_ids: the records; only in the run folder, not in `without_ids`
    limits: by record id, the limit of tokens of its next answer, if it is not that of the record's
        own body; only in the run folder, too
    raised_tokens: the sum of these limits
    fallback_files: the files of fallback answers that were read; only in the run folder, too
    lengths: rows with an answer by its output tokens, in the bins of size_bins.py
    labels: by column of the answers, the rows of each value; None if these are no labels
    fallback_minutes: answers of the fallback by the minute since the epoch; latency: by how many
        milliseconds the call took, in the bins of size_bins.py
    dead_letters: how many rows are in the dead letter file; None if that is not known
    files: the versions of the results and of the dead letters ("": there is no such file)
    outputs, jobs_known: digests of the batch output and of the jobs that this was made of
    rules: a digest of the rules that chose the records to ask again
    unanswered_digest: a digest of unanswered_ids
    fingerprint: a digest of everything that this depends on
    """

    unit: str
    rows: int = 0
    outcomes: dict[str, int] = {}
    served_by: dict[str, int] = {}
    stop_reasons: dict[str, int] = {}
    tokens: dict[str, int] = {}
    manifest_tokens: dict[str, int] = {}
    fallback_models: tuple[ModelUse, ...] = ()
    kept_tokens: dict[str, int] = {}
    jobs: tuple[CollectedJob, ...] = ()
    lines: dict[str, int] = {}
    unanswered: int = 0
    unanswered_records: int = 0
    unfound: int = 0
    unfound_records: int = 0
    again_records: int = 0
    again_ids: tuple[str, ...] = ()
    unanswered_ids: tuple[str, ...] = ()
    limits: dict[str, int] = {}
    raised_tokens: int = 0
    reasons: tuple[Reason, ...] = ()
    other_reasons: int = 0
    findings: tuple[Finding, ...] = ()
    fallback_files: tuple[str, ...] = ()
    lengths: dict[str, int] = {}
    labels: dict[str, dict[str, int] | None] = {}
    fallback_minutes: dict[str, int] = {}
    latency: dict[str, int] = {}
    dead_letters: int | None = None
    files: tuple[str, str] = ("", "")
    outputs: str = ""
    jobs_known: str = ""
    rules: str = ""
    unanswered_digest: str = ""
    fingerprint: str = ""

    @classmethod
    def from_json(cls, data: bytes | str) -> ReconciledShard:
        """Read what `to_json` wrote. Raises msgspec.DecodeError if it is of another format."""
        return msgspec.json.decode(data, type=cls)

    def to_json(self) -> bytes:
        """Return it as it stands in the run folder."""
        return msgspec.json.encode(self)

    def without_ids(self) -> ReconciledShard:
        """Return what the controller needs: lists of records and files stay in the run folder."""
        return msgspec.structs.replace(
            self, again_ids=(), unanswered_ids=(), limits={}, fallback_files=()
        )


def never_asked(shard: ReconciledShard) -> ReconciledShard:
    """Return the reconciliation of rows that this run does not ask, whatever became of them."""
    return msgspec.structs.replace(
        shard,
        unanswered=0,
        unanswered_records=0,
        unanswered_ids=(),
        unanswered_digest=digest_of_ids(()),
        unfound=0,
        unfound_records=0,
        again_records=0,
        again_ids=(),
        limits={},
        raised_tokens=0,
    )


def digest_of_ids(record_ids: Iterable[str]) -> str:
    """Return a digest of record ids in their order."""
    return hashlib.sha256("\n".join(record_ids).encode()).hexdigest()[:_DIGEST_LENGTH]


def unanswered_rows(reconciled: Iterable[ReconciledShard]) -> int:
    """Return how many rows have no answer and may still get one."""
    return sum(shard.unanswered for shard in reconciled)


def read_reconciled(storage: Storage, unit: str) -> ReconciledShard:
    """Return the reconciliation of a collected shard, with the ids of its records.

    Raises RunFolderError if it is of another format.
    """
    key = layout.reconciliation_key(unit)
    return decode_reconciled(storage.read(key), join_uri(storage.uri, key))


def decode_reconciled(data: bytes, uri: str) -> ReconciledShard:
    """Return a reconciliation. Raises RunFolderError if it is of another format.

    uri: where it is, for the message
    """
    try:
        return ReconciledShard.from_json(data)
    except msgspec.MsgspecError as exc:
        raise damaged(uri, exc) from exc


def damaged(uri: str, why: msgspec.MsgspecError) -> RunFolderError:
    """Return the error for a reconciliation that cannot be decoded. uri: where it is"""
    return RunFolderError(
        f"{uri}: a reconciliation is damaged, or of another version of bedrock_spark ({why}); "
        "run collect, which makes it again"
    )
