"""What the docs say is what the code does: keys, defaults, ids and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bedrock_spark.config import Config, parse_config
from bedrock_spark.shards import record_ids
from tests.unit.fakes import config_values

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIG_DOC = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
RUN_FOLDER_DOC = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of the config with its default; `vpc` is documented as one."""
    for name, field in model.model_fields.items():
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        section = next(
            (o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None
        )
        if section is not None and name != "vpc":
            yield from keys_of(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.default


@pytest.mark.parametrize(("key", "default"), list(keys_of(Config)))
def test_every_key_is_documented_with_its_default(key: str, default: Any) -> None:
    """docs/config.md lists every key of the config, and the default it has."""
    row = re.search(rf"^\| `{re.escape(key)}` \| ([^|]*) \|", CONFIG_DOC, re.MULTILINE)
    assert row is not None, f"{key} is not in docs/config.md"
    if default is PydanticUndefined:
        assert row[1] == "required"
    elif default not in (None, (), {}):
        assert row[1] == f"`{default}`"


def test_no_key_is_documented_that_is_not_there() -> None:
    """docs/config.md lists no key that the config refuses."""
    documented = re.findall(r"^\| `([a-z_.]+)` \|", CONFIG_DOC, re.MULTILINE)
    assert sorted(documented) == sorted(key for key, _ in keys_of(Config))


def test_the_config_of_the_readme_is_valid() -> None:
    """Every YAML example of the README is a config that is accepted."""
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        assert parse_config(yaml.safe_load(block)).source.key == ("ticket_id",)


def test_the_fallbacks_examples_are_valid_configs() -> None:
    """Each is a section of a config."""
    text = (ROOT / "docs" / "fallback.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert [*map(list, blocks)] == [["fallback"], ["source"], ["fallback"]]
    for block in blocks:
        parse_config({**config_values(), **block})


def test_the_demo_config_is_valid() -> None:
    """conf/demo.yaml is a config that is accepted."""
    values = yaml.safe_load((ROOT / "conf" / "demo.yaml").read_text())
    assert parse_config(values).shards.max_records == 500


def test_the_test_vectors_of_record_ids_hold() -> None:
    """The table of key texts, hashes and ids is what the code computes."""
    rows = re.findall(r"^\| `(\[.*\])` \| (\d+) \| `(\w{11})` \|", RUN_FOLDER_DOC, re.MULTILINE)
    assert len(rows) >= 4
    for text, hashed, record_id in rows:
        assert record_ids.key_hash(text) == int(hashed)
        assert record_ids.encode(int(hashed)) == record_id


def test_the_test_vectors_of_bodies_hold() -> None:
    """The table of bodies, hashes and ids is what the code computes."""
    rows = re.findall(r"^\| `(\{.*\})` \| (\d+) \| `(\w{11})` \|", RUN_FOLDER_DOC, re.MULTILINE)
    assert len(rows) >= 2
    for body, hashed, record_id in rows:
        assert record_ids.body_hash(body.encode()) % 2**64 == int(hashed)
        assert record_ids.encode(int(hashed)) == record_id


@pytest.mark.parametrize("power", [6, 9, 11])
def test_the_odds_of_equal_hashes_hold(power: int) -> None:
    """The table of odds is n^2 / 2^65, the expected number of pairs."""
    said = re.search(rf"^\| 10\^{power} \| (.*) \|", RUN_FOLDER_DOC, re.MULTILINE)
    assert said is not None
    pairs = 10 ** (2 * power) / 2**65
    shown = {6: f"1 in {1 / pairs / 1e6:.0f} million", 9: f"1 in {1 / pairs:.0f}"}
    assert shown.get(power, f"some {pairs:.0f} pairs") in said[1]


def test_links_lead_somewhere() -> None:
    """Every file that the README links to is there."""
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_first_two_commands_are_make_demo_and_make_test() -> None:
    """A stranger's first two commands come first."""
    first = re.search(r"```bash\n(.*?)```", README, re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[1].strip().split("\n")] == [
        "make demo",
        "make test",
    ]
