"""Placeholders without quotes: `prompt: {{ body }}`, the most frequent mistake in YAML templates.

To YAML, a brace opens a mapping. Depending on what follows, the reader sees a mapping whose key is
a mapping, or an error somewhere behind.
"""

from __future__ import annotations

import re

_PLACEHOLDER = r"\{\{.*?\}\}"
# Texts in quotes, where a value may begin. They are masked, so that nothing in them is matched.
_IN_QUOTES = re.compile(r"""(?<=[\s{\[,:])(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')""")
# A value in braces ends with a comma or a brace that is no placeholder's.
_IN_BRACES = re.compile(
    rf"(?P<prefix>(?<![\w.-])[\w.-]+:\s+)"
    rf"(?P<value>(?![\"'\[{{])[^,{{}}\[\]]*?{_PLACEHOLDER}(?:[^,{{}}\[\]]|{_PLACEHOLDER})*"
    rf"|{_PLACEHOLDER}(?:[^,{{}}\[\]]|{_PLACEHOLDER})*)"
)
_ON_ITS_LINE = re.compile(
    r"(?P<prefix>\s*(?:-\s+)*(?:[\w.-]+:\s+|(?<=-\s)))"
    r"(?P<value>(?:\{\{|[^\s\"'|>&*!#{\[@`]).*)"
)
_COMMENT = re.compile(r"\s#.*$")
# The texts around placeholders are a prompt, which no message shows.
_SHOWN = re.compile(rf"{_PLACEHOLDER}|(?:(?!{_PLACEHOLDER}).)+", re.DOTALL)


def is_placeholder(source: str) -> bool:
    """Tell whether the text of a value is a placeholder that YAML took for a mapping."""
    return re.fullmatch(r"\{\{.*\}\}", source, re.DOTALL) is not None


def quoted(prefix: str, value: str) -> str:
    """Return the message for a value without quotes. It shows the placeholders, and no other text.

    prefix: what the value stands behind, such as `prompt: `
    """
    pieces = _SHOWN.findall(" ".join(value.split()))
    shown = "".join(p if p.startswith("{{") else " … " if i else "… " for i, p in enumerate(pieces))
    return (
        f"has {{{{ }}}} without quotes, which YAML takes for a mapping; put the whole text in "
        f"quotes: {prefix.strip()} {_in_quotes(shown.rstrip())}"
    )


def quote_line(line: str) -> tuple[str, str] | None:
    """Return a line with its first unquoted template in quotes, and the message about it.

    None if the line has no such template.
    """
    masked = _IN_QUOTES.sub(lambda match: "q" * len(match[0]), line)
    match = _ON_ITS_LINE.fullmatch(masked) or _IN_BRACES.search(masked)
    if match is None or "{{" not in match["value"]:
        return None
    start, end = match.span("value")
    value = line[start:end]
    if match.re is _ON_ITS_LINE:
        after = value.rfind("}}") + 2
        value = value[:after] + _COMMENT.sub("", value[after:])
    value = value.rstrip()
    prefix = match["prefix"].strip().removeprefix("- ")
    key = prefix.removesuffix(":") if prefix.endswith(":") else ""
    message = quoted(match["prefix"].strip(), value)
    corrected = line[:start] + _in_quotes(value) + line[start + len(value) :]
    return corrected, f"{key}: {message}" if key else message


def _in_quotes(text: str) -> str:
    if '"' in text or "\\" in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'
