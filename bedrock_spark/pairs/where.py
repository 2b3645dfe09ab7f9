"""Read a condition in SQL: the part of it that says which rows are meant.

    label = 'contract' AND (input_tokens < 9000 OR text IS NULL) AND lang NOT IN ('de', 'fr')

It is computed by Arrow (conditions.py), in memory and in Spark's tasks alike, so both have the same
rows. What this does not know is an error that says what it knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.comparisons import COMPARISONS
from bedrock_spark.pairs.conditions import (
    FUNCTIONS,
    Call,
    ColumnValue,
    Comparison,
    Condition,
    In,
    IsNull,
    Like,
    Literal,
    Node,
    Not,
    Several,
)
from bedrock_spark.pairs.written_values import number_in

_KNOWN = (
    "it takes columns, texts in '…', numbers, = <> < <= > >=, IN (…), BETWEEN … AND …, LIKE, IS "
    "NULL, AND, OR, NOT, parentheses, and length(), lower(), upper() and trim() of a text"
)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<name>`(?:[^`]|``)+`)
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|<>|!=|==|[=<>(),-])
    )""",
    re.VERBOSE,
)
_WORDS = {"and", "or", "not", "in", "between", "like", "is", "null", "true", "false"}
# A condition of more levels is no condition that a person has written.
_MOST_LEVELS = 50
# As much of a condition is quoted in a message: it may name thousands of values.
_MOST_QUOTED = 200


def parse_where(text: str, name_of: Callable[[str], str]) -> Condition:
    """Return the condition that a text says.

    name_of: returns the name of a column in the table; raises ConfigError if there is none
    Raises ConfigError if the text is none that is known here.
    """
    parser = _Parser(text, name_of)
    node = parser.any_of()
    parser.expect_end()
    return Condition(text, node)


class _Parser:
    """Reads tokens from left to right: one method for each level of precedence."""

    def __init__(self, text: str, name_of: Callable[[str], str]) -> None:
        self._text = text
        self._name_of = name_of
        self._tokens = list(_tokens(text))
        self._at = 0
        self._levels = 0

    def any_of(self) -> Node:
        found = [self._all_of()]
        while self._take("or"):
            found.append(self._all_of())
        return found[0] if len(found) == 1 else Several(tuple(found), is_all=False)

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise self._unknown(f"has {self._tokens[self._at][1]!r} where it should end")

    def _all_of(self) -> Node:
        found = [self._negated()]
        while self._take("and"):
            found.append(self._negated())
        return found[0] if len(found) == 1 else Several(tuple(found), is_all=True)

    def _negated(self) -> Node:
        is_negated = False
        while self._take("not"):
            is_negated = not is_negated
        found = self._predicate()
        return Not(found) if is_negated else found

    def _predicate(self) -> Node:
        left = self._operand()
        kind, token = self._peek()
        if kind == "sign" and token in COMPARISONS:
            self._at += 1
            return Comparison(token, left, self._operand())
        if self._take("is"):
            is_negated = self._take("not")
            self._expect("null")
            return Not(IsNull(left)) if is_negated else IsNull(left)
        is_negated = self._take("not")
        found = self._chosen(left)
        if found is None:
            if is_negated:
                raise self._unknown("has NOT without IN, BETWEEN or LIKE")
            return left
        return Not(found) if is_negated else found

    def _chosen(self, left: Node) -> Node | None:
        """Return what IN, BETWEEN or LIKE says of a value; None if none of them follows."""
        if self._take("in"):
            self._expect("(")
            options = [self._operand()]
            while self._take(","):
                options.append(self._operand())
            self._expect(")")
            return In(left, tuple(options))
        if self._take("between"):
            first = self._operand()
            self._expect("and")
            above = Comparison(">=", left, first)
            return Several((above, Comparison("<=", left, self._operand())), is_all=True)
        if self._take("like"):
            form = self._operand()
            if not isinstance(form, Literal) or not isinstance(form.value, str):
                raise self._unknown("has LIKE without a text in '…' behind it")
            return Like(left, form.value)
        return None

    def _operand(self) -> Node:
        self._levels += 1
        if self._levels > _MOST_LEVELS:
            raise self._unknown(f"is nested more than {_MOST_LEVELS} times")
        found = self._value()
        self._levels -= 1
        return found

    def _value(self) -> Node:
        kind, token = self._peek()
        self._at += 1
        if kind == "text":
            return Literal(token[1:-1].replace("''", "'"))
        if kind == "number":
            return self._number(token)
        if token == "-" and self._peek()[0] == "number":
            self._at += 1
            return self._number(f"-{self._tokens[self._at - 1][1]}")
        if token == "(":
            found = self.any_of()
            self._expect(")")
            return found
        if kind == "name":
            return ColumnValue(self._name_of(token[1:-1].replace("``", "`")))
        word = token.lower()
        if kind == "word" and word in ("null", "true", "false"):
            return Literal({"null": None, "true": True, "false": False}[word])
        if kind == "word" and self._peek()[1] == "(" and word not in _WORDS:
            return self._call(word)
        if kind == "word" and word not in _WORDS:
            return ColumnValue(self._name_of(token))
        raise self._unknown(f"has {token!r} where a value should be" if token else "ends too early")

    def _number(self, text: str) -> Literal:
        number = number_in(text)
        if number is None:
            raise self._unknown(f"has {text!r}, whose exponent is too large")
        return Literal(number)

    def _call(self, name: str) -> Node:
        if name not in FUNCTIONS:
            raise self._unknown(f"has the function {name}()")
        self._expect("(")
        found = Call(name, self._operand())
        self._expect(")")
        return found

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self, word: str) -> bool:
        kind, token = self._peek()
        is_it = kind in ("word", "sign") and token.lower() == word
        self._at += is_it
        return is_it

    def _expect(self, word: str) -> None:
        if not self._take(word):
            found = self._peek()[1]
            raise self._unknown(
                f"has {found!r} where {word.upper()} should be" if found else "ends too early"
            )

    def _unknown(self, what: str) -> ConfigError:
        return ConfigError(f"--where {_quoted(self._text)}: {what}; {_KNOWN}")


def _quoted(text: str) -> str:
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return the parts of a condition, each with its kind. Raises ConfigError."""
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at:end].strip()
            raise ConfigError(
                f"--where {_quoted(text)}: cannot be read from {rest[:20]!r} on; {_KNOWN}"
            )
        found.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    return found
