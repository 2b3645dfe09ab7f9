"""Files that go with a question: pictures and documents, put into the blocks of a family's body.

A request with the bytes of its files is for the model. On a page, a short text stands in the place
of each: `file:` and the id of the file, which is put in again before the request is sent.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_spark import limits
from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import Family, nova
from bedrock_spark.families.media_blocks import MediaBlocks, MediaRules
from bedrock_spark.playground.images import picture_of
from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.media import IMAGES, Media, read_media
from bedrock_spark.templates.placeholders import RowRejected

_REFERENCE = "file:"
_DOCUMENTS_BY_CONVERSE = "Nova takes documents by Converse only: tick “by Converse”"
_NOT_LETTERS = re.compile(r"\W")
# Where the blocks of the families have bytes.
_PLACES = frozenset({"bytes", "data"})


@dataclass(frozen=True)
class AttachedFile:
    """A file of a person.

    id: of its bytes and its name; media: its bytes and their format
    width, height: of a picture, in pixels; None if its bytes do not say them
    """

    id: str
    name: str
    media: Media
    width: int | None = None
    height: int | None = None

    @property
    def is_image(self) -> bool:
        """Tell whether it is a picture; else it is a document."""
        return self.media.format in IMAGES

    @property
    def words(self) -> str:
        """Return what it is, for people: photo.png, 640 x 480, 12,345 bytes."""
        size = f", {self.width} x {self.height}" if self.width is not None else ""
        return f"{self.name}{size}, {len(self.media.data):,} bytes"


def attached_file(name: str, data: bytes) -> AttachedFile:
    """Return a file. Raises ConfigError if it is neither a picture nor a document."""
    known = name.replace("\\", "/").rpartition("/")[2] or "file"
    extension = known.rpartition(".")[2] if "." in known else ""
    try:
        # The extension tells texts apart; other formats are known by their bytes.
        media = read_media(f"s3://files/x.{_NOT_LETTERS.sub('', extension)}", lambda _: data)
    except Unrenderable as exc:
        raise ConfigError(f"{known}: {exc}") from None
    digest = hashlib.sha256(known.encode() + b"\0" + data).hexdigest()[:32]
    if media.format not in IMAGES:
        return AttachedFile(digest, known, media)
    picture = picture_of(data, 1, None)
    return AttachedFile(digest, known, media, picture.width, picture.height)


Files = Mapping[str, AttachedFile]


def media_rules(family: Family, bare_model_id: str) -> MediaRules:
    """Return what a family takes for a model. Raises ConfigError that says what to do instead."""
    sees = family.converse_images
    if not family.takes_media and sees is not None and sees.fullmatch(bare_model_id):
        raise ConfigError("this model takes pictures by Converse only: tick “by Converse”")
    if not family.takes_media or nova.TEXT_ONLY.fullmatch(bare_model_id):
        raise ConfigError("this model takes no pictures and no documents")
    if family.read_chunk is None:
        raise ConfigError("files go with a chat only")
    request = RequestConfig(prompt="x", images=("x",), max_tokens=5)
    rules = next(_rules_in(family.build(request, bare_model_id)))
    # Only Converse takes documents for Nova: see nova.py.
    return dataclasses.replace(rules, documents=()) if family is nova.FAMILY else rules


def _rules_in(value: Any) -> Iterator[MediaRules]:
    if isinstance(value, MediaBlocks):
        yield value.rules
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _rules_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _rules_in(item)


def refuse_files(files: Iterable[AttachedFile], family: Family, bare_model_id: str) -> None:
    """Raise ConfigError that names the first file that a model does not take at all."""
    for file in files:
        try:
            rules = media_rules(family, bare_model_id)
        except ConfigError as exc:
            raise ConfigError(f"{file.name}: {exc}") from None
        if not file.is_image and not rules.documents:
            raise ConfigError(f"{file.name}: {_DOCUMENTS_BY_CONVERSE}")


def taken_words(family: Family, bare_model_id: str) -> str:
    """Return which files a model takes, with the limits of size, as a sentence for people."""
    try:
        rules = media_rules(family, bare_model_id)
    except ConfigError as exc:
        return f"No files: {exc}."
    most = family.limits_of(bare_model_id).max_images or rules.max_images
    pictures = f"Pictures: {', '.join(rules.images)}{_limits(most, rules.max_image_bytes)}."
    limit = _limits(rules.max_documents, rules.max_document_bytes)
    documents = f"{', '.join(rules.documents)}{limit}" if rules.documents else "by Converse only"
    body = limits.MAX_BODY_BYTES * 3 // 4 / 1_000_000
    return f"{pictures} Documents: {documents}. {body:.0f} MB in all"


def _limits(most: int | None, max_bytes: int | None) -> str:
    parts = [f"{most} a question"] if most is not None else []
    parts += [f"{max_bytes / 1_000_000:.1f} MB each"] if max_bytes is not None else []
    return f" ({', '.join(parts)})" if parts else ""


def with_files(body: dict[str, Any], files: Files, max_images: int | None) -> dict[str, Any]:
    """Return a body with the blocks of its files, whose bytes are still bytes.

    max_images: the most images of one message; None for the family's own limit
    Raises ConfigError that names the file that cannot be sent, and why.
    """
    filled: dict[str, Any] = _filled(body, files, max_images)
    return filled


def _filled(value: Any, files: Files, most: int | None) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(item, files, most) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    items: list[Any] = []
    for item in value:
        if isinstance(item, MediaBlocks):
            items += _blocks(item, files, most)
        else:
            items.append(_filled(item, files, most))
    return items


def _blocks(splice: MediaBlocks, files: Files, most: int | None) -> Sequence[Any]:
    if most is not None and len(splice.images) > most:
        raise ConfigError(f"{len(splice.images)} pictures; this model takes {most} a question")
    chosen = {f"s3://files/{name}.{files[name].media.format}": name for name in splice.media}
    row = {name: uri for uri, name in chosen.items()}
    try:
        return splice.members(row, lambda uri: files[chosen[uri]].media.data)
    except RowRejected as exc:
        names = ", ".join(files[n].name for n in exc.column.split(", "))
        raise ConfigError(f"{names}: {exc.reason}") from None


def with_references(body: Any, files: Files) -> Any:
    """Return a body with a short text in the place of the bytes of each file."""
    names = {each.media.data: each.id for each in files.values()}

    def shown(value: Any) -> Any:
        if isinstance(value, bytes):
            return f"{_REFERENCE}{names[value]}"
        if isinstance(value, Mapping):
            return {key: shown(item) for key, item in value.items()}
        return [shown(item) for item in value] if isinstance(value, list) else value

    return shown(body)


def references_in(body: Any) -> list[str]:
    """Return the ids of the files that a body names."""
    found: list[str] = []

    def note(value: str) -> str:
        found.append(value)
        return value

    _replaced(body, note)
    return found


def with_base64(body: Any, files: Files) -> Any:
    """Return a body with the bytes of each file that it names, as base64."""
    return _replaced(body, lambda name: base64.b64encode(files[name].media.data).decode())


def _replaced(value: Any, text_of: Callable[[str], str], key: str = "") -> Any:
    if isinstance(value, str):
        is_one = key in _PLACES and value.startswith(_REFERENCE)
        return text_of(value.removeprefix(_REFERENCE)) if is_one else value
    if isinstance(value, Mapping):
        return {name: _replaced(item, text_of, str(name)) for name, item in value.items()}
    return [_replaced(item, text_of) for item in value] if isinstance(value, list) else value
