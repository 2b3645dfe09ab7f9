"""What the config says of answers that are asked again."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.families.ceilings import Ceiling
from bedrock_spark.outputs.ask_again import AskAgain, Tries, ask_again_of
from bedrock_spark.outputs.outcomes import INVALID, REFUSED, TRUNCATED
from tests.unit.fakes import make_config

CEILING = Ceiling(("max_tokens",), 100)
RETRY = {"on_truncated": "retry", "max_tokens_ceiling": 350}


@pytest.mark.parametrize(
    ("request_", "results", "expected"),
    [
        ({}, {}, AskAgain()),
        ({"on_truncated": "keep", "on_refused": "keep"}, {}, AskAgain()),
        ({"on_truncated": "error", "on_refused": "error"}, {}, AskAgain()),
        ({"on_refused": "retry"}, {}, AskAgain(refused=1)),
        (RETRY, {}, AskAgain(ceiling=CEILING, most=350)),
        ({}, {"parse": {"columns": "a int", "retries": 2}}, AskAgain(invalid=2)),
        ({}, {"parse": "a int"}, AskAgain()),
    ],
)
def test_the_config_decides(
    request_: dict[str, Any], results: dict[str, Any], expected: AskAgain
) -> None:
    """By default, nothing is asked again."""
    request = {"prompt": "{{ body }}", "max_tokens": 100, **request_}
    assert ask_again_of(make_config(request=request, results=results)) == expected


def test_each_kind_has_its_own_number_of_tries() -> None:
    """100 becomes 200 and then 350: two more tries."""
    again = AskAgain(invalid=1, refused=1, ceiling=CEILING, most=350)
    assert (again.truncated, again.total) == (2, 4)
    assert [again.limit_after(n) for n in range(5)] == [None, 200, 350, 350, 350]
    assert AskAgain(invalid=1).limit_after(3) is None


def test_the_limit_stays_raised_for_every_later_try() -> None:
    """Whatever the other answers are; a record that was not cut off keeps its own body."""
    tries = Tries(AskAgain(invalid=2, ceiling=CEILING, most=350))
    assert tries.limits("ab") == {}
    tries.note_answer("a", TRUNCATED)
    tries.note_answer("b", INVALID)
    assert tries.limits("ab") == {"a": 200}
    tries.note_answer("a", INVALID)
    assert tries.limits("ab") == {"a": 200}
    tries.note_answer("a", TRUNCATED)
    assert tries.limits("ab") == {"a": 350}
    assert tries.allow("a")
    tries.note_answer("a", TRUNCATED)
    assert not tries.allow("a")


def test_a_kind_that_is_not_asked_again_ends_the_tries() -> None:
    """A refusal after an answer that was cut off, say."""
    tries = Tries(AskAgain(ceiling=CEILING, most=350))
    tries.note_answer("a", TRUNCATED)
    assert tries.allow("a")
    tries.note_answer("a", REFUSED)
    assert not tries.allow("a")


def test_what_would_not_help_is_final_until_another_answer_comes() -> None:
    """An error that stays, or an answer for which the model had no room."""
    tries = Tries(AskAgain(invalid=5, ceiling=CEILING, most=10_000))
    tries.note_error("a")
    tries.note_answer("a", INVALID)
    assert tries.allow("a")
    tries.note_answer("a", TRUNCATED, is_final=True)
    assert not tries.allow("a")
    tries.note_answer("a", INVALID)
    assert tries.allow("a")
    tries.note_error("a")
    assert not tries.allow("a")
