"""Every command of docs/incremental.md works as it is printed there, and prints what is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyspark
import pytest

from bedrock_emulator import LocalBedrock
from tests.e2e.interrupted import SECONDS
from tests.modules import ROOT
from tests.sources_doc import packages_for

PAGE = (ROOT / "docs" / "incremental.md").read_text("utf-8")
_PROGRAM, _PAYS = "bedrock-spark ", " || test $? = 2"


def marked(kind: str) -> dict[str, str]:
    """Return the blocks below the comments `<!-- kind: name -->`, by name and in order."""
    return dict(re.findall(rf"<!-- {kind}: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))


def commands() -> dict[str, tuple[list[str], int]]:
    """Return the arguments of each step that is a command of this package, and its exit code."""
    found = {}
    for name, block in marked("step").items():
        line = block.replace("\\\n", " ").strip()
        if line.startswith(_PROGRAM):
            call = line.removeprefix(_PROGRAM).removesuffix(_PAYS)
            found[name] = shlex.split(call), 2 if line.endswith(_PAYS) else 0
    return found


def squeezed(text: str) -> list[str]:
    """Return the lines, with one space for several: the width of columns depends on the rows."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_every_block_is_run_but_the_server() -> None:
    """Each step is a command of this package, makes a table, or names the local Bedrock."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    left_out = [block for block in blocks if block not in marked("step").values()]
    assert [block.split()[0] for block in left_out] == ["bedrock-spark"]
    assert set(marked("step")) - set(commands()) == {"monday", "tuesday", "environment"}
    assert set(marked("prints")) == set(commands())


@pytest.mark.long
@pytest.mark.jars
@pytest.mark.skipif(
    packages_for(pyspark.__version__) is None,
    reason=f"no released Delta Lake works with Spark {pyspark.__version__}",
)
def test_the_page(bedrock: Callable[..., LocalBedrock], tmp_path: Path) -> None:
    """Day 2 asks 70 records of 6,060 rows, and only what was asked is billed."""
    local = bedrock()
    script = re.search(r"-d '(.*?)'", marked("step")["environment"])
    assert script is not None
    local.set_answers(*json.loads(script[1])["answers"])
    for name, text in marked("file").items():
        (tmp_path / name).write_text(text)
    steps = marked("step")
    subprocess.run(["bash", "-euc", steps["monday"] + steps["tuesday"]], cwd=tmp_path, check=True)
    local.client("s3").create_bucket(Bucket="my-bucket")
    arguments = [arguments for arguments, _ in commands().values()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.one_process", json.dumps(arguments), "classified"],
        cwd=tmp_path,
        env={**os.environ, **local.environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS * 4,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    *ended, outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    for (name, (_, code)), (own_code, printed) in zip(commands().items(), ended, strict=True):
        assert own_code == code, (name, printed)
        expected, found = squeezed(marked("prints")[name]), squeezed(printed)
        assert [line for line in expected if line not in found] == [], (name, printed)
    assert outcomes == {"ok": 6060}
    usage = local.usage()
    assert sum(sum(records.values()) for records in usage["records"].values()) == 6000
    calls = {model: used["calls"] for model, used in usage["invocations"].items()}
    # The canary of the first run asks five records.
    assert calls == {"amazon.nova-lite-v1:0": 5 + 70, "amazon.nova-pro-v1:0": 40}
