"""The form of a text in which small differences are gone."""

from __future__ import annotations

import unicodedata

# What may stand around an answer without changing it. A point is not among what may stand before
# it: `.5` is not `5`.
_QUOTES = " '\"`*_\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_ENDS = f"{_QUOTES}.,;:!?\u2026"


def normal_text(text: str) -> str:
    """Return a text without differences of case, white space, quotation marks and the like.

    That is Unicode's form NFKC (https://unicode.org/reports/tr15/), case folding, one space for
    any white space, no quotation mark around the text, and no punctuation at its end.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split()).lstrip(_QUOTES).rstrip(_ENDS)
