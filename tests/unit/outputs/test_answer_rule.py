"""The rule of which JSON of an answer becomes the row's columns, for texts of any composition."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.parse import AnswerParser, Parsed
from bedrock_spark.outputs.reasoning_tags import NAMES
from bedrock_spark.schema import parse_ddl

PARSER = AnswerParser(parse_ddl("label string NOT NULL, score double"))
DRAFT, FINAL = '{"label": "draft", "score": 0.1}', '{"label": "final", "score": 0.9}'
READ = ("final", 0.9)


def parse(text: str) -> Parsed:
    return PARSER.parse(Answer(text=text))


# Text without a complete value, if it is followed by white space and more text.
PROSE = st.sampled_from(
    [
        *("so", "Here it is:", "{", "[", "]", "}", '"', "\\", "é", "{x}", "<b>", "[[[", "{{{"),
        *('{"oops} is', '{"a": 1, "oops} is', '{"a":', "[see", "[1, 2 and", "```json", "```"),
        *('{"label": oops', '{"label": "a"', f"[{DRAFT}, oops", "`<think>` is a tag"),
        f'{{"label": "a", "old": {DRAFT} oops',
    ]
)
OTHERS = st.sampled_from(
    [
        *("{}", "[]", '{"ticket": 7}', '[{"name": "a"}, {"name": "b"}]', '{"label": 7}'),
        *('{"score": 1}', "[1, [2, {}]]", '{"a": "{\\"b\\": 1}"}'),
        json.dumps({"label": 7, "old": json.loads(DRAFT)}),
    ]
)
LABELS = st.text(st.sampled_from('ab{}[]":,\\\n</think>é\U0001f600'), max_size=12)
FITTING = st.builds(
    lambda label, score: {"label": label, "score": score}, LABELS, st.none() | st.floats(0, 1)
)
WRAPPED = st.sampled_from([lambda v: v, lambda v: [v], lambda v: {"answer": {"is": [1, v]}}])


@st.composite
def pieces(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """Draw text, and the objects in it that fit, in their order."""
    kind = draw(st.sampled_from(["prose", "other", "fitting", "several"]))
    if kind == "prose":
        return draw(PROSE), []
    if kind == "other":
        return draw(OTHERS), []
    count = 1 if kind == "fitting" else 2
    values = draw(st.lists(FITTING, min_size=count, max_size=count))
    value = draw(WRAPPED)(values[0] if count == 1 else values)
    return json.dumps(value, ensure_ascii=draw(st.booleans())), values


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """Draw a text of pieces, and the objects in it that fit."""
    drawn = draw(st.lists(pieces(), max_size=6))
    # A bracket or a quotation mark of prose may begin a value with what follows it. A period
    # continues no value, so each piece of prose is on its own.
    text = "".join(f"{piece} . " for piece, _ in drawn)
    return text, [value for _, values in drawn for value in values]


@given(texts())
def test_the_last_object_that_fits_is_the_answer(drawn: tuple[str, list[dict[str, Any]]]) -> None:
    """Whatever is around it, and however deeply it is wrapped. The others are counted."""
    text, fitting = drawn
    parsed = parse(text)
    if not fitting:
        assert parsed.values is None
        assert parsed.reason is not None
        return
    assert parsed == Parsed((fitting[-1]["label"], fitting[-1]["score"]), None, len(fitting) - 1)


TAGS = st.builds(
    lambda name, prefix, case, attributes: (f"<{case(prefix + name)}{attributes}>", name),
    st.sampled_from(NAMES),
    st.sampled_from(["", "seed:"]),
    st.sampled_from([str.lower, str.upper, str.title]),
    st.sampled_from(["", ' level="high"', "\n"]),
)


@given(texts(), TAGS, texts(), st.sampled_from(["both", "closing", "opening"]), st.booleans())
def test_reasoning_is_never_the_answer(
    thought: tuple[str, list[dict[str, Any]]],
    tag: tuple[str, str],
    answer: tuple[str, list[dict[str, Any]]],
    tags: str,
    is_fenced: bool,
) -> None:
    """With both tags, only the closing one, or only the opening one, which nothing follows."""
    opening, name = tag
    closing = f"</{name.upper()}>"
    inside = f"```json\n{thought[0]}\n```" if is_fenced else thought[0]
    after = parse(answer[0])
    whole = {
        "both": f"{opening}{inside}{closing}{answer[0]}",
        "closing": f"{inside}{closing}{answer[0]}",
        "opening": f"{answer[0]}{opening}{inside}",
    }[tags]
    parsed = parse(whole)
    assert (parsed.values, parsed.others) == (after.values, after.others)


@pytest.mark.parametrize(
    "text",
    [
        f"<think>Could be {DRAFT}? No.</think>\n{FINAL}",
        f"Could be {DRAFT}? No.\n</think>\n{FINAL}",
        f"<thinking>\n```json\n{DRAFT}\n```\n</thinking>\n```json\n{FINAL}\n```",
        f"<scratchpad>{DRAFT}</scratchpad>\n<answer>{FINAL}</answer>",
        f"<think>a <think>b</think> {DRAFT}</think>{FINAL}",
        f"<think>a</thinking>{FINAL}<reflection>b {DRAFT}",
        f"{FINAL}<reflection>not {DRAFT}</reflection>",
        f"[THINK]{DRAFT}[/THINK]{FINAL}",
        f'<think>say {{"x: </think>\n{FINAL}',
        f"<think>the list [1, 2, </think>\n{FINAL}",
        f"It needs no `<think>` and no '</think>' {FINAL}",
    ],
)
def test_the_answer_after_reasoning_is_found(text: str) -> None:
    """Nested tags, mixed names and brackets that reasoning leaves open do not hide it."""
    assert parse(text) == Parsed(READ)


def test_a_tag_inside_a_string_is_no_tag() -> None:
    """It is a part of an answer, whether the answer stands alone or not."""
    answer = '{"label": "the tag </think> ends it"}'
    for text in (answer, f"Here: {answer}", f"<think>{DRAFT}</think>{answer}"):
        assert parse(text) == Parsed(("the tag </think> ends it", None))


@given(
    st.lists(FITTING, min_size=1, max_size=3),
    st.sampled_from(["", "Here they are: ", "```json\n", "[1, 2] {} "]),
    st.data(),
)
def test_what_the_end_of_the_text_cuts_is_never_an_answer(
    values: list[dict[str, Any]], before: str, data: st.DataObject
) -> None:
    """Neither a value without its end, nor an item of an array that was cut off."""
    for value in (values, {"answers": values}, {"label": 7, "others": values}):
        whole = json.dumps(value)
        cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
        for after in ("", "\n```\nMore words."):
            parsed = parse(before + cut + after)
            assert parsed.values is None


@pytest.mark.parametrize("values", [[DRAFT], [DRAFT, FINAL]])
def test_an_array_is_read_alike_wherever_it_stands(values: list[str]) -> None:
    """Alone, with words around it, or in a fenced block."""
    array = f"[{', '.join(values)}]"
    parsed = [parse(text) for text in (array, f"Here: {array}", f"{array} .", f"```\n{array}\n```")]
    assert parsed == parsed[:1] * 4
    assert parsed[0].others == len(values) - 1
