"""The run manifest: the immutable list of a run's shards. Writing it is what commits prepare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import msgspec

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import AlreadyExistsError, RunFolderError
from bedrock_spark.garbage import garbage_collection_paused
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

FORMAT = 1
# The columns of a run manifest are "`name` type, `name` type"; types have no spaces.
_COLUMN = re.compile(r"(?:^|, )`([^`]*)` ")


class Shard(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The records of one batch job: one JSONL object, or a folder of several.

    records, bytes: how many it has; sha256: of the bytes, in hexadecimal
    sharing: the number of rows without a record of their own: they share one with an equal body
    prepare_id: of the prepare that wrote it; the manifest has it once, for all shards
    files: if it is a folder, the bytes of each object, in the order of the records
    rows_bytes: of the Parquet file of its rows; 0 if they are not known
    """

    shard_id: str
    records: int
    bytes: int
    sha256: str
    sharing: int = 0
    prepare_id: str = ""
    files: tuple[int, ...] = ()
    rows_bytes: int = 0

    @property
    def rows(self) -> int:
        """Return the number of rows behind the records."""
        return self.records + self.sharing

    @property
    def key(self) -> str:
        """Return the object that holds its lines, or the folder of such objects: a job reads it."""
        if self.files:
            return layout.shard_folder(self.shard_id, self.prepare_id)
        return layout.shard_key(self.shard_id, self.prepare_id)

    @property
    def sizes(self) -> dict[str, int]:
        """Return the objects that hold its lines, in order, with the bytes of each."""
        keys = layout.lines_keys(self.key, len(self.files))
        return dict(zip(keys, self.files or (self.bytes,), strict=True))


@dataclass(frozen=True)
class RejectedRows:
    """The rows of a bucket that could not become records."""

    bucket: int
    rows: int

    @property
    def unit(self) -> str:
        """Return the name of this unit; the name of a shard is its shard id."""
        return f"rejects-{self.bucket:05d}"


@dataclass(frozen=True)
class KeptRows:
    """Rows whose answers were kept by earlier runs: they are not asked.

    unit: the name of this unit
    rows, records: how many rows it has, and how many different requests they make
    bytes: of the answers as output lines
    """

    unit: str
    rows: int
    records: int
    bytes: int


@dataclass(frozen=True)
class SourceState:
    """What was known of the source when prepare read it, to notice that it has changed.

    digest: of the path, size and modification time of every file, and of all versions
    files, bytes: how many there are in total
    versions: of tables that have one
    is_handed_in: the source was a DataFrame of the caller
    """

    digest: str
    files: int = 0
    bytes: int = 0
    versions: tuple[str, ...] = ()
    is_handed_in: bool = False


@dataclass(frozen=True)
class RunManifest:
    """The result of prepare.

    rows: the number of rows in the source
    columns: Spark DDL of the source columns that are kept for the results
    prepare_id: names the folders of the shards, of their rows and of the rejects
    source: the state of the source; None if it was not known
    kept: the rows that are not asked, because their answers were kept
    why_asked: with a store of answers, the other rows by why no kept answer was used; see
        answers/lookup.py
    """

    run_id: str
    rows: int
    columns: str
    shards: tuple[Shard, ...]
    rejects: tuple[RejectedRows, ...]
    prepare_id: str = ""
    source: SourceState | None = None
    kept: tuple[KeptRows, ...] = ()
    why_asked: Mapping[str, int] = field(default_factory=dict)

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """Return the names of the source columns that are kept for the results."""
        return tuple(_COLUMN.findall(self.columns))

    @property
    def units(self) -> tuple[str, ...]:
        """Return the name of every unit: shards, buckets with rejected rows, and kept rows."""
        asked = (*(s.shard_id for s in self.shards), *(r.unit for r in self.rejects))
        return (*asked, *(k.unit for k in self.kept))

    @property
    def records(self) -> int:
        """Return the number of records."""
        return sum(s.records for s in self.shards)

    @property
    def sharing(self) -> int:
        """Return the number of rows that share the record of another row."""
        return sum(s.sharing for s in self.shards)

    @property
    def kept_rows(self) -> int:
        """Return the number of rows that are not asked, because their answers were kept."""
        return sum(k.rows for k in self.kept)

    @property
    def rejected(self) -> int:
        """Return the number of rows that could not become records."""
        return sum(r.rows for r in self.rejects)


