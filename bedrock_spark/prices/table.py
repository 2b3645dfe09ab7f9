"""The price table: the one of this package, or that of litellm if a newer one is installed.

`make prices` writes `bedrock.json` from litellm's table: one line for each model, so that a change
of prices is a readable diff. litellm is no dependency, and never imported: only its table is read.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bedrock_spark.prices.litellm_table import FILE_NAME, rows_of

log = logging.getLogger(__name__)

TABLE_FILE = "bedrock.json"
PACKAGE = "litellm"


# The file belongs to another package, and a version of it that nobody has seen may be installed.
_NOT_A_TABLE = (OSError, ValueError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class PriceTable:
    """List prices by `[Region/]model id`, in dollars per 1,000 tokens.

    source: the package and the version that they come from
    date: the day when they were taken from it, as YYYY-MM-DD; None if litellm is installed
    rows: by tier (standard, batch, flex, priority): input, output and, if known, cache_read and
        cache_write; `image` for an image, `long_input` above which tokens a call costs more
    """

    source: str
    date: str | None
    rows: Mapping[str, Mapping[str, Any]]


@cache
def price_table() -> PriceTable:
    """Return the newest table on this machine."""
    text = resources.files(__package__).joinpath(TABLE_FILE).read_text(encoding="utf-8")
    own = json.loads(text)
    installed = _installed_version()
    if installed is not None and _numbers(installed) > _numbers(own["version"]):
        newer = _read_installed(installed)
        if newer is not None:
            return newer
    return PriceTable(f"{PACKAGE} {own['version']}", own["date"], own["models"])


def table_text(version: str, date: str, rows: Mapping[str, Any]) -> str:
    """Return the text of `bedrock.json`: a line for each model."""
    head = {"source": PACKAGE, "version": version, "date": date, "license": _LICENSE}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    models = [f"    {json.dumps(key)}: {json.dumps(row)}" for key, row in sorted(rows.items())]
    return "\n".join(["{", *lines, '  "models": {', ",\n".join(models), "  }", "}"]) + "\n"


def read_litellm(text: str) -> dict[str, dict[str, Any]]:
    """Return the rows of litellm's file."""
    return rows_of(json.loads(text, parse_float=Decimal))


def _installed_version() -> str | None:
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return None


def _read_installed(version: str) -> PriceTable | None:
    spec = find_spec(PACKAGE)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    files = [folder / FILE_NAME for folder in folders]
    for file in files:
        if file.is_file():
            try:
                rows = read_litellm(file.read_text(encoding="utf-8"))
            except _NOT_A_TABLE as exc:
                name = type(exc).__name__
                log.warning("%s: cannot be read as prices (%s); the own table counts", file, name)
                return None
            return PriceTable(f"{PACKAGE} {version}", None, rows)
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


_LICENSE = (
    "Derived from litellm's model_prices_and_context_window.json. MIT License, Copyright (c) 2023 "
    "Berri AI. Permission is hereby granted, free of charge, to any person obtaining a copy of "
    'this software and associated documentation files (the "Software"), to deal in the Software '
    "without restriction, including without limitation the rights to use, copy, modify, merge, "
    "publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to "
    "whom the Software is furnished to do so, subject to the following conditions: The above "
    "copyright notice and this permission notice shall be included in all copies or substantial "
    'portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, '
    "EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS "
    "FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT "
    "HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF "
    "CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE "
    "USE OR OTHER DEALINGS IN THE SOFTWARE."
)
