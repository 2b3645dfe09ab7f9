"""The examples: a source, a config that `check` accepts, and a page of the docs."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedrock_spark.check import check_config
from bedrock_spark.cli.init import _deploy
from bedrock_spark.starter.examples import EXAMPLES, draw_png
from bedrock_spark.starter.files import write_new
from bedrock_spark.starter.make import Place, Wish, make_example
from bedrock_spark.starter.source_sample import sample_source
from tests.command_lines import calls_in, parse
from tests.modules import ROOT

ROLE, REGION = "arn:aws:iam::123456789012:role/BedrockBatch", "us-east-1"


def written(name: str, folder: Path) -> dict[str, Any]:
    """Write an example, and return its config."""
    place = Place(f"s3://my-bucket/runs/{name}", ROLE, REGION)
    example = EXAMPLES[name]
    write_new(folder, make_example(example, Wish(example.task), place, _deploy(name)).files)
    values: dict[str, Any] = yaml.safe_load((folder / f"{name}.yaml").read_text("utf-8"))
    return values


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_first_rows_propose_the_key_and_the_column_of_the_example(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So `init` with this source and task makes the same config."""
    values = written(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    config = check_config(values)
    sample = sample_source(config.source, lambda: pytest.fail("Spark is not needed"))
    assert len(sample.rows) == 120
    assert sample.proposed_key() == config.source.key == (EXAMPLES[name].key,)
    has_images = EXAMPLES[name].task.has_images
    column = sample.proposed_column(has_images=has_images, key=config.source.key)
    assert column == EXAMPLES[name].column
    assert config.fallback is not None


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_line_of_its_steps_can_be_called(name: str, tmp_path: Path) -> None:
    written(name, tmp_path)
    calls = list(calls_in((tmp_path / f"{name}.md").read_text("utf-8")))
    assert [call[0] for call in calls] == [
        *("check", "preview", "plan", "run", "status", "results"),
        *("jobs-path", "deploy", "deploy", "deploy"),
    ]
    for call in calls:
        parse(call)
    for policy in ("caller", "trust", "service_role"):
        assert (tmp_path / f"{name}-iam" / f"{policy}.json").exists()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_has_the_config_that_is_written(name: str, tmp_path: Path) -> None:
    """And only commands that can be called; the first writes the example."""
    page = (ROOT / "docs" / "tasks" / f"{name}.md").read_text("utf-8")
    shown = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    assert yaml.safe_load(shown[1]) == written(name, tmp_path)
    calls = [c for b in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for c in calls_in(b)]
    assert calls[0] == ["init", "--example", name, name]
    for call in calls:
        parse(call)


@pytest.mark.parametrize("shape", ["circle", "square", "triangle"])
def test_an_image_is_a_png_whose_middle_has_the_color(shape: str) -> None:
    data = draw_png(shape, (1, 2, 3), 10)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (48, 48)
    start = data.index(b"IDAT") + 4
    size = struct.unpack(">I", data[start - 8 : start - 4])[0]
    pixels = zlib.decompress(data[start : start + size])
    line = pixels[24 * (1 + 48 * 3) :][: 1 + 48 * 3]
    assert line[1 + 24 * 3 : 4 + 24 * 3] == bytes((1, 2, 3))
    assert line[1:4] == bytes((255, 255, 255))
