"""The docs agree with the code: keys, defaults, ids and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bedrock_spark.check import check_config, list_prices
from bedrock_spark.config import Config, parse_config
from bedrock_spark.run_folder import layout
from bedrock_spark.shards import record_ids
from tests.unit.fakes import config_values
from tests.unit.test_layers import ORDER

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIG_DOC = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
RUN_FOLDER_DOC = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PAGES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
# Linked from docs/tasks.md.
TASK_PAGES = sorted(f"docs/tasks/{path.name}" for path in (ROOT / "docs" / "tasks").glob("*.md"))


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of the config with its default. `vpc` is documented as one key."""
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
    elif default not in (None, (), {}, ""):
        assert row[1] == f"`{default}`"


def test_every_documented_key_exists() -> None:
    """docs/config.md lists no key that the config refuses."""
    documented = re.findall(r"^\| `([a-z_.]+)` \|", CONFIG_DOC, re.MULTILINE)
    assert sorted(documented) == sorted(key for key, _ in keys_of(Config))


def test_the_configs_of_the_readme_are_valid() -> None:
    """Every YAML example of the README is an accepted config."""
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        assert parse_config(yaml.safe_load(block)).source.key == ("ticket_id",)


def test_the_examples_of_the_fallback_are_valid() -> None:
    """Each example is a section of a config."""
    text = (ROOT / "docs" / "fallback.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert [*map(list, blocks)] == [["fallback"], ["source"], ["fallback"]]
    for block in blocks:
        parse_config({**config_values(), **block})


def test_the_demo_config_is_valid() -> None:
    """conf/demo.yaml is an accepted config."""
    values = yaml.safe_load((ROOT / "conf" / "demo.yaml").read_text())
    assert parse_config(values).shards.max_records == 500


def test_the_cost_in_the_readme_is_right() -> None:
    """The example has the list prices of the demo's model, and its sums add up."""
    batch = list_prices(check_config(ROOT / "conf" / "demo.yaml")).batch
    assert batch is not None
    prices = {"input": batch.input, "output": batch.output}
    row = next(line for line in README.splitlines() if line.startswith("| What does it cost?"))
    assert f"${prices['input']:f} per 1,000 tokens in, ${prices['output']:f} out" in row
    parts = [prices["input"] * 100 * 1_000, prices["output"] * 50 * 1_000]
    assert "a million rows with 100 tokens in and 50 out" in row
    assert f"${parts[0]:.2f} + ${parts[1]:.2f} = ${sum(parts):.2f}" in row


def test_the_test_vectors_of_record_ids_are_right() -> None:
    """The code computes the hashes and ids in the table of key texts."""
    rows = re.findall(r"^\| `(\[.*\])` \| (\d+) \| `(\w{11})` \|", RUN_FOLDER_DOC, re.MULTILINE)
    assert len(rows) >= 4
    for text, hashed, record_id in rows:
        assert record_ids.key_hash(text) == int(hashed)
        assert record_ids.encode(int(hashed)) == record_id


def test_the_test_vectors_of_bodies_are_right() -> None:
    """The code computes the hashes and ids in the table of bodies."""
    rows = re.findall(r"^\| `(\{.*\})` \| (\d+) \| `(\w{11})` \|", RUN_FOLDER_DOC, re.MULTILINE)
    assert len(rows) >= 2
    for body, hashed, record_id in rows:
        assert record_ids.body_hash(body.encode()) % 2**64 == int(hashed)
        assert record_ids.encode(int(hashed)) == record_id


@pytest.mark.parametrize("power", [6, 9, 11])
def test_the_odds_of_equal_hashes_are_right(power: int) -> None:
    """The table of odds is n^2 / 2^65, the expected number of pairs."""
    row = re.search(rf"^\| 10\^{power} \| (.*) \|", RUN_FOLDER_DOC, re.MULTILINE)
    assert row is not None
    pairs = 10 ** (2 * power) / 2**65
    shown = {6: f"1 in {1 / pairs / 1e6:.0f} million", 9: f"1 in {1 / pairs:.0f}"}
    assert shown.get(power, f"some {pairs:.0f} pairs") in row[1]


def test_the_readme_is_short() -> None:
    """A reader sees all of it; the rest is in docs/."""
    assert len(README.splitlines()) <= 150


# A Markdown link, whose text may span lines: [text](target). Code is removed first.
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("name", [*PAGES, *TASK_PAGES])
def test_links_lead_to_files_and_headings(name: str) -> None:
    """Every relative link names an existing file, and an existing heading in it."""
    links = [link for link in _LINK.findall(_CODE.sub("", page(name))) if "://" not in link]
    for link in links:
        target, _, anchor = link.partition("#")
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), link
        assert not anchor or anchor in anchors_of(path), link


