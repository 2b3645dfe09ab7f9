"""`bedrock-spark invoke --chat`: lines of stdin, and a person at a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bedrock_spark.cli import main

from .kit import CLAUDE, Kit

NOVA = "amazon.nova-lite-v1:0"


@pytest.fixture
def local(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    """Yield an emulator that answers with the texts of all messages, so that turns are seen."""
    for name, value in kit.local.environment().items():
        monkeypatch.setenv(name, value)
    yield kit
    kit.local.set_answers()


def chat(kit: Kit, lines: str | bytes, *options: str, code: int = 0) -> Any:
    endpoint = ["--endpoint-url", kit.local.endpoint_url]
    command = ["invoke", *endpoint, "--chat", *options]
    result = CliRunner().invoke(main, command, input=lines, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


# Each with the kind of stream that its conversation takes.
MODELS = {
    CLAUDE: "InvokeModelWithResponseStream",
    NOVA: "InvokeModelWithResponseStream",
    "meta.llama3-8b-instruct-v1:0": "InvokeModelWithResponseStream",
    "mistral.mistral-7b-instruct-v0:2": "InvokeModelWithResponseStream",
    "mistral.mistral-large-2407-v1:0": "InvokeModelWithResponseStream",
    "cohere.command-r-v1:0": "InvokeModelWithResponseStream",
    "openai.gpt-oss-20b-1:0": "InvokeModelWithResponseStream",
    "us.deepseek.r1-v1:0": "InvokeModelWithResponseStream",
    "amazon.titan-text-express-v1": "ConverseStream",
    "us.xai.grok-4.7": "ConverseStream",
}


@pytest.mark.parametrize("model_id", MODELS)
def test_each_question_comes_with_the_turns_before_it(local: Kit, model_id: str) -> None:
    """In the family's own turns, or through Converse. Each answer is on stdout, as it comes."""
    local.local.set_answers(
        {"match": "(?s)one.*1st.*two.*2nd.*three", "text": "3rd"},
        {"match": "(?s)one.*1st.*two", "text": "2nd"},
        {"match": "one", "text": "1st"},
    )
    before = local.local.requests().get(MODELS[model_id], 0)
    result = chat(local, "one\n\ntwo\nthree\n", "--model", model_id)
    assert result.stdout == "1st\n2nd\n3rd\n"
    assert local.local.requests()[MODELS[model_id]] == before + 3


def test_commands_change_the_conversation(local: Kit) -> None:
    """The system prompt stays after /reset, and /end leaves later lines unread."""
    local.local.set_answers(
        {"match": "(?s)one.*seen.*two", "text": "with the turn"},
        {"match": "one", "text": "seen"},
        {"match": "two", "text": "by itself"},
    )
    lines = "one\ntwo\n/reset\ntwo\n/system Be brief\n/system\n/tokens\n//two\n/system -\n/system\n"
    result = chat(local, f"{lines}/end\nnever\n", "--model", NOVA)
    assert result.stdout == "seen\nwith the turn\nby itself\nby itself\n"
    said = result.stderr.splitlines()
    assert "a new conversation begins" in said
    assert said[said.index("Be brief") + 1].startswith("in all: 3 answers, ")
    assert "there is no system prompt" in said
    assert said[-1].startswith("in all: 4 answers, ")
    assert "/reset" in chat(local, "/help\n", "--model", NOVA).stderr


def test_the_chat_says_what_it_has_used(local: Kit) -> None:
    """Each answer, and in all: the sums of the answers' own counts."""
    result = chat(local, "Hello\nHello again\n", "--model", NOVA)
    first, second, total = result.stderr.splitlines()
    counts = [re.match(r"tokens: (\d+) in, (\d+) out", line) for line in (first, second)]
    given, made = (sum(int(each[n]) for each in counts if each) for n in (1, 2))
    assert "in all" not in first
    assert second.endswith(total)
    assert re.fullmatch(rf"in all: 2 answers, tokens: {given} in, {made} out, \$0\.\d+", total)


