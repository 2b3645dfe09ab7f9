"""The lines of a chat: typed at a terminal, with its editing keys, or the lines of stdin."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from bedrock_spark.errors import ConfigError

_PROMPT, _PROMPT_WITHIN = "> ", "| "
_CONTINUES = "\\"


class ChatInput:
    """Reads what a person writes. What was typed is remembered for the arrow keys, in memory only.

    is_terminal: whether a person types; if not, the lines come from a file or a program
    """

    def __init__(self) -> None:
        self.is_terminal = sys.stdin.isatty()
        self._edits = self.is_terminal and sys.stdout.isatty()
        if self._edits:
            with suppress(ImportError):  # a Python without it: then there is no editing
                import readline  # noqa: F401 - gives input() its editing keys

    def read(self) -> str | None:
        """Return the next question or command, without spaces around it; None at the end.

        Blank lines are skipped. A backslash at the end of a line continues it on the next one.
        Raises ConfigError if the text is not UTF-8.
        """
        lines: list[str] = []
        while (line := self._line(_PROMPT_WITHIN if lines else _PROMPT)) is not None:
            is_continued = line.endswith(_CONTINUES)
            lines.append(line.removesuffix(_CONTINUES) if is_continued else line)
            text = "\n".join(lines).strip()
            if text and not is_continued:
                return text
            if not is_continued:
                lines.clear()
        return "\n".join(lines).strip() or None

    def _line(self, prompt: str) -> str | None:
        try:
            if self._edits:
                line = input(prompt)
                line.encode()
                return line
            if self.is_terminal:
                click.echo(prompt, nl=False, err=True)
            data = sys.stdin.buffer.readline()
            return data.decode().rstrip("\r\n") if data else None
        except EOFError:
            return None
        except UnicodeError:
            raise ConfigError("a line of the chat is not UTF-8") from None
