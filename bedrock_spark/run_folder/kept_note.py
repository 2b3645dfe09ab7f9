"""`answers.json`: which answers of the run are in the store of answers. It commits the keep stage.

The stage writes its files first, under names that follow from the run and its reconciliations. So
if a process dies before it writes the note, the next one writes the same files again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

FORMAT = 1


@dataclass(frozen=True)
class KeptNote:
    """What of a run is in a store.

    uri: of the store
    answers, files: how many the run has added so far
    units: by unit, the fingerprint of the reconciliation whose answers were added
    outcomes: of the answers of these units that were added
    """

    uri: str
    answers: int = 0
    files: int = 0
    units: Mapping[str, str] = field(default_factory=dict)
    outcomes: tuple[str, ...] = ()

    def of_outcomes(self, outcomes: Iterable[str]) -> KeptNote:
        """Return the note for these outcomes; if it is of others, no unit counts as added."""
        wanted = tuple(sorted(outcomes))
        if wanted == self.outcomes:
            return self
        return replace(self, units={}, outcomes=wanted)


def read_kept_note(storage: Storage, uri: str) -> KeptNote:
    """Return what of the run is in the store at a URI; nothing if it is another one.

    Raises RunFolderError if the note is damaged, or of another format.
    """
    data = storage.read_if_present(layout.ANSWERS_FILE)
    if data is None:
        return KeptNote(uri)
    place = join_uri(storage.uri, layout.ANSWERS_FILE)
    try:
        values = json.loads(data)
        if values["format"] != FORMAT:
            raise RunFolderError(f"{place}: has format {values['format']}, not {FORMAT}")
        note = KeptNote(
            *(values["uri"], values["answers"], values["files"]),
            *(dict(values["units"]), tuple(values["outcomes"])),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise RunFolderError(
            f"{place}: is not the note of kept answers; delete it, and they are added to the store "
            "once more, which does no harm"
        ) from exc
    return note if note.uri == uri else KeptNote(uri)


def write_kept_note(storage: Storage, note: KeptNote) -> None:
    """Write the note; the newest one counts."""
    values: dict[str, Any] = {
        "format": FORMAT,
        "uri": note.uri,
        "answers": note.answers,
        "files": note.files,
    }
    values |= {"units": dict(note.units), "outcomes": list(note.outcomes)}
    text = json.dumps(values, separators=(",", ":"))
    storage.write(layout.ANSWERS_FILE, text.encode())
