"""Where the results were published: an object in the run folder, written before and after.

A note is written before Spark writes (a write-ahead intent) and again when it has. Only conditional
writes are used, so of two publishers that read the same notes one is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import ObjectChangedError, RunFolderError, RunHeldError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

WRITING, DONE = "writing", "done"


@dataclass(frozen=True)
class Publication:
    """How the results were last published to one place.

    mode: of `results.mode`; state: WRITING or DONE
    fingerprint: of the results
    is_marked: whether the place itself says that this package wrote it
    is_partial: whether the results were published before they were final
    """

    mode: str
    state: str
    fingerprint: str
    is_marked: bool = False
    is_partial: bool = False


class Publications:
    """The notes of one run, by place."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        found = storage.read_version(layout.PUBLISHED_FILE)
        self._version = found[1] if found is not None else None
        self._by_place = _parse(storage, found[0]) if found is not None else {}

    def at(self, place: str) -> Publication | None:
        """Return the last note about a place."""
        return self._by_place.get(place)

    def places(self) -> tuple[str, ...]:
        """Return the places that have all results, in their final state."""
        return tuple(
            place
            for place, note in self._by_place.items()
            if note.state == DONE and not note.is_partial
        )

    def has_now(self, fingerprint: str) -> bool:
        """Tell whether a place has these results, in their final state."""
        notes = self._by_place.values()
        return any(
            note.state == DONE and not note.is_partial and note.fingerprint == fingerprint
            for note in notes
        )

    def has_appended(self) -> bool:
        """Tell whether rows of the run were appended somewhere, or may have been, as its results.

        Later answers cannot be appended again: rows would be there twice.
        """
        notes = self._by_place.values()
        return any(note.mode == "append" and not note.is_partial for note in notes)

    def note(self, place: str, publication: Publication) -> None:
        """Write a note. Raises RunHeldError if another process has written one meanwhile."""
        by_place = self._by_place | {place: publication}
        values = {name: asdict(each) for name, each in by_place.items()}
        data = json.dumps(values, indent=1, ensure_ascii=False).encode()
        try:
            self._version = self._storage.replace(layout.PUBLISHED_FILE, data, self._version)
        except ObjectChangedError as exc:
            raise RunHeldError(
                f"{self._storage.uri}: another process publishes the results of this run; wait "
                "until it ends, and run this again"
            ) from exc
        self._by_place = by_place


def results_fingerprint(storage: Storage) -> str:
    """Return a digest that changes if the results of any shard change."""
    files = [o for o in storage.list(f"{layout.RESULTS}/") if o.key.endswith(".parquet")]
    versions = [(o.key, o.size, o.version) for o in files]
    return hashlib.sha256(json.dumps(versions).encode()).hexdigest()


def _parse(storage: Storage, data: bytes) -> dict[str, Publication]:
    try:
        return {place: Publication(**values) for place, values in json.loads(data).items()}
    except (ValueError, TypeError, AttributeError) as exc:
        uri = join_uri(storage.uri, layout.PUBLISHED_FILE)
        raise RunFolderError(
            f"{uri}: cannot be read. It says where rows were appended: compare the table with the "
            "results, and delete the object if the rows are not there"
        ) from exc
