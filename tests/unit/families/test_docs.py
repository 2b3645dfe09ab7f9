"""docs/families.md agrees with the code of the families and of the linter."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import FAMILIES, Family, anthropic, cohere_embed, converse, nova
from bedrock_spark.families.ceilings import KNOWN_LIMITS
from bedrock_spark.families.lint_rules import RULES
from bedrock_spark.limits import MAX_BODY_BYTES
from bedrock_spark.spark.prepare.prefetch import THREADS
from tests.docs import ROOT

DOC = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
BODIES, THINKING, MEDIA, TEXTS, SOURCES, REFUSED = DOC.split("\n## ")
OPTIONS: dict[str, Any] = {
    "images": "photo",
    "documents": "contract",
    "system": "S",
    "max_tokens": 5,
    "temperature": 0,
    "top_p": 1,
    "stop": "END",
    "top_k": 9,
    "seed": 4,
    "dimensions": 256,
    "input_type": "search_query",
    "embedding_types": ["float", "int8"],
    "width": 512,
    "height": 512,
    "aspect_ratio": "1:1",
    "negative_prompt": "N",
    "thinking": "low",
}
# A model of each family that thinks.
THINKERS = {
    "anthropic": "anthropic.claude-sonnet-4-6",
    "nova": "amazon.nova-2-lite-v1:0",
    "qwen": "qwen.qwen3-32b-v1:0",
}


def rows_of(text: str) -> dict[str, list[str]]:
    """Return the rows of a table by the name in their first column."""
    matches = re.findall(r"^\| `([\w-]+)` \|(.*)\|$", text, re.MULTILINE)
    rows = {name: [cell.strip() for cell in rest.split(" |")] for name, rest in matches}
    assert len(rows) == len(matches)
    return rows


def takes(family: Family, **options: Any) -> bool:
    try:
        family.build(RequestConfig(prompt="{{ a }}", **options), THINKERS.get(family.name, ""))
    except ConfigError:
        return False
    return True


def test_both_tables_list_the_families() -> None:
    """All families, in the order of the code, and no other."""
    names = [f.name for f in FAMILIES]
    assert list(rows_of(BODIES)) == names
    assert list(rows_of(SOURCES)) == names


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_the_listed_options_of_a_family_are_the_accepted_ones(family: Family) -> None:
    """A listed option is accepted, any other is refused, and a required one is marked."""
    cell = rows_of(BODIES)[family.name][1]
    required = {name: OPTIONS[name] for name in re.findall(r"`(\w+)` \(required\)", cell)}
    listed = re.findall(r"`(\w+)`", cell)
    assert listed == [o for o in OPTIONS if takes(family, **{**required, o: OPTIONS[o]})]
    for missing in required:
        assert not takes(family, **{k: v for k, v in required.items() if k != missing})


def test_formats_and_limits_of_images_and_documents_are_those_of_the_code() -> None:
    """For every family that takes media: its formats, its limits, the body size, the threads."""
    rules = {
        "anthropic": anthropic.MEDIA,
        "nova": nova.MEDIA,
        "cohere_embed": cohere_embed.MEDIA,
        "converse": converse.MEDIA,
    }
    assert set(rules) == {f.name for f in FAMILIES if f.takes_media}
    formats, limits = MEDIA.split("| family | images of a row |")
    assert rows_of(formats) == {
        name: [", ".join(r.images), ", ".join(r.documents)] for name, r in rules.items()
    }
    assert rows_of(limits) == {
        name: [
            "" if limit is None else f"{limit:,}"
            for limit in (r.max_images, r.max_image_bytes, r.max_documents, r.max_document_bytes)
        ]
        for name, r in rules.items()
    }
    assert f"{MAX_BODY_BYTES:,} bytes" in MEDIA
    assert f"{THREADS} at once" in MEDIA


def test_the_rules_of_the_linter_are_listed() -> None:
    """In the order of the code, and the ceilings with their numbers."""
    rows = rows_of(REFUSED)
    assert tuple(rows) == tuple(RULES)
    assert all(f"{most:,}" in rows["max-tokens"][0] for _, most in KNOWN_LIMITS)


def test_the_limits_of_texts_are_listed() -> None:
    """Each number, and no other; and the images of the models that have a limit of their own."""
    limits = [limit for family in FAMILIES for limit in family.limits]
    shown = set(re.findall(r"^\| `.*` \| ([\d,]+) \|", TEXTS, re.MULTILINE)) | set(
        re.findall(r"^\| `stability.*? \| ([\d,]+) \|", TEXTS, re.MULTILINE)
    )
    assert shown == {f"{x.max_characters:,}" for x in limits if x.max_characters is not None}
    for limit in limits:
        if limit.max_images is not None:
            assert f"at most {limit.max_images} images of a row" in MEDIA
