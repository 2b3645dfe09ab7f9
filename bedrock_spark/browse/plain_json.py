"""Values of Arrow as JSON: dates are ISO 8601, decimals text, binary values base64."""

from __future__ import annotations

import base64
import json
import math
from decimal import Decimal
from typing import Any


def as_json(value: Any) -> str:
    """Return a value of Arrow as JSON."""
    return json.dumps(value, ensure_ascii=False, default=text_of)


def text_of(value: object) -> str:
    """Return a value that JSON does not have as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat is not None else str(value)


def as_text(value: Any) -> str:
    """Return a value as a person reads it: a text as it is, a float without an exponent."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return f"{Decimal(str(value)):f}"  # never 8e-06
    return as_json(value).strip('"')
