"""Write the images of answers as files of the results.

An image is a base64 text in the answer, or a file that a batch job wrote beside its output lines.
It is written to `results/images/<shard>/<record_id>-<n>.<ext>`, n from 0. Its bytes tell its
format. Writing is idempotent. A text that is not base64 is a finding; the answer counts without it.
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

    files: keys of the image files in output folders, by folder and record id
    bad: the ids of records with a text that is not base64, once per such text
    """

    storage: Storage
    shard_id: str
    files: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)

    def put(self, record_id: str, source: str, images: Sequence[str]) -> list[str] | None:
        """Write the images of an answer; return their URIs, or None if it has none.

        source: the key of the output file that holds the answer
        images: the images in the answer: base64 texts or data URIs
        """
        keys = self.files.get((source.rsplit("/", 1)[0], record_id), ()) if self.files else ()
        if not images and not keys:
            return None
        contents = [self._decode(record_id, text) for text in images]
        contents += [self.storage.read(key) for key in keys]
        return [self._write(record_id, n, data) for n, data in enumerate(contents) if data]

    def _decode(self, record_id: str, text: str) -> bytes:
        """Return the bytes of a base64 text; if it is not one, note the record and return b""."""
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
    """Return the format of an image, which is also its extension: png, jpeg, gif, webp, or bin."""
    try:
        media_format = read_media(data, fetches_nothing).format
    except Unrenderable:
        return UNKNOWN
    return media_format if media_format in IMAGES else UNKNOWN


def is_image(key: str) -> bool:
    """Tell whether the name of a file beside output lines is that of an image."""
    return key.lower().endswith(_SUFFIXES)


def by_record(
    keys: Iterable[str], expected: Container[str]
) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    """Group image files by folder and record; return also the files that belong to no record.

    A file belongs to a record if its name is the record id, or the record id and a number of at
    most three digits: `<record_id>.png`, `<record_id>-0.png`.
    """
    files: dict[tuple[str, str], list[str]] = {}
    foreign = []
    for key in sorted(keys):
        folder, _, name = key.rpartition("/")
        stem = name.rpartition(".")[0]
        numbered = _NUMBERED.fullmatch(stem)
        candidates = (stem, numbered[1] if numbered else "")
        record_id = next((name for name in candidates if name in expected), None)
        if record_id is None:
            foreign.append(key)
        else:
            files.setdefault((folder, record_id), []).append(key)
    return files, foreign
