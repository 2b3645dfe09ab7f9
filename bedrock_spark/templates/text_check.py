"""A text of a body that a model takes only with some words in it, or up to a length.

A row whose text is blank, or too long, is rejected: the service would refuse its record after it
was submitted. Whole columns are checked at once if the text needs nothing but columns; see
spark/prepare/render.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bedrock_spark.templates.placeholders import Row, RowRejected

BLANK = "makes a text that is empty or only white space"


@dataclass(frozen=True)
class TextCheck:
    """The check of one text.

    label: the columns of the text, for messages
    parts: escaped literal text, and functions that return the escaped text of a placeholder
    columns: the column of each part that is no literal; None if a part needs more than a column
    literal_characters: the number of characters outside of placeholders
    may_be_blank: whether the text has no visible character outside of placeholders
    max_characters: the most characters (Unicode code points); None for any number
    """

    label: str
    parts: tuple[bytes | Callable[[Row], bytes], ...]
    columns: tuple[str, ...] | None
    literal_characters: int
    may_be_blank: bool
    max_characters: int | None

    def __call__(self, row: Row) -> None:
        """Raise RowRejected if the text of a row is not taken."""
        escaped = b"".join(p if isinstance(p, bytes) else p(row) for p in self.parts)
        # The bytes of an escaped text are at least as many as its characters.
        is_long = self.max_characters is not None and len(escaped) > self.max_characters
        if not is_long and not (self.may_be_blank and _may_begin_blank(escaped)):
            return
        text = msgspec.json.decode(b'"' + escaped + b'"', type=str)
        fault = text_fault(text, self.max_characters)
        if fault is not None:
            raise RowRejected(self.label, fault)


def text_fault(text: str, max_characters: int | None) -> str | None:
    """Return why a text is not taken, or None. The reason is the same for all such texts."""
    if not text or text.isspace():
        return BLANK
    if max_characters is not None and len(text) > max_characters:
        return f"makes a text of more than {max_characters:,} characters, the most the model takes"
    return None


def _may_begin_blank(escaped: bytes) -> bool:
    """Tell whether an escaped text is empty, or may begin with white space."""
    return not escaped or escaped[0] <= 0x20 or escaped[0] == 0x5C or escaped[0] >= 0x80
