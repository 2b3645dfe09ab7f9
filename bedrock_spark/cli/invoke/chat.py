"""Run `bedrock-spark invoke --chat`: a conversation, a line at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import click

from bedrock_spark.cli.display import Display
from bedrock_spark.cli.invoke.ask import clock_of, say
from bedrock_spark.cli.invoke.chat_input import ChatInput
from bedrock_spark.cli.invoke.chat_totals import Totals
from bedrock_spark.cli.invoke.options import AskOptions
from bedrock_spark.cli.invoke.pictures import PicturePlace
from bedrock_spark.cli.invoke.printer import AnswerPrinter
from bedrock_spark.cli.invoke.question import conversation_of
from bedrock_spark.cli.invoke.saved_chat import SavedChat, SavedTurn
from bedrock_spark.cli.output import Output
from bedrock_spark.clock import Clock
from bedrock_spark.errors import BedrockSparkError, ExitCode
from bedrock_spark.playground.asking import Question, ask
from bedrock_spark.playground.conversation import Conversation
from bedrock_spark.playground.events import Ended, Failed, TextPiece
from bedrock_spark.prices.run_prices import plain

_HELP = """\
/system TEXT  set the system prompt; /system shows it, /system - takes it away
/reset        forget the conversation so far; the system prompt stays
/tokens       what the chat has used so far
/help         this list
/end          end the chat; so does Ctrl-D
A line that ends with \\ goes on in the next one. A question that begins with / is written with //.
Ctrl-C ends an answer."""


def chat(options: AskOptions, output: Output, shows_reasoning: bool) -> int:
    """Chat until the lines end, and return the exit code.

    At a terminal, an error ends only its question; of other lines, the first error is the last.
    """
    clock, display = clock_of(output), Display(output)
    try:
        conversation, question = conversation_of(options, clock)
        saved = None if options.save is None else SavedChat(Path(options.save))
        if saved is not None:
            conversation = _continued(conversation, saved, output)
        talk = _Chat(conversation, question, ChatInput(), output, clock, display, shows_reasoning)
        talk.saved = saved
        talk.greet()
        return talk.run(options.prompt)
    except BedrockSparkError as exc:
        return display.fail(exc)
    except KeyboardInterrupt:
        return display.fail_quietly(ExitCode.INTERRUPTED, "interrupted")


def _continued(conversation: Conversation, saved: SavedChat, output: Output) -> Conversation:
    """Return the conversation that goes on with the chat in a file."""
    loaded = saved.load()
    if loaded.turns and not output.is_quiet:
        say(f"goes on with the chat in {saved.path}, after turn {len(loaded.turns):,}")
    if conversation.options.get("system") is None:
        conversation = conversation.with_options(system=loaded.system)
    return replace(conversation, turns=loaded.turns)


@dataclass
class _Chat:
    """A conversation, and what it has used.

    question: has the model and its price; every question is one with another body
    """

    conversation: Conversation
    question: Question
    lines: ChatInput
    output: Output
    clock: Clock
    display: Display
    shows_reasoning: bool
    saved: SavedChat | None = None
    totals: Totals = field(default_factory=Totals)

    def greet(self) -> None:
        """Say with what one talks, and how."""
        model = self.question.model
        if model.note is not None:
            self._say(model.note)
        if self.lines.is_terminal:
            self._say(f"{model.id}; /help lists what you can do")

    def run(self, first: str | None) -> int:
        """Answer line by line, beginning with the question `first`; return the exit code."""
        code, text = None, first if first is not None else self._read()
        while text is not None and code is None:
            code = self._take(text)
            text = self._read() if code is None else None
        self._say(self.totals.words if self.totals.answers else "nothing was asked")
        return ExitCode.DONE if code is None else code

    def _read(self) -> str | None:
        """Return the next line; None at the end. Ctrl-C at a terminal only discards the line."""
        while True:
            try:
                return self.lines.read()
            except KeyboardInterrupt:
                if not self.lines.is_terminal:
                    raise
                click.echo(err=True)
                self._say("/end or Ctrl-D ends the chat")

    def _take(self, text: str) -> int | None:
        """Carry out a command, or ask a question; return the exit code if the chat ends here."""
        if text.startswith("/") and not text.startswith("//"):
            word, _, rest = text.partition(" ")
            if word in _ENDS:
                return ExitCode.DONE
            command = self._COMMANDS.get(word)
            if command is None:
                return self._failed(ExitCode.USAGE, f"{word}: is no command; /help lists them")
            return command(self, rest.strip())
        return self._ask(text.removeprefix("/"))

    def _ask(self, text: str) -> int | None:
        try:
            body = self.conversation.body(text)
        except BedrockSparkError as exc:
            return self._failed(exc.exit_code, str(exc), exc.topic)
        printer = AnswerPrinter(
            self.question, PicturePlace(None, None), shows_reasoning=self.shows_reasoning
        )
        pieces: list[str] = []
        try:
            for event in ask(replace(self.question, body=body), self.clock):
                if isinstance(event, Failed):
                    printer.end_line()
                    if event.is_billed:
                        self.totals.add_unknown()
                    return self._failed(event.error.exit_code, event.message, event.error.topic)
                if isinstance(event, Ended):
                    return self._ended(text, printer, event)
                if isinstance(event, TextPiece):
                    pieces.append(event.text)
                printer.show(event)
        except KeyboardInterrupt:
            printer.end_line()
            if not self.lines.is_terminal:
                raise
            return self._cut_off(text, "".join(pieces))
        raise AssertionError("the last event is Ended or Failed")

    def _ended(self, question: str, printer: AnswerPrinter, end: Ended) -> int | None:
        printer.finish(end)
        self.totals.add(end)
        if not self.output.is_quiet:
            printer.summarize(end, *([self.totals.words] if self.totals.answers > 1 else []))
        answer = end.answer
        cost = None if end.cost is None else plain(end.cost)
        counts = answer.input_tokens, answer.output_tokens, cost
        return self._keep(question, answer.text or "", *counts)

    def _cut_off(self, question: str, answer: str) -> int | None:
        """Keep what there is of an answer that a person has ended. Its counts would have come."""
        self.totals.add_unknown()
        if answer.strip():
            self._say("ended; the conversation has the part that is shown")
        return self._keep(question, answer, is_cut_off=True)

    def _keep(
        self,
        question: str,
        answer: str,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost: str | None = None,
        *,
        is_cut_off: bool = False,
    ) -> int | None:
        """Make question and answer a turn of the conversation, and save it."""
        after = self.conversation.after(question, answer)
        if after is self.conversation:
            self._say("the answer has no text: the conversation goes on as if it was not asked")
            return None
        self.conversation = after
        return self._save(
            SavedTurn(
                question,
                answer,
                self.question.model.id,
                after.options.get("system"),
                input_tokens,
                output_tokens,
                cost,
                is_cut_off=is_cut_off,
            )
        )

    def _save(self, turn: SavedTurn) -> int | None:
        if self.saved is None:
            return None
        try:
            self.saved.add(turn, self.clock.now())
        except BedrockSparkError as exc:
            return self._failed(exc.exit_code, str(exc), exc.topic)
        return None

    def _set_system(self, text: str) -> int | None:
        if not text:
            self._say(self.conversation.options.get("system") or "there is no system prompt")
            return None
        changed = self.conversation.with_options(system=None if text == "-" else text)
        try:
            changed.body("Hello")
        except BedrockSparkError as exc:
            return self._failed(exc.exit_code, str(exc), exc.topic)
        self.conversation = changed
        return None

    def _reset(self, _: str) -> int | None:
        self.conversation = self.conversation.without_turns()
        self._say("a new conversation begins")
        return self._save(SavedTurn(system=self.conversation.options.get("system"), reset=True))

    def _show_tokens(self, _: str) -> None:
        click.echo(self.totals.words, err=True)

    def _show_help(self, _: str) -> None:
        click.echo(_HELP, err=True)

    def _failed(self, code: ExitCode, message: str, topic: str | None = None) -> int | None:
        """Show an error; return the exit code if it ends the chat."""
        shown = self.display.fail_with(code, message, topic=topic)
        return None if self.lines.is_terminal else shown

    def _say(self, text: str) -> None:
        if not self.output.is_quiet:
            say(text)

    _COMMANDS: ClassVar[dict[str, Callable[[_Chat, str], int | None]]] = {
        "/system": _set_system,
        "/reset": _reset,
        "/tokens": _show_tokens,
        "/help": _show_help,
    }


_ENDS = ("/end", "/quit", "/exit")
