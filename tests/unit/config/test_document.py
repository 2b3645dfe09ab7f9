"""The text of a config: what YAML readers pass over or tell badly, each with its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config.document import read_document

KEYS = st.text("abcdef", min_size=1, max_size=3)
TREES = st.recursive(
    st.integers() | st.booleans() | st.text("xyz {}#:'\"", max_size=8),
    lambda below: st.dictionaries(KEYS, below, max_size=4) | st.lists(below, max_size=3),
    max_leaves=12,
)


def faults(text: str) -> list[tuple[int | None, str]]:
    return [(problem.line, problem.text) for problem in read_document(text).problems]


@given(st.dictionaries(KEYS, TREES, min_size=1), st.booleans())
def test_a_correct_text_has_no_problem_and_each_key_its_line(
    values: dict[str, Any], flow: bool
) -> None:
    """In both styles of YAML. The line has the key in it."""
    text = yaml.safe_dump(values, default_flow_style=flow, width=20, allow_unicode=True)
    document = read_document(text)
    assert (document.problems, document.value) == ([], values)
    lines = text.split("\n")
    for path, line in document.lines.items():
        assert isinstance(path[-1], int) or path[-1] in lines[line - 1]


@given(st.dictionaries(KEYS, TREES, min_size=1))
def test_json_is_read_as_json(values: dict[str, Any]) -> None:
    """Also if it is indented by tabs, which YAML does not allow."""
    for indent in (None, 2, "\t"):
        document = read_document(json.dumps(values, indent=indent))
        assert (document.problems, document.value) == ([], values)


@given(st.dictionaries(KEYS, TREES, min_size=1), st.data())
def test_a_key_that_is_given_twice_is_found_at_any_depth(
    values: dict[str, Any], data: st.DataObject
) -> None:
    """The last one would win silently, and the first may be the budget."""
    path = data.draw(st.sampled_from(sorted(mappings(values), key=str)))
    lines: list[str] = []
    for line in written(values, path):
        lines.append(line)
    first = next(i for i, line in enumerate(lines) if line.endswith("# first")) + 1
    second = next(i for i, line in enumerate(lines) if line.endswith("# second")) + 1
    (fault,) = faults("\n".join(lines))
    assert fault[0] == second
    assert fault[1].endswith(
        f"twice: is given twice, in line {first} and in line {second}; keep one"
    )


def mappings(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all mappings that are reached through mappings."""
    if not isinstance(value, dict):
        return []
    return [path, *(p for key, item in value.items() for p in mappings(item, (*path, key)))]