def test_nothing_is_written_to_disk_unless_it_is_asked_for(
    local: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    chat(local, "Hello\n/end\n", "--model", NOVA)
    assert list(tmp_path.iterdir()) == []


def test_a_saved_chat_goes_on(local: Kit, tmp_path: Path) -> None:
    """With its turns since the last /reset and its system prompt, and with any model."""
    file = tmp_path / "chat.jsonl"
    local.local.set_answers(
        {"match": "(?s)two.*yes.*three", "text": "goes on"},
        {"match": "(?s)one.*three", "text": "the forgotten turn is there"},
        {"match": "three", "text": "a new beginning"},
        {"match": "one|two", "text": "yes"},
    )
    first = ("--model", NOVA, "--save", str(file), "--system", "Be brief")
    chat(local, "one\n/reset\ntwo\n", *first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    one, reset, two = (json.loads(line) for line in file.read_text().splitlines())
    assert (one["question"], one["answer"], one["model"]) == ("one", "yes", NOVA)
    assert (reset["reset"], two["system"]) == (True, "Be brief")
    assert two["output_tokens"] == 1
    assert float(two["cost_usd"]) > 0
    again = chat(local, "three\n", "--model", CLAUDE, "--save", str(file))
    assert again.stdout == "goes on\n"
    assert f"goes on with the chat in {file}, after turn 1" in again.stderr
    assert json.loads(file.read_text().splitlines()[-1])["system"] == "Be brief"


@pytest.mark.parametrize("line", ['{"question": "x"}', "no JSON", '{"question": 1}', "\xff"])
def test_a_file_that_is_no_saved_chat_is_refused(local: Kit, tmp_path: Path, line: str) -> None:
    """It stays as it is."""
    file = tmp_path / "notes.txt"
    content = f'{{"question": "q", "answer": "a"}}\n{line}\n'.encode("latin-1")
    file.write_bytes(content)
    result = chat(local, "Hello\n", "--model", NOVA, "--save", str(file), code=3)
    assert "line 2 is no turn of a chat" in result.stderr.replace("\n", " ")
    assert (result.stdout, file.read_bytes()) == ("", content)
    missing = str(tmp_path / "no" / "folder")
    assert "--save" in chat(local, "Hello\n", "--model", NOVA, "--save", missing, code=3).stderr


@pytest.mark.parametrize(
    ("lines", "options", "code", "message"),
    [
        ("/nope\nnever\n", ("--model", NOVA), 2, "/nope: is no command; /help lists them"),
        ("Hi\n", ("--model", "nobody.model-v1:0"), 4, "model identifier is invalid"),
        ("Hi\n", ("--model", "amazon.titan-embed-text-v2:0"), 3, "do not chat"),
        ("/system x\n", ("--model", "us.deepseek.r1-v1:0"), 3, "do not take it"),
        ("Hi\n", ("--model", NOVA, "--set", "seed=1"), 3, "request.seed: models of the family"),
        (b"\xff\n", ("--model", NOVA), 3, "is not UTF-8"),
    ],
)
def test_an_error_ends_a_chat_of_lines(
    local: Kit, lines: str | bytes, options: tuple[str, ...], code: int, message: str
) -> None:
    """With its exit code, so that a program notices; the lines after it are not asked."""
    result = chat(local, lines, *options, code=code)
    assert message in result.stderr.replace("\n", " ")
    assert result.stdout == ""


def test_an_answer_without_text_is_no_turn(local: Kit) -> None:
    """The service would refuse a blank text in an earlier turn."""
    local.local.set_answers({"match": "one", "text": " "}, {"match": "two", "text": "fine"})
    result = chat(local, "one\ntwo\n", "--model", NOVA)
    assert result.stdout.strip() == "fine"
    assert "the answer has no text" in result.stderr


class Terminal:
    """A program at a pseudo terminal, as a person sees it."""

    def __init__(self, *options: str) -> None:
        program = "from bedrock_spark.cli import main; main()"
        command = [sys.executable, "-c", program, "invoke", "--chat", *options]
        self.main, end = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb"},
        )
        os.close(end)
        self.seen = ""

    def until(self, pattern: str, seconds: float = 120, *, interrupts: bool = False) -> str:
        """Wait for a text, and return what is shown up to its end.

        interrupts: press Ctrl-C until the text is shown. Python notices a signal late if it comes
            just before the wait for a key begins
        """
        deadline = time.monotonic() + seconds
        while (match := re.search(pattern, self.seen, re.DOTALL)) is None:
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.seen!r}"
            ready, _, _ = select.select([self.main], [], [], 1)
            if not ready and interrupts:
                self.interrupt()
            if ready:
                self.seen += os.read(self.main, 65536).decode()
        shown, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return shown

    def type(self, text: str) -> None:
        os.write(self.main, text.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


@contextmanager
def terminal(*options: str) -> Iterator[Terminal]:
    opened = Terminal(*options)
    try:
        yield opened
    finally:
        opened.process.kill()
        opened.process.wait(20)
        os.close(opened.main)


def test_control_c_ends_the_answer_and_not_the_chat(local: Kit, tmp_path: Path) -> None:
    """The part that was shown is a turn; the question may be followed by others, and by Ctrl-D."""
    local.local.set_answers(
        {"match": "(?s)slow.*word.*next", "text": "with the part"},
        {"match": "slow", "text": "word " * 2_000, "piece_seconds": 0.05},
    )
    file = tmp_path / "chat.jsonl"
    with terminal("--model", NOVA, "--save", str(file)) as seen:
        seen.until("/help lists what you can do.*> ")
        seen.interrupt()
        seen.until("/end or Ctrl-D ends the chat.*> ", interrupts=True)
        seen.type("slow\n")
        seen.until("word word")
        seen.interrupt()
        seen.until("ended; the conversation has the part that is shown.*> ")
        seen.type("/nope\n")
        seen.until("is no command.*> ")
        seen.type("next\n")
        seen.until("with the part.*in all: 2 answers.*, without 1 answer whose use.*> ")
        seen.type("\x04")
        seen.until("in all: 2 answers")
        assert seen.process.wait(20) == 0
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    assert first["is_cut_off"]
    assert first["answer"].startswith("word word")
    assert len(first["answer"]) < 5 * 2_000
    assert (second["question"], second["answer"]) == ("next", "with the part")
