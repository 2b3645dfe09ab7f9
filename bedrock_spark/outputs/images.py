"""Images of answers, as files: base64 in the answer, or files that a job left beside its lines.

An image ends as `results/images/<shard>/<record_id>-<n>.<ext>`, n from 0; what it is, its bytes
tell. Writing the same image again changes nothing. What is not an image in base64 is a finding, and
the answer stands without it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage
from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.media import IMAGES, fetches_nothing, read_media

UNKNOWN = "bin"
_DATA_URI = re.compile(r"data:[^,]{0,100},")
_NUMBERED = re.compile(r"(.+?)[-_.]?\d{1,3}")
_SUFFIXES = (*(f".{name}" for name in IMAGES), ".jpg")


@dataclass
class AnswerImages:
    """The images of one shard's answers.

    files: keys of the images in output folders, by folder and record
    bad: the records with an image that could not be read
    """

    storage: Storage
    shard_id: str
    files: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)

    def put(self, record_id: str, source: str, images: Sequence[str]) -> list[str] | None:
        """Write the images of an answer; return their URIs, or None where it has none.

        source: the key of the file that the answer is from
        """
        beside = self.files.get((source.rsplit("/", 1)[0], record_id), ()) if self.files else ()
        if not images and not beside:
            return None
        datas = [self._decoded(record_id, text) for text in images]
        datas += [self.storage.read(key) for key in beside]
        return [self._write(record_id, n, data) for n, data in enumerate(datas) if data]

    def _decoded(self, record_id: str, text: str) -> bytes:
        try:
            return base64.b64decode(_DATA_URI.sub("", text, count=1), validate=True)
        except (binascii.Error, ValueError):
            self.bad.append(record_id)
            return b""

    def _write(self, record_id: str, number: int, data: bytes) -> str:
        key = layout.image_key(self.shard_id, record_id, number, format_of(data))
        self.storage.write(key, data)
        return join_uri(self.storage.uri, key)


def format_of(data: bytes) -> str:
    """Return an image's format, which is its extension: png, jpeg, gif, webp; else bin."""
    try:
        found = read_media(data, fetches_nothing).format
    except Unrenderable:
        return UNKNOWN
    return found if found in IMAGES else UNKNOWN


def is_image(key: str) -> bool:
    """Tell by its name whether a file beside output lines is an image."""
    return key.lower().endswith(_SUFFIXES)


def by_record(
    keys: Iterable[str], expected: Container[str]
) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    """Sort image files by folder and record: `<record_id>.png`, or with a number at its end.

    Returns the files of no record too.
    """
    found: dict[tuple[str, str], list[str]] = {}
    foreign = []
    for key in sorted(keys):
        folder, _, name = key.rpartition("/")
        stem = name.rpartition(".")[0]
        numbered = _NUMBERED.fullmatch(stem)
        names = (stem, numbered[1] if numbered else "")
        record_id = next((n for n in names if n in expected), None)
        if record_id is None:
            foreign.append(key)
        else:
            found.setdefault((folder, record_id), []).append(key)
    return found, foreign
