"""The examples in docs/compare.md print what stands below them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import bedrock_spark
from bedrock_spark.cli import main
from bedrock_spark.errors import ExitCode
from tests.modules import ROOT
from tests.unit.comparing.doc_runs import write_doc_runs

PAGE = (ROOT / "docs" / "compare.md").read_text("utf-8")
EXAMPLES = re.findall(r"```bash\n(bedrock-spark [^\n]*)\n```\n```text\n(.*?)```", PAGE, re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_doc_runs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("command", "printed"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_prints_what_the_page_says(command: str, printed: str) -> None:
    done = CliRunner().invoke(main, shlex.split(command)[1:])
    assert done.exit_code == ExitCode.DONE, done.output
    assert done.stdout == printed


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 2


def test_the_example_in_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As written, but for the places of the runs."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(code.replace("s3://my-bucket/", f"{folder}/"), {})
    found = bedrock_spark.compare(str(folder / "runs/nova"), str(folder / "runs/haiku"))
    assert found.different is not None
    assert str(found.different.share) in capsys.readouterr().out
