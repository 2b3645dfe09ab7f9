"""A command whose packages are missing says which extra installs them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bedrock_spark.cli.commands import ORDER
from bedrock_spark.cli.extras import MODULES, how_to_install
from tests.modules import ROOT

# Runs each command without some modules. A line per command: its name, exit code and output.
PROGRAM = """
import io, sys
from contextlib import redirect_stderr, redirect_stdout
for module in sys.argv[2].split(","):
    sys.modules[module] = None
from bedrock_spark.cli import main
for name in sys.argv[3].split(","):
    out = io.StringIO()
    arguments = {"demo": ["--folder", sys.argv[4]], "emulator": ["--port", "0"]}
    with redirect_stdout(out), redirect_stderr(out):
        try:
            main([name, *arguments.get(name, [sys.argv[1]])])
            code = None
        except SystemExit as exc:
            code = exc.code
    print(name, code, out.getvalue().strip().replace(chr(10), " "), sep="|")
"""
CONFIG = """
run_uri: {folder}/run
source: {{path: {folder}/none.parquet, key: [id]}}
model: {{id: amazon.nova-lite-v1:0}}
request: {{prompt: "{{{{ body }}}}", max_tokens: 20}}
batch: {{role_arn: "arn:aws:iam::123456789012:role/x", region: us-east-1}}
"""
SPARK = ("run", "prepare", "collect", "fallback")
NEEDS = {
    "emulator": ("demo", "emulator"),
    "spark": ("demo", *SPARK),
    "cluster": ("demo", *SPARK),
    "ui": ("ui",),
}


@pytest.mark.parametrize("extra", MODULES)
def test_every_command_names_the_extra_that_it_lacks(extra: str, tmp_path: Path) -> None:
    """In one line, without a traceback. The commands that do not need it go on without it."""
    config = tmp_path / "tickets.yaml"
    config.write_text(CONFIG.format(folder=tmp_path))
    others = ("check", "submit", "advance")
    names = [*NEEDS[extra], *others]
    done = subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM, str(config)),
            *(",".join(MODULES[extra]), ",".join(names), str(tmp_path / "demo")),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    lines = {line.split("|", 2)[0]: line.split("|", 2)[1:] for line in done.stdout.splitlines()}
    assert lines.keys() == set(names)
    for name in NEEDS[extra]:
        code, text = lines[name]
        assert (name, code) == (name, "3")
        assert f'pip install "bedrock-spark[{extra}]"' in text
        assert text.count("error: ") == 1
        assert "Traceback" not in text
    assert lines["check"][0] == "0"
    for name in ("submit", "advance"):  # nothing is prepared here
        assert lines[name][0] == "1"
        assert "run prepare first" in lines[name][1]
    assert not (tmp_path / "demo").exists()


def test_the_table_names_extras_and_commands_that_exist() -> None:
    """And every package of an extra that one of our modules imports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(MODULES) <= set(project["optional-dependencies"])
    assert {name for names in NEEDS.values() for name in names} <= set(ORDER)


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("moto.server", "emulator"),
        ("flask_cors", "emulator"),
        ("pyarrow.parquet", "cluster"),
        ("pyspark.sql", "spark"),
        ("bedrock_spark.nowhere", None),
        ("sqlite3", None),
        (None, None),
    ],
)
def test_a_module_belongs_to_one_extra(name: str | None, extra: str | None) -> None:
    """A module that no extra installs keeps its traceback."""
    text = how_to_install(ModuleNotFoundError("No module", name=name))
    assert (text is not None) == (extra is not None)
    assert extra is None or f'"bedrock-spark[{extra}]"' in (text or "")
