"""The metadata of a call to InvokeModel: a JSON object in a header.

Converse has it in its body, where the service model checks it. The header is held to the same rules
(Amazon Bedrock user guide, "Per-request metadata tagging").
"""

from __future__ import annotations

import json
import re

from bedrock_emulator.errors import invalid

_MOST_PAIRS = 16
_NAME = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,-.]{1,256}")
_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,-.]{0,256}")


def check_metadata(header: str | None) -> None:
    """Raise ValidationException if the metadata is not an object of at most 16 short texts."""
    if header is None:
        return
    try:
        pairs = json.loads(header)
    except ValueError:
        pairs = None
    if (
        not isinstance(pairs, dict)
        or not 1 <= len(pairs) <= _MOST_PAIRS
        or not all(_NAME.fullmatch(name) for name in pairs)
        or not all(isinstance(v, str) and _VALUE.fullmatch(v) for v in pairs.values())
    ):
        raise invalid("The request metadata is invalid.")
