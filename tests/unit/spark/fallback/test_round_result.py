"""The result of a round: the refusals of all tasks together."""

from __future__ import annotations

import pytest

from bedrock_spark.errors import ExitCode, FallbackRefusedError
from bedrock_spark.invoke.refusals import ALIKE, OTHERS
from bedrock_spark.spark.fallback.round_result import Round, add_up, check_refusals
from bedrock_spark.spark.fallback.task import TaskResult


def refused(asked: int, answered: int = 0, **patterns: int) -> TaskResult:
    messages = {pattern: f"message {pattern}" for pattern in patterns}
    return TaskResult(asked, 1, answered=answered, refused=patterns, messages=messages)


def test_refusals_are_added_up_over_tasks() -> None:
    """The message is that of the most frequent pattern; the others in sum are no pattern."""
    tasks = [refused(30, a=4, b=6, **{OTHERS: 20}), refused(9, a=9), refused(1, answered=1)]
    assert add_up(tasks) == Round(40, 3, 0, 1, 39, 13, "message a", False)
    assert add_up([]) == Round()


@pytest.mark.parametrize(
    ("tasks", "is_held"),
    [
        ([refused(ALIKE, a=ALIKE)], True),
        ([refused(1, a=1)] * ALIKE, True),
        ([refused(1, a=1)] * (ALIKE - 1), False),
        ([refused(1, a=1)] * ALIKE + [refused(1, answered=1)], False),
        ([refused(1, a=1), refused(1, b=1)] * (ALIKE - 1), False),
        ([refused(1, **{OTHERS: 1})] * ALIKE, False),
    ],
)
def test_many_alike_in_all_tasks_and_no_answer_hold_the_run(
    tasks: list[TaskResult], is_held: bool
) -> None:
    """However few there are in each task. The message is shown once."""
    asked = add_up(tasks)
    if not is_held:
        check_refusals(asked, "m", "s3://b/run")
        return
    with pytest.raises(FallbackRefusedError) as raised:
        check_refusals(asked, "m", "s3://b/run")
    assert raised.value.exit_code is ExitCode.HELD
    assert str(raised.value).count("message a") == 1
    assert f"refused {ALIKE} records alike" in str(raised.value)
