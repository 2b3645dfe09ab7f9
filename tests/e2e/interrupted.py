"""Start the command line as a user does, wait for a moment of it, and interrupt it there."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bedrock_emulator import LocalBedrock
from tests.modules import ROOT

# Longer than any step takes. Only a test that fails waits so long.
SECONDS = 300.0
_COMMAND = "import sys; from bedrock_spark.cli import main; main(sys.argv[1:])"


@dataclass
class Command:
    """A running command. All its processes inherit a variable by which they are found."""

    process: subprocess.Popen[str]
    mark: str
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def has_printed(self, text: str) -> bool:
        return any(text in line for line in [*self.lines, *self.errors])

    def descendants(self) -> dict[int, str]:
        """Return the command line of every process that the command has started, by its id."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment, words = (
                    (entry / "environ").read_bytes(),
                    (entry / "cmdline").read_text(),
                )
            except OSError:
                continue  # it is over, or of another user
            if self.mark.encode() in environment and int(entry.name) != self.process.pid and words:
                found[int(entry.name)] = words.replace("\0", " ")
        return found


def start(config: Path, local: LocalBedrock, *arguments: str) -> Command:
    """Start `bedrock-spark run`."""
    mark = secrets.token_hex(8)
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "run", str(config), *arguments],
        cwd=config.parent,
        env={**os.environ, **local.environment(), "PYTHONPATH": str(ROOT), "TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command = Command(process, mark)
    for stream, lines in ((process.stdout, command.lines), (process.stderr, command.errors)):
        assert stream is not None
        threading.Thread(target=lines.extend, args=(stream,), daemon=True).start()
    return command


def wait_until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, f"never seen: {what}"
        time.sleep(0.02)


def interrupt(command: Command, moment: Callable[[], bool], number: int = signal.SIGINT) -> str:
    """Send a signal at a moment; return the last line of stderr.

    Asserts that the command ends as interrupted, prints no stack, and leaves no process behind.
    """
    wait_until(lambda: moment() or command.process.poll() is not None, "the moment")
    assert command.process.poll() is None, (command.lines, command.errors)
    command.process.send_signal(number)
    assert command.process.wait(SECONDS) == 128 + number, command.errors
    wait_until(lambda: not command.descendants(), f"the end of {command.descendants()}")
    text = "".join([*command.lines, *command.errors])
    assert "Traceback" not in text, text
    assert "\tat " not in text, text
    assert command.errors[-1].startswith("interrupted; "), text
    return command.errors[-1]


def write_config(folder: Path, rows: int, **sections: object) -> Path:
    """Write a table and a config that asks about it; return the path of the config."""
    table = "ticket_id,body\n" + "".join(f"T-{i},text {i}\n" for i in range(rows))
    (folder / "tickets.csv").write_text(table)
    values = {
        "source": {"format": "csv", "path": str(folder / "tickets.csv"),
                   "options": {"header": True}, "key": ["ticket_id"]},
        "results": {"path": str(folder / "answers")},
        **sections,
    }  # fmt: skip
    (folder / "tickets.yaml").write_text(yaml.safe_dump(values))
    return folder / "tickets.yaml"
