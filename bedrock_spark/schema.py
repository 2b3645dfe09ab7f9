"""Columns in Spark DDL, read without Spark: `label string, score double NOT NULL`.

Only types that JSON has a form of. Others, such as decimals, are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bedrock_spark.errors import ConfigError

ARRAY, MAP, STRUCT = "array", "map", "struct"
_SIMPLE = {
    **{name: name for name in ("string", "boolean", "tinyint", "smallint", "int", "bigint")},
    **{name: name for name in ("float", "double", "date", "timestamp")},
    "byte": "tinyint",
    "short": "smallint",
    "integer": "int",
    "long": "bigint",
    "real": "float",
}
_TOKEN = re.compile(r"\s*(?:`((?:[^`]|``)+)`|([^\W]+)|([<>,:()]))")


@dataclass(frozen=True)
class Kind:
    """A type. `item`: of an array, or of a map's values; `fields`: of a struct."""

    name: str
    item: Kind | None = None
    fields: tuple[Field, ...] = ()

    @property
    def ddl(self) -> str:
        """Return it as Spark writes it; whatever may be null."""
        if self.name == ARRAY and self.item:
            return f"array<{self.item.ddl}>"
        if self.name == MAP and self.item:
            return f"map<string,{self.item.ddl}>"
        if self.name == STRUCT:
            return f"struct<{','.join(f'{quoted(f.name)}:{f.kind.ddl}' for f in self.fields)}>"
        return self.name


@dataclass(frozen=True)
class Field:
    """A column, or a member of a struct."""

    name: str
    kind: Kind
    required: bool = False


def quoted(name: str) -> str:
    """Return a name as DDL may hold any."""
    return "`" + name.replace("`", "``") + "`"


def parse_ddl(text: str) -> tuple[Field, ...]:
    """Return the columns. Raises ConfigError that says what is not understood."""
    parser = _Parser(_tokens(text))
    fields = parser.fields(end="")
    names = [field.name.lower() for field in fields]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ConfigError(f"names the column {twice} twice")
    return fields


@dataclass(frozen=True)
class _Token:
    text: str
    is_name: bool


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConfigError(f"cannot be read at {text[at : at + 20]!r}; see docs/results.md")
        quoted_name, word, symbol = match.groups()
        name = quoted_name.replace("``", "`") if quoted_name else word
        found.append(_Token(name or symbol, symbol is None))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._left = tokens[::-1]

    def fields(self, end: str) -> tuple[Field, ...]:
        """Read columns up to a symbol, or to the end of the text."""
        found = [self._field()]
        while self._take(","):
            found.append(self._field())
        self._expect(end)
        return tuple(found)

    def _field(self) -> Field:
        name = self._name("a column's name")
        self._take(":")
        kind = self._kind()
        required = self._take("not")
        if required:
            self._expect("null")
        return Field(name, kind, required)

    def _kind(self) -> Kind:
        name = self._name("a type").lower()
        if name in _SIMPLE:
            return Kind(_SIMPLE[name])
        if name not in (ARRAY, MAP, STRUCT):
            known = ", ".join((*_SIMPLE, "array<…>", "map<string,…>", "struct<…>"))
            raise ConfigError(f"has the type {name}, which answers cannot be read as: {known} can")
        self._expect("<")
        if name == STRUCT:
            return Kind(STRUCT, fields=self.fields(end=">"))
        if name == MAP:
            self._expect("string")
            self._expect(",")
        item = self._kind()
        self._expect(">")
        return Kind(name, item)

    def _name(self, what: str) -> str:
        if not self._left or not self._left[-1].is_name:
            raise ConfigError(f"lacks {what}{self._before()}")
        return self._left.pop().text

    def _take(self, text: str) -> bool:
        if self._left and self._left[-1].text.lower() == text:
            self._left.pop()
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text) if text else bool(self._left):
            raise ConfigError(f"lacks {text or 'a comma'}{self._before()}")

    def _before(self) -> str:
        return f" before {self._left[-1].text!r}" if self._left else " at its end"


MODEL_OUTPUT = "model_output"

RESULT_FIELDS: tuple[Field, ...] = parse_ddl(
    "record_id string, outcome string, text string, reasoning string, tool_input string, "
    "embedding array<float>, images array<string>, stop_reason string, input_tokens bigint, "
    f"output_tokens bigint, {MODEL_OUTPUT} string, error_code int, error_message string, "
    "served_by string, attempt int, job_arn string"
)
RESULT_COLUMNS: tuple[str, ...] = tuple(field.name for field in RESULT_FIELDS)
