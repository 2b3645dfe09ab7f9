"""Images and documents in a family's body: the blocks of a row, and what the family takes.

The blocks stand in the content of the message, before the prompt. How many there are, only the row
can say, so they are not a part of the template but a Splice in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bedrock_spark import limits
from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Json
from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.media import Fetch, Media, read_all_media
from bedrock_spark.templates.placeholders import Row, RowRejected


@dataclass(frozen=True)
class MediaRules:
    """What a family takes, and how it wants it.

    image: the block of an image; its bytes become base64
    document: the block of a document, which is the n-th of its message, counted from 1
    images, documents: the formats that are taken
    max_…: what a page or the service itself says is too much; None where none is known
    may_be_larger: formats of documents that max_document_bytes is not for
    """

    image: Callable[[Media], Json]
    document: Callable[[Media, int], Json]
    images: tuple[str, ...]
    documents: tuple[str, ...]
    max_images: int | None = None
    max_image_bytes: int | None = None
    max_documents: int | None = None
    max_document_bytes: int | None = None
    may_be_larger: tuple[str, ...] = ()

    def without_limits(self) -> MediaRules:
        """Return the same without the limits, which the service may have moved."""
        none = {f.name: None for f in dataclasses.fields(self) if f.name.startswith("max_")}
        return dataclasses.replace(self, **none)  # type: ignore[arg-type]


@dataclass(frozen=True)
class MediaBlocks:
    """The blocks of a row's images, then of its documents: a Splice in a body template."""

    images: tuple[str, ...]
    documents: tuple[str, ...]
    rules: MediaRules

    @classmethod
    def of(cls, request: RequestConfig, rules: MediaRules) -> list[MediaBlocks]:
        """Return what to put before the prompt: nothing where the request has no such columns."""
        wanted = request.images or request.documents
        return [cls(request.images, request.documents, rules)] if wanted else []

    @property
    def media(self) -> tuple[str, ...]:
        """Return the columns that the blocks are made of."""
        return self.images + self.documents

    def members(self, row: Row, fetch: Fetch) -> list[Json]:
        """Return the blocks of a row. Raises RowRejected."""
        rules = self.rules
        _check_count(row, self.images, rules.max_images, "images")
        _check_count(row, self.documents, rules.max_documents, "documents")
        blocks: list[Json] = []
        for column, image in self._read(row, self.images, fetch):
            with _rejects(column):
                self._check_image(image)
                blocks.append(rules.image(image))
        for number, (column, document) in enumerate(self._read(row, self.documents, fetch), 1):
            with _rejects(column):
                self._check_document(document)
                blocks.append(rules.document(document, number))
        return blocks

    def _read(self, row: Row, columns: Sequence[str], fetch: Fetch) -> Iterator[tuple[str, Media]]:
        """Yield the media of a row, and no more of them than a body could hold."""
        size = 0
        for column in columns:
            with _rejects(column):
                for media in read_all_media(row[column], fetch):
                    size += len(media.data) * 4 // 3
                    if size > limits.MAX_BODY_BYTES:
                        raise Unrenderable(
                            f"makes a body of more than {limits.MAX_BODY_BYTES:,} bytes"
                        )
                    yield column, media

    def _check_image(self, image: Media) -> None:
        _check_format(image, self.rules.images, "an image")
        _check_size(image, self.rules.max_image_bytes, "an image")

    def _check_document(self, document: Media) -> None:
        _check_format(document, self.rules.documents, "a document")
        if document.format not in self.rules.may_be_larger:
            _check_size(document, self.rules.max_document_bytes, "a document")


def without_limits(body: Any) -> Any:
    """Return a body template with all its blocks freed of the limits."""
    if isinstance(body, MediaBlocks):
        return dataclasses.replace(body, rules=body.rules.without_limits())
    if isinstance(body, Mapping):
        return {key: without_limits(value) for key, value in body.items()}
    return [without_limits(item) for item in body] if isinstance(body, list) else body


def _check_format(media: Media, taken: tuple[str, ...], what: str) -> None:
    if media.format not in taken:
        raise Unrenderable(f"holds {media.media_type}; {what} must be {', '.join(taken)}")


def _check_size(media: Media, most: int | None, what: str) -> None:
    if most is not None and len(media.data) > most:
        raise Unrenderable(f"holds {what} of {len(media.data):,} bytes; {most:,} are taken")


def _check_count(row: Row, columns: Sequence[str], most: int | None, what: str) -> None:
    values = (row[column] for column in columns)
    count = sum(len(value) if isinstance(value, list) else 1 for value in values)
    if most is not None and count > most:
        raise RowRejected(", ".join(columns), f"holds {count} {what}; {most} are taken")


@contextmanager
def _rejects(column: str) -> Iterator[None]:
    try:
        yield
    except Unrenderable as exc:
        raise RowRejected(column, str(exc)) from None