def test_the_readme_links_to_every_page() -> None:
    """No page of the docs is hard to find."""
    linked = {link.partition("#")[0] for link in _LINK.findall(README)}
    assert linked >= set(PAGES) - {"README.md"}


def test_the_page_of_the_tasks_links_to_each() -> None:
    linked = {f"docs/{link}" for link in _LINK.findall(page("docs/tasks.md"))}
    assert linked >= set(TASK_PAGES) != set()


def listing_of(package: Path) -> set[str]:
    """Return the files and folders directly in a package; folders end with a slash."""
    paths = [path for path in package.iterdir() if path.name != "__pycache__"]
    return {f"{path.name}/" if path.is_dir() else path.name for path in paths}


def drawn_tree(package: str) -> list[tuple[str, str]]:
    """Return the lines of a package's tree in docs/architecture.md: number or "", and name."""
    block = re.search(rf"^```text\n{package}/\n(.*?)^```", ARCHITECTURE, re.DOTALL | re.MULTILINE)
    assert block is not None
    lines = [re.fullmatch(r"([ \d]{2})  (\S+) {2,}\S.*", line) for line in block[1].splitlines()]
    assert all(lines)
    return [(line[1].strip(), line[2]) for line in lines if line is not None]


@pytest.mark.parametrize("package", ["bedrock_spark", "bedrock_emulator"])
def test_the_tree_of_a_package_is_its_listing(package: str) -> None:
    """Every file and folder has one line, and every line has a file or folder."""
    drawn = [name for _, name in drawn_tree(package)]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == listing_of(ROOT / package)


def test_the_numbers_in_the_tree_are_the_layers() -> None:
    """The layers are those of test_layers.py, in that order."""
    layers: list[set[str]] = []
    for number, name in drawn_tree("bedrock_spark"):
        if number:
            layers.append(set())
            assert number == str(len(layers))
        if layers:
            layers[-1].add(name.removesuffix("/").removesuffix(".py"))
    assert layers == ORDER


def test_the_drawn_run_folder_is_the_one_of_the_layout() -> None:
    """Every file and folder of layout.py has its line, and there are no other lines."""
    section = ARCHITECTURE.split("## The run folder")[1]
    block = re.search(r"```text\n(.*?)```", section, re.DOTALL)
    assert block is not None
    names = {value for name, value in vars(layout).items() if name.isupper()}
    names.remove(layout.OUTPUT_MANIFEST_FILE)  # in a job's own folder
    assert {line.split()[0].rstrip("/") for line in block[1].splitlines()} == names


def paths_in(text: str) -> set[str]:
    """Return what a page names as a path: in backticks, or as a word of a bash block."""
    commands = re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    words = [word for block in commands for word in block.split()]
    words += re.findall(r"`([^`\s]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    named = {word for word in words if "/" in word or re.search(r"\.(py|md|yaml|toml)$", word)}
    return {path for path in named if not path.startswith(".venv/") and "NAME" not in path}


@pytest.mark.parametrize(
    ("name", "roots"),
    [("docs/architecture.md", ("bedrock_spark", "")), ("CONTRIBUTING.md", ("",))],
)
def test_every_path_that_a_page_names_exists(name: str, roots: tuple[str, ...]) -> None:
    """Paths begin at the root of the repository, or at one that the page names."""
    paths = paths_in(page(name))
    assert len(paths) > 20
    missing = {path for path in paths if not any((ROOT / root / path).exists() for root in roots)}
    assert missing == set()


def test_the_first_two_commands_are_make_demo_and_make_test() -> None:
    """They are the first two commands for a new user."""
    first = re.search(r"```bash\n(.*?)```", README, re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[1].strip().split("\n")] == [
        "make demo",
        "make test",
    ]
