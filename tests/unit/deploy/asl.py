"""Runs a state machine in the Amazon States Language, as far as the deployed ones use it.

Sources: https://states-language.net/spec.html (Retry, Catch, ResultPath, Choice). A field that it
does not know is an error, so that no test passes because a field was ignored.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Task = Callable[[str, dict[str, Any]], Any]
_FIELDS = {
    "Task": {"Resource", "Parameters", "ResultSelector", "ResultPath", "Retry", "Catch", "Next"},
    "Choice": {"Choices"},
    "Wait": {"Seconds", "Next"},
    "Succeed": set(),
    "Fail": {"ErrorPath", "CausePath"},
}


class TaskError(Exception):
    """A task failed. name: the error's name for Retry and Catch."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(name, cause)
        self.name, self.cause = name, cause


@dataclass
class Execution:
    """An execution that ended. path: the states that were entered; waits: the seconds waited."""

    status: str = "RUNNING"
    error: str | None = None
    cause: str | None = None
    path: list[str] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)


def execute(machine: dict[str, Any], task: Task, wait: Callable[[int], None]) -> Execution:
    """Run a machine to its end. task: does the work of a resource with its parameters."""
    execution, data = Execution(), {}
    name = machine["StartAt"]
    while execution.status == "RUNNING":
        state = machine["States"][name]
        unknown = set(state) - _FIELDS[state["Type"]] - {"Type"}
        assert not unknown, unknown
        execution.path.append(name)
        assert len(execution.path) < 500, "the machine does not end"
        if state["Type"] == "Task":
            name, data = _do(state, data, task, execution, wait)
        elif state["Type"] == "Wait":
            execution.waits.append(state["Seconds"])
            wait(state["Seconds"])
            name = state["Next"]
        elif state["Type"] == "Choice":
            name = _chosen(state, data)
        elif state["Type"] == "Succeed":
            execution.status = "SUCCEEDED"
        else:
            execution.status = "FAILED"
            execution.error = _at(state["ErrorPath"], data)
            execution.cause = _at(state["CausePath"], data)
    return execution


def _do(
    state: dict[str, Any], data: Any, task: Task, execution: Execution, wait: Callable[[int], None]
) -> tuple[str, Any]:
    attempts = [0] * len(state.get("Retry", []))
    while True:
        try:
            result = task(state["Resource"], copy.deepcopy(state["Parameters"]))
        except TaskError as exc:
            for i, retrier in enumerate(state.get("Retry", [])):
                if _covers(retrier, exc) and attempts[i] < retrier["MaxAttempts"]:
                    seconds = retrier["IntervalSeconds"]
                    seconds *= retrier.get("BackoffRate", 2.0) ** attempts[i]
                    attempts[i] += 1
                    execution.waits.append(int(seconds))
                    wait(int(seconds))
                    break
            else:
                for catcher in state.get("Catch", []):
                    if _covers(catcher, exc):
                        error = {"Error": exc.name, "Cause": exc.cause}
                        return catcher["Next"], _put(catcher["ResultPath"], data, error)
                execution.status, execution.error, execution.cause = "FAILED", exc.name, exc.cause
                return "", data
        else:
            selector = state.get("ResultSelector")
            if selector is not None:
                result = {key.removesuffix(".$"): _at(p, result) for key, p in selector.items()}
            return state["Next"], _put(state["ResultPath"], data, result)


def _covers(rule: dict[str, Any], exc: TaskError) -> bool:
    return exc.name in rule["ErrorEquals"] or rule["ErrorEquals"] == ["States.ALL"]


def _chosen(state: dict[str, Any], data: Any) -> str:
    for choice in state["Choices"]:
        assert set(choice) == {"Variable", "NumericEquals", "Next"}
        if _at(choice["Variable"], data) == choice["NumericEquals"]:
            return str(choice["Next"])
    raise AssertionError("States.NoChoiceMatched")


def _at(path: str, data: Any) -> Any:
    assert path.startswith("$.")
    for name in path.split(".")[1:]:
        data = data[name]
    return data


def _put(path: str, data: dict[str, Any], value: Any) -> dict[str, Any]:
    assert path.count(".") == 1
    return {**data, path.removeprefix("$."): value}
