"""The commands of the docs, statement by statement, and what a test must know to run them.

A statement is what the shell takes at once: a line, or several that belong together. It is run as
it is printed, but for the names in NAMES, which stand for a thing of the test's world.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.docs import ROOT

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)
# All their blocks are run by a test of their own, which also looks at what comes out.
HAVE_OWN_TEST = {
    "docs/first-table.md": "tests/e2e/test_first_table.py",
    "docs/incremental.md": "tests/e2e/test_incremental.py",
}
_INSTALLS = "installs packages from a registry: the tests run in what it makes"
_DOWNLOADS = "downloads packages; tests/unit/environment and tests/cluster run it"
_SERVES = "serves until it is ended; tests/emulator/test_process.py starts it"
_JARS = "downloads jars; tests/e2e/test_table_formats.py reads tables with these settings"
_SERVICE = "needs a service that no local one stands for"
_CLUSTER = "needs a cluster; tests/cluster has one"
_CLIENT = "uses the AWS CLI; `make test-clients` runs it"
# How a statement begins that cannot run here, by page ("": on any), and why.
NOT_RUN: dict[tuple[str, str], str] = {
    ("", "pip install"): _INSTALLS,
    ("", "python3 -m venv"): _INSTALLS,
    ("CONTRIBUTING.md", ".venv/bin/python -m pytest"): "runs tests",
    ("docs/clusters.md", "bedrock-spark environment"): _DOWNLOADS,
    ("docs/clusters.md", "bash deploy-emr/upload.sh"): _CLIENT,
    ("docs/emulator.md", "aws s3 mb"): _CLIENT,
    ("docs/emulator.md", "aws bedrock create-model-invocation-job"): _CLIENT,
    ("docs/emulator.md", "until aws bedrock"): _CLIENT,
    ("docs/emulator.md", "aws s3 cp --recursive"): _CLIENT,
    ("docs/emulator.md", "aws bedrock-runtime converse"): _CLIENT,
    ("docs/emulator.md", "bedrock-spark emulator"): _SERVES,
    ("docs/environment.md", "bedrock-spark environment"): _DOWNLOADS,
    ("docs/environment.md", "spark-submit --deploy-mode cluster"): _CLUSTER,
    ("docs/environment.md", "spark-submit --py-files"): _CLUSTER,
    ("docs/environment.md", "podman build"): "needs Podman",
    ("docs/lakehouse.md", "spark-submit --packages"): _JARS,
    ("docs/ui.md", "bedrock-spark ui"): "serves until it is ended; tests/e2e/ui starts it",
    ("docs/lakehouse.md", "spark-submit --conf spark.sql.catalogImplementation"): _SERVICE,
}
_INIT = "bedrock-spark init --source s3://lake/tickets/ --task classify"
# What is run instead of a statement, by page and statement, and why.
INSTEAD: dict[tuple[str, str], tuple[str, str]] = {
    ("README.md", f"{_INIT} --run-folder s3://my-bucket/runs/tickets-2026-11"): (
        f"{_INIT} --run-folder s3://my-bucket/runs/tickets-2026-11 new",
        "the folder has the tickets.yaml of the page, and init replaces no file",
    ),
    ("docs/commands.md", 'eval "$(bedrock-spark completion zsh)"'): (
        "bedrock-spark completion zsh",
        "the shell of the test is bash; tests/unit/cli/test_completion.py has all three",
    ),
    ("docs/commands.md", "bedrock-spark completion fish | source"): (
        "bedrock-spark completion fish",
        "the shell of the test is bash; tests/unit/cli/test_completion.py has all three",
    ),
}
# Commands that stand on a page outside its blocks of commands, and are not run there; and why.
NOT_IN_A_BLOCK: dict[tuple[str, str], str] = {
    ("docs/clusters.md", "spark-submit --master k8s://https://HOST:443"): _CLUSTER,
    ("docs/plan.md", "bedrock-spark plan tickets.yaml --out plan.json > plan.txt"): (
        "is in a workflow of GitHub; the page has the same command in a block"
    ),
}
# Commands that serve until they are ended: a test that runs one would wait for ever.
SERVERS = {"ui", "emulator"}
# Commands that start Spark: their pages are run by the long tests.
_SPARK = {"run", "prepare", "collect", "fallback", "preview", "doctor", "demo"}

_BLOCK = re.compile(r"^```(?:bash|sh)(?: \w+)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT = re.compile(r"<<-? ?['\"]?(\w+)")
_COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)
_CODE = re.compile(r"exit code (\d+)")


@dataclass(frozen=True)
class Statement:
    """One statement of a page.

    line: of the page, from 1; text: as it is printed
    is_first: whether a block begins with it
    """

    page: str
    line: int
    text: str
    is_first: bool = False

    @property
    def place(self) -> str:
        """Return where it is, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def command(self) -> str:
        """Return it as one line, without its comment."""
        return " ".join(_COMMENT.sub("", self.text).replace("\\\n", " ").split())

    @property
    def codes(self) -> set[int]:
        """Return the exit codes that are well: 0, and those that its comment names."""
        return {0, *(int(code) for code in _CODE.findall(self.text))}

    @property
    def why_not_run(self) -> tuple[str, str] | None:
        """Return the entry of NOT_RUN that it is, or None."""
        for (page, start), _ in NOT_RUN.items():
            if page in ("", self.page) and self.command.startswith(start):
                return page, start
        return None

    @property
    def needs_spark(self) -> bool:
        """Tell whether it starts Spark, on a run that is done."""
        if self.why_not_run is not None:
            return False
        words = shlex.split(self.command)
        if "--no-spark" in words:
            return False
        return "spark-submit" in words or any(
            word == "bedrock-spark" and after in _SPARK for word, after in pairwise(words)
        )


def statements_of(page: str) -> list[Statement]:
    """Return the statements in the blocks of commands of a page, in their order."""
    text = (ROOT / page).read_text("utf-8")
    return [
        Statement(page, text.count("\n", 0, block.start(1)) + 1 + line, statement, not number)
        for block in _BLOCK.finditer(text)
        for number, (line, statement) in enumerate(_statements(block[1]))
    ]


def lines_outside_blocks(page: str) -> list[str]:
    """Return the lines of a page that begin as a command does, and are in no block of commands."""
    text = _BLOCK.sub("", (ROOT / page).read_text("utf-8"))
    lines = (line.strip().removeprefix("$ ") for line in text.splitlines())
    return [line for line in lines if line.startswith(("bedrock-spark ", "spark-submit "))]


def _statements(block: str) -> Iterator[tuple[int, str]]:
    """Yield each statement of a block with the number of its first line, from 0."""
    lines: list[str] = []
    for number, line in enumerate(block.splitlines()):
        if not lines and (not line.strip() or line.lstrip().startswith("#")):
            continue
        lines.append(line)
        if _is_whole(lines):
            yield number + 1 - len(lines), "\n".join(lines)
            lines = []
    assert not lines, f"a statement does not end: {lines[0]}"


def _is_whole(lines: list[str]) -> bool:
    here = _HERE_DOCUMENT.search(lines[0])
    if here is not None:
        return lines[-1].strip() == here[1] and len(lines) > 1
    if lines[-1].endswith("\\"):
        return False
    try:
        shlex.split("\n".join(lines), comments=True)
    except ValueError:  # a quotation mark is open
        return False
    return True
