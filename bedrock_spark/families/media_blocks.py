"""Images and documents in a family's body: the blocks of a row, and the rules of the family.

The blocks go into the content of the message, before the prompt. Their number differs by row, so
they are not part of the template: a Splice stands in for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bedrock_spark import limits
from bedrock_spark.config import RequestConfig
from bedrock_spark.families.json_members import Json
from bedrock_spark.families.turns import Said
from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.media import Fetch, Media, read_all_media
from bedrock_spark.templates.placeholders import Row, RowRejected


def _no_document(_: Media, __: int) -> Json:
    raise Unrenderable("holds a document, which the model does not take")


@dataclass(frozen=True)
class MediaRules:
    """The images and documents that a family takes, and the shape of their blocks.

    image: makes the block of an image; its bytes become base64
    document: makes the block of a document from the document and its number, from 1, in the message
    images, documents: the accepted formats; () if none is taken
    max_…: limits from an AWS page or from the service itself; None if none is known
    may_be_larger: document formats that max_document_bytes does not apply to
    """

    image: Callable[[Media], Json]
    images: tuple[str, ...]
    document: Callable[[Media, int], Json] = _no_document
    documents: tuple[str, ...] = ()
    max_images: int | None = None
    max_image_bytes: int | None = None
    max_documents: int | None = None
    max_document_bytes: int | None = None
    may_be_larger: tuple[str, ...] = ()

    def without_limits(self) -> MediaRules:
        """Return the same rules without the limits, which AWS may have changed."""
        no_limits = {f.name: None for f in dataclasses.fields(self) if f.name.startswith("max_")}
        return dataclasses.replace(self, **no_limits)  # type: ignore[arg-type]


@dataclass(frozen=True)
class MediaBlocks:
    """A Splice in a body template: the blocks of a row's images, then of its documents.

    number: of the first document, in the names that tell documents apart
    """

    images: tuple[str, ...]
    documents: tuple[str, ...]
    rules: MediaRules
    number: int = 1

    @classmethod
    def of(
        cls, request: RequestConfig | Said, rules: MediaRules, number: int = 1
    ) -> list[MediaBlocks]:
        """Return the Splice to put before the prompt; [] if the request names no such columns."""
        has_media = request.images or request.documents
        return [cls(request.images, request.documents, rules, number)] if has_media else []

    @property
    def media(self) -> tuple[str, ...]:
        """Return the columns that the blocks are made from."""
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
        for number, (column, document) in enumerate(
            self._read(row, self.documents, fetch), self.number
        ):
            with _rejects(column):
                self._check_document(document)
                blocks.append(rules.document(document, number))
        return blocks

    def _read(self, row: Row, columns: Sequence[str], fetch: Fetch) -> Iterator[tuple[str, Media]]:
        """Yield the media of a row. Raises RowRejected at more bytes than a body can hold."""
        size = 0  # in base64: 4 characters for 3 bytes
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
    """Return a body template whose media blocks have no limits."""
    return _with_rules(body, MediaRules.without_limits)


def with_most_images(body: Any, max_images: int | None) -> Any:
    """Return a body template whose rows hold at most `max_images` images; None changes nothing."""
    if max_images is None:
        return body
    return _with_rules(body, lambda rules: dataclasses.replace(rules, max_images=max_images))


def _with_rules(body: Any, change: Callable[[MediaRules], MediaRules]) -> Any:
    if isinstance(body, MediaBlocks):
        return dataclasses.replace(body, rules=change(body.rules))
    if isinstance(body, Mapping):
        return {key: _with_rules(value, change) for key, value in body.items()}
    return [_with_rules(item, change) for item in body] if isinstance(body, list) else body


def _check_format(media: Media, formats: tuple[str, ...], noun: str) -> None:
    if media.format not in formats:
        raise Unrenderable(f"holds {media.media_type}; {noun} must be {', '.join(formats)}")


def _check_size(media: Media, limit: int | None, noun: str) -> None:
    if limit is not None and len(media.data) > limit:
        raise Unrenderable(
            f"holds {noun} of {len(media.data):,} bytes; at most {limit:,} are taken"
        )


def _check_count(row: Row, columns: Sequence[str], limit: int | None, noun: str) -> None:
    values = (row[column] for column in columns)
    count = sum(len(value) if isinstance(value, list) else 1 for value in values)
    if limit is not None and count > limit:
        raise RowRejected(", ".join(columns), f"holds {count} {noun}; at most {limit} are taken")


@contextmanager
def _rejects(column: str) -> Iterator[None]:
    """Turn Unrenderable into RowRejected, which names the column."""
    try:
        yield
    except Unrenderable as exc:
        raise RowRejected(column, str(exc)) from None
