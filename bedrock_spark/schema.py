"""Parse columns in Spark DDL without Spark: `label string, score double NOT NULL COMMENT '0 to 1'`.

A recursive descent parser (https://en.wikipedia.org/wiki/Recursive_descent_parser). It supports
only types that JSON has a form of. It refuses others, such as decimals, by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

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
_TOKEN = re.compile(
    r"\s*(?:`((?:[^`]|``)+)`|([^\W]+)|([<>,:()])|('(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"))",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True)
class Kind:
    """A type.

    item: the type of an array's elements or of a map's values
    fields: the fields of a struct
    """

    name: str
    item: Kind | None = None
    fields: tuple[Field, ...] = ()

    @property
    def ddl(self) -> str:
        """Return the type as Spark writes it. Everything may be null: NOT NULL is left out."""
        if self.name == ARRAY and self.item:
            return f"array<{self.item.ddl}>"
        if self.name == MAP and self.item:
            return f"map<string,{self.item.ddl}>"
        if self.name == STRUCT:
            return f"struct<{','.join(f'{quote_name(f.name)}:{f.kind.ddl}' for f in self.fields)}>"
        return self.name


@dataclass(frozen=True)
class Field:
    """A column, or a field of a struct.

    comment: describes it to the model; it changes nothing of how answers are read
    """

    name: str
    kind: Kind
    required: bool = False
    comment: str = field(default="", compare=False, repr=False)


def quote_name(name: str) -> str:
    """Return a name in backticks, inside which DDL allows any character."""
    return "`" + name.replace("`", "``") + "`"


def is_usable(name: str) -> bool:
    """Tell whether Spark can hand a column of this name to Python.

    It reads a dot as a field, a backtick as a quote, and * as all columns.
    """
    return name not in ("", "*") and "." not in name and "`" not in name


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that is equal to one before it, but for case; None if all differ."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None


def parse_ddl(text: str) -> tuple[Field, ...]:
    """Return the columns. Raises ConfigError that names the part that cannot be parsed."""
    parser = _Parser(_tokens(text))
    fields = parser.fields(end="")
    twice = first_repeated(field.name for field in fields)
    if twice is not None:
        raise ConfigError(f"names the column {twice.lower()} twice")
    return fields


@dataclass(frozen=True)
class _Token:
    text: str
    is_name: bool = False
    is_text: bool = False


def _tokens(text: str) -> list[_Token]:
    tokens, start = [], 0
    text = text.rstrip()
    while start < len(text):
        match = _TOKEN.match(text, start)
        if match is None:
            raise ConfigError(
                f"cannot be read at {text[start : start + 20]!r}; see docs/results.md"
            )
        quoted_name, word, symbol, literal = match.groups()
        name = quoted_name.replace("``", "`") if quoted_name else word
        if literal is not None:
            tokens.append(_Token(_unquoted(literal), is_text=True))
        else:
            tokens.append(_Token(name or symbol, is_name=symbol is None))
        start = match.end()
    return tokens


def _unquoted(literal: str) -> str:
    text = literal[1:-1].replace("''", "'") if literal[0] == "'" else literal[1:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._rest = tokens[::-1]  # reversed: the next token is the last one

    def fields(self, end: str) -> tuple[Field, ...]:
        """Parse columns up to the symbol `end`, or to the end of the text if it is ""."""
        fields = [self._field()]
        while self._accept(","):
            fields.append(self._field())
        self._expect(end)
        return tuple(fields)

    def _field(self) -> Field:
        name = self._name("a column's name")
        self._accept(":")
        kind = self._kind()
        required = self._accept("not")
        if required:
            self._expect("null")
        comment = self._text() if self._accept("comment") else ""
        return Field(name, kind, required, comment)

    def _kind(self) -> Kind:
        name = self._name("a type").lower()
        if name in _SIMPLE:
            return Kind(_SIMPLE[name])
        if name not in (ARRAY, MAP, STRUCT):
            types = ", ".join((*_SIMPLE, "array<…>", "map<string,…>", "struct<…>"))
            raise ConfigError(
                f"has the type {name}, which answers cannot be read as; use one of {types}"
            )
        self._expect("<")
        if name == STRUCT:
            return Kind(STRUCT, fields=self.fields(end=">"))
        if name == MAP:
            self._expect("string")
            self._expect(",")
        item = self._kind()
        self._expect(">")
        return Kind(name, item)

    def _name(self, noun: str) -> str:
        if not self._rest or not self._rest[-1].is_name:
            raise ConfigError(f"lacks {noun}{self._place()}")
        return self._rest.pop().text

    def _text(self) -> str:
        if not self._rest or not self._rest[-1].is_text:
            raise ConfigError(f"lacks a text in quotes after COMMENT{self._place()}")
        return self._rest.pop().text

    def _accept(self, text: str) -> bool:
        if self._rest and not self._rest[-1].is_text and self._rest[-1].text.lower() == text:
            self._rest.pop()
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text) if text else bool(self._rest):
            raise ConfigError(f"lacks {text or 'a comma'}{self._place()}")

    def _place(self) -> str:
        return f" before {self._rest[-1].text!r}" if self._rest else " at its end"


MODEL_OUTPUT = "model_output"

RESULT_FIELDS: tuple[Field, ...] = parse_ddl(
    "record_id string, outcome string, text string, reasoning string, tool_input string, "
    "embedding array<float>, images array<string>, stop_reason string, input_tokens bigint, "
    "output_tokens bigint, reasoning_tokens bigint, cache_read_tokens bigint, "
    f"cache_write_tokens bigint, {MODEL_OUTPUT} string, error_code int, error_message string, "
    "served_by string, attempt int, job_arn string, "
    "run_id string, model_id string, request_digest string, answered_at timestamp, "
    "cost_usd double"
)
RESULT_COLUMNS: tuple[str, ...] = tuple(field.name for field in RESULT_FIELDS)

# The columns that rejected rows have in the run folder, in addition to the kept ones.
REJECT_COLUMN, REJECT_REASON = "reject_column", "reject_reason"
# How the names of all columns begin that prepare adds to the rows while it works on them.
INTERNAL_PREFIX = "_bs_"
# The first column of a rows file. Its name is internal: the source may have a column `record_id`.
ROW_RECORD_ID = f"{INTERNAL_PREFIX}record_id"
# The second one, if prepare has hashed the bodies: the SHA-256 of the row's body, 32 bytes.
ROW_BODY_SHA256 = f"{INTERNAL_PREFIX}body_sha256"
_REJECTS = frozenset({REJECT_COLUMN, REJECT_REASON})


def is_result(name: str) -> bool:
    """Tell whether every result has a column of this name, before `results.prefix` is added.

    Case does not matter, as for Spark. The same is true of all functions here.
    """
    return name.lower() in RESULT_COLUMNS


def is_reserved(name: str) -> bool:
    """Tell whether a column has a name that only columns of rejects and of prepare may have."""
    return name.lower() in _REJECTS or is_internal(name)


def is_internal(name: str) -> bool:
    """Tell whether a column has a name that only prepare's own columns may have."""
    return name.lower().startswith(INTERNAL_PREFIX)