def read_manifest(storage: Storage) -> RunManifest | None:
    """Return the run manifest, or None if prepare has not committed one.

    Raises RunFolderError if it is damaged, or of another format.
    """
    data = storage.read_if_present(layout.MANIFEST_FILE)
    return None if data is None else parse_manifest(data, storage)


def commit_manifest(storage: Storage, manifest: RunManifest) -> RunManifest:
    """Write the run manifest if there is none. Return the one in the run folder.

    It is another one if another process committed first.
    """
    try:
        storage.create(layout.MANIFEST_FILE, manifest_json(manifest))
    except AlreadyExistsError:
        return parse_manifest(storage.read(layout.MANIFEST_FILE), storage)
    return manifest


def shard_of(values: dict[str, Any]) -> Shard:
    """Return the shard of these values, as read from JSON."""
    return msgspec.convert(values, Shard)


@garbage_collection_paused()
def manifest_json(manifest: RunManifest) -> bytes:
    """Return the run manifest as it is written."""
    # One shard after another: memory has no second form of all of them.
    encode = msgspec.json.Encoder().encode
    shards = b",".join(encode(_values_of(shard)) for shard in manifest.shards)
    values = {"format": FORMAT, **asdict(replace(manifest, shards=()))}
    values["shards"] = msgspec.Raw(b"[" + shards + b"]")
    for optional in ("kept", "why_asked"):
        if not values[optional]:
            del values[optional]
    return msgspec.json.format(msgspec.json.encode(values), indent=1)


def _values_of(shard: Shard) -> dict[str, Any]:
    values = msgspec.structs.asdict(shard)
    del values["prepare_id"]
    if not shard.files:
        del values["files"]
    return values


def require_manifest(storage: Storage) -> RunManifest:
    """Return the run manifest. Raises RunFolderError if there is none, or it is damaged."""
    manifest = read_manifest(storage)
    if manifest is None:
        raise RunFolderError(f"{storage.uri}: has no run manifest; run prepare first")
    return manifest


def refuse_other_run(manifest: RunManifest, run_id: str, storage: Storage) -> None:
    """Raise RunFolderError if the manifest is not of the run that run.json names."""
    if manifest.run_id != run_id:
        raise RunFolderError(
            f"{storage.uri}: manifest.json is of the run {manifest.run_id}, run.json "
            f"of {run_id}: two processes prepared it at once with different configs. "
            "Delete the folder, or use a new run_uri"
        )


@garbage_collection_paused()
def parse_manifest(data: bytes, storage: Storage) -> RunManifest:
    """Return the run manifest of these bytes. Raises RunFolderError as `read_manifest`."""
    uri = join_uri(storage.uri, layout.MANIFEST_FILE)
    try:
        found = _WRITTEN.decode(data)
    except (msgspec.DecodeError, ValueError) as exc:
        _refuse_format(_format_of(data), uri)
        raise RunFolderError(f"{uri}: is not a run manifest; the folder is damaged") from exc
    _refuse_format(found.format, uri)
    for shard in found.shards:
        msgspec.structs.force_setattr(shard, "prepare_id", found.prepare_id)
    return RunManifest(
        *(found.run_id, found.rows, found.columns, found.shards, found.rejects),
        *(found.prepare_id, found.source, found.kept, found.why_asked),
    )


class _Written(msgspec.Struct):
    """The run manifest as it is written; of its shards, it has the prepare id once."""

    format: int
    run_id: str
    rows: int
    columns: str
    shards: tuple[Shard, ...]
    rejects: tuple[RejectedRows, ...]
    prepare_id: str
    source: SourceState | None = None
    kept: tuple[KeptRows, ...] = ()
    why_asked: dict[str, int] = {}


class _Format(msgspec.Struct):
    format: int


_WRITTEN = msgspec.json.Decoder(_Written)


def _format_of(data: bytes) -> int:
    """Return the format of a run manifest; that of this version if it does not say."""
    try:
        return msgspec.json.decode(data, type=_Format).format
    except (msgspec.DecodeError, ValueError):
        return FORMAT


def _refuse_format(number: int, uri: str) -> None:
    if number != FORMAT:
        raise RunFolderError(f"{uri}: has format {number}, not {FORMAT}")
