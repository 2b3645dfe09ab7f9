"""Every command of docs/first-table.md works as it is printed there, in the order of the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from bedrock_emulator import LocalBedrock
from bedrock_spark.config import parse_config
from tests.e2e.interrupted import SECONDS
from tests.modules import ROOT

PAGE = (ROOT / "docs" / "first-table.md").read_text("utf-8")
_ENDPOINT = "http://127.0.0.1:4599"
# The programs of this tree, which need not be installed.
_PROGRAMS = {
    "python": "",
    "bedrock-spark": "-c 'import sys; from bedrock_spark.cli import main; main(sys.argv[1:])'",
}


def marked(kind: str) -> dict[str, str]:
    """Return the blocks below the comments `<!-- kind: name -->`, by name."""
    found = re.findall(rf"<!-- {kind}: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    return dict(found)


def test_the_steps_are_all_blocks_of_commands_but_those_for_other_places() -> None:
    """Not run are the installation, the server of the second terminal, and AWS itself."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    left_out = [block for block in blocks if block not in marked("step").values()]
    assert [block.split()[0] for block in left_out] == ["python3", "bedrock-spark", "unset"]


@pytest.mark.long
def test_the_page(bedrock: Callable[..., LocalBedrock], tmp_path: Path) -> None:
    """200 rows are answered by a batch job, and 20 by the fallback, with a plain model id."""
    local = bedrock()
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, arguments in _PROGRAMS.items():
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (folder / name).chmod(0o755)
    for name, text in marked("file").items():
        (tmp_path / name).write_text(text)
    script = "set -e\n" + "".join(marked("step").values())
    assert _ENDPOINT in script
    # The fixture's server has another bucket, and the page creates its own.
    done = subprocess.run(
        ["bash", "-c", script.replace(_ENDPOINT, local.endpoint_url)],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS * 2,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    served = {name: pq.read_table(tmp_path / name)["served_by"].to_pylist() for name in ANSWERS}
    assert served == ANSWERS
    jobs = local.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"]
    assert [job["status"] for job in jobs] == ["Completed"]


ANSWERS = {"answers": ["batch"] * 200, "few": ["fallback"] * 20}


def test_the_config_of_the_page_is_valid() -> None:
    """It has six lines, no provisioned throughput, and only local paths but the run folder."""
    text = marked("file")["first.yaml"]
    config = parse_config(yaml.safe_load(text))
    assert len(text.splitlines()) == 6
    assert config.fallback is None
    assert "s3://" not in f"{config.source.path}{config.results.path}"