def written(values: dict[str, Any], at: tuple[Any, ...], indent: str = "") -> list[str]:
    """Return YAML lines in which the mapping at a path has the key `twice` twice."""
    here = not at
    lines = [f"{indent}twice: 1  # first"] if here else []
    for key, value in values.items():
        if at and key == at[0]:
            lines += [f"{indent}{key}:", *written(value, at[1:], indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {json.dumps(value)}")
    return [*lines, f"{indent}twice: 2  # second"] if here else lines


@pytest.mark.parametrize(
    ("text", "line", "key", "corrected", "value"),
    [
        ("p: {{ a }}", 1, "p", 'p: "{{ a }}"', "{{ a }}"),
        ("x: 1\nr:\n  p: {{ a | upper }}\n", 3, "r.p", 'p: "{{ a | upper }}"', "{{ a | upper }}"),
        ("r: {p: {{ a }}, n: 1}", 1, "r.p", 'p: "{{ a }}"', "{{ a }}"),
        ("r: {p: {{ a }}{{ b }}, n: 1}", 1, "r.p", 'p: "{{ a }}{{ b }}"', "{{ a }}{{ b }}"),
        ("r: {p: Is {{ a }} it, n: 1}", 1, "r.p", 'p: "… {{ a }} …"', "Is {{ a }} it"),
        ("r: {p: Q: {{ a }}, n: 1}", 1, "r.p", 'p: "… {{ a }}"', "Q: {{ a }}"),
        ("p: Q: {{ a }}  # why", 1, "p", 'p: "… {{ a }}"', "Q: {{ a }}"),
        ("p: {{ a }} or b", 1, "p", 'p: "{{ a }} …"', "{{ a }} or b"),
        ('p: {{ a["x"] }}', 1, "p", "p: '{{ a[\"x\"] }}'", '{{ a["x"] }}'),
        ("p:\n- {{ a }}", 2, "p[0]", '- "{{ a }}"', ["{{ a }}"]),
    ],
)
def test_a_placeholder_without_quotes_is_told_with_the_line_to_write(
    text: str, line: int, key: str, corrected: str, value: Any
) -> None:
    """The rest of the prompt is not shown. It is read as it was meant, so the rest is checked."""
    document = read_document(text)
    (problem,) = document.problems
    assert problem.line == line
    assert problem.text.startswith(f"{key}: has {{{{ }}}} without quotes")
    assert problem.text.endswith(f"put the whole text in quotes: {corrected}")
    found = document.value
    for step in key.removesuffix("[0]").split("."):
        found = found[step]
    assert found == value


def test_each_placeholder_without_quotes_is_told() -> None:
    """YAML's reader would stop at the first."""
    text = "a: {{ x }}\nb: 'fine: {{ y }}'\nc: Q: {{ z }}\nd: {{ x }} {{ y }}\n"
    assert [line for line, _ in faults(text)] == [3, 4, 1]


def test_a_text_that_ends_at_a_number_sign_is_told() -> None:
    """` #` begins a comment, so the placeholder behind it would be gone silently."""
    ((line, text),) = faults("request:\n  prompt: Ticket #{{ id }}\n")
    assert (line, text.split(",")[0]) == (2, "request.prompt: ends before the #")
    assert faults("request:\n  prompt: 'Ticket #{{ id }}'  # with {{ id }}\n") == []
    assert faults("request:\n  max_tokens: 5  # for {{ id }}\n") == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a:\n\tb: 1\n", "line 2"),
        ("a:\n  b: 1\n\tc: 2\n\td: 3\n", "lines 3, 4"),
        ("a: 1\nb:\t\t{c: 1}\n\td: 1", "line 3"),
    ],
)
def test_tabs_are_told_with_their_lines(text: str, lines: str) -> None:
    """All of them at once."""
    assert faults(text)[0][1].startswith(f"has tabs in {lines}, which YAML does not allow")


@pytest.mark.parametrize("text", ["a: &x {b: *x}", "a: &x [1, *x]", "a: &x\n  b: {c: [*x]}\n"])
def test_an_anchor_inside_itself_is_an_error(text: str) -> None:
    """Its value has no end."""
    document = read_document(text)
    assert [p.text.split(",")[0] for p in document.problems] == ["an anchor is inside itself"]
    assert document.value is None


def test_anchors_that_stand_for_millions_of_values_are_refused() -> None:
    """The billion laughs (https://en.wikipedia.org/wiki/Billion_laughs_attack)."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    ((_, text),) = faults("\n".join(lines))
    assert "its anchors stand for more than 100,000 values" in text


def test_anchors_and_merges_work() -> None:
    """Two targets may share most of their keys. A key that overrides a merged one is no repeat."""
    text = "base: &b {x: 1, y: 2}\nt:\n- {<<: *b, x: 3}\n- *b\n"
    document = read_document(text)
    assert document.problems == []
    assert document.value["t"] == [{"x": 3, "y": 2}, {"x": 1, "y": 2}]


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("a: 1\nb: !env HOME\n", 2, "b: has the tag !env, which a config cannot have"),
        ("a: 2026-13-01", 1, "a: looks like a date or a number, but is not valid; put it in quot"),
        ("? [a, b]\n: 1", 1, "has a list or a mapping as a key"),
        ("a: " + "[" * 3000, 1, "is nested too deeply"),
        ("a: [1,\nb: 2", 2, "is not YAML: "),
    ],
)
def test_other_faults_have_their_line(text: str, line: int, fault: str) -> None:
    """And say what to do, if that is known."""
    found = faults(text)
    assert found[0][0] == line
    assert found[0][1].startswith(fault)
