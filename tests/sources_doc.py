"""The examples of docs/sources.md and docs/lakehouse.md, for the tests that run them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).parents[1] / "docs"
SOURCES, LAKEHOUSE = DOCS / "sources.md", DOCS / "lakehouse.md"
_LAKE = "s3://lake"


@dataclass(frozen=True)
class Example:
    """One block of the page: the heading above it, and its text."""

    heading: str
    language: str
    text: str
    number: int

    def __str__(self) -> str:
        return f"{self.heading} {self.number}"

    def config(self, lake: Path | str) -> dict[str, Any]:
        """Return the config sections of a YAML example, with paths into the folder `lake`."""
        values: dict[str, Any] = yaml.safe_load(self.text.replace(_LAKE, str(lake)))
        return values

    def settings(self, lake: Path | str) -> dict[str, str]:
        """Return the Spark settings of a spark-submit command, `--packages` among them."""
        words = shlex.split(self.text.replace("\\\n", " ").replace(_LAKE, str(lake)))
        settings = dict(w.split("=", 1) for w in _values_of("--conf", words))
        for packages in _values_of("--packages", words):
            settings["spark.jars.packages"] = packages
        return settings


def _values_of(option: str, words: list[str]) -> list[str]:
    return [words[i + 1] for i, word in enumerate(words) if word == option]


def examples(language: str, page: Path = SOURCES) -> list[Example]:
    """Return the examples of a page in a language, numbered from 1 below each heading."""
    blocks: list[Example] = []
    heading = ""
    for match in re.finditer(
        r"^#+ ([^\n]*)$|^```(\w+)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S
    ):
        heading = match[1] or heading
        if match[2] == language:
            number = 1 + sum(block.heading == heading for block in blocks)
            blocks.append(Example(heading, language, match[3], number))
    return blocks


def packages_for(spark_version: str) -> set[str] | None:
    """Return the packages that docs/lakehouse.md lists for a version of Spark, or None."""
    release = ".".join(spark_version.split(".")[:2])
    row = re.search(rf"^\| {re.escape(release)} \|(.*)\|$", LAKEHOUSE.read_text("utf-8"), re.M)
    return None if row is None else set(re.findall(r"`([^`]+)`", row[1]))
