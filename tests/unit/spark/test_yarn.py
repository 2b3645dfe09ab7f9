"""A driver in YARN's application master says there why it failed, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JNetworkError
from pyspark import SparkContext

from bedrock_spark.spark import yarn
from bedrock_spark.spark.yarn import tell_yarn

_FIELD = "org$apache$spark$deploy$yarn$ApplicationMaster$$master"


class Jvm:
    """Stands in for the Java side: what was printed, and how the application master finished."""

    def __init__(
        self, *, has_ended: bool = False, field: str = _FIELD, is_master: bool = True
    ) -> None:
        self.printed: list[str] = []
        self.finished: list[tuple[str, int, str]] = []
        self._has_ended = has_ended
        self._field, self._is_master = field, is_master
        err = SimpleNamespace(println=self.printed.append)
        classes = SimpleNamespace(forName=self._class)
        enum = SimpleNamespace(valueOf=lambda kind, name: f"{kind.name}.{name}")
        lang = SimpleNamespace(System=SimpleNamespace(err=err), Class=classes, Enum=enum)
        self.java = SimpleNamespace(lang=lang)

    def _class(self, name: str) -> Any:
        module = SimpleNamespace(getName=lambda: "MODULE$", get=lambda _: "the module")
        master = SimpleNamespace(
            getName=lambda: self._field,
            setAccessible=lambda flag: None,
            get=self._master_of,
        )
        return SimpleNamespace(
            name=name, getDeclaredFields=lambda: [module, master], getField=lambda _: module
        )

    def _master_of(self, of: str) -> Any:
        is_here = self._is_master and of == "the module"
        return SimpleNamespace(finish=self._finish) if is_here else None

    def _finish(self, status: str, code: int, message: str) -> None:
        self.finished.append((status.rpartition(".")[2], code, message))
        if self._has_ended:
            raise Py4JNetworkError("Answer from Java side is empty")


@pytest.mark.parametrize("has_ended", [False, True])
@pytest.mark.parametrize("has_context", [False, True])
def test_the_error_becomes_the_message_of_the_application(
    monkeypatch: pytest.MonkeyPatch, *, has_context: bool, has_ended: bool
) -> None:
    """With a SparkContext it is the final message; else the end of the container's standard error.

    Spark may close the connection as soon as it has the message.
    """
    jvm = Jvm(has_ended=has_ended)
    monkeypatch.setenv("CONTAINER_ID", "container_1")
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    monkeypatch.setattr(SparkContext, "_gateway", SimpleNamespace(jvm=jvm))
    monkeypatch.setattr(SparkContext, "_active_spark_context", object() if has_context else None)
    tell_yarn("collect: a disk is full", 1)
    assert jvm.printed == ["error: collect: a disk is full"]
    assert jvm.finished == [("FAILED", 1, "error: collect: a disk is full")] * has_context


@pytest.mark.parametrize("jvm", [Jvm(is_master=False), Jvm(field="renamed")])
def test_a_driver_without_an_application_master_keeps_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, jvm: Jvm
) -> None:
    """In client mode in a container of YARN, as Oozie and Livy start it, Spark's field is null."""
    monkeypatch.setenv("CONTAINER_ID", "container_1")
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    monkeypatch.setattr(SparkContext, "_gateway", SimpleNamespace(jvm=jvm))
    monkeypatch.setattr(SparkContext, "_active_spark_context", object())
    tell_yarn("the run is held", 11)
    assert jvm.printed == ["error: the run is held"]
    assert jvm.finished == []


@pytest.mark.parametrize("name", ["CONTAINER_ID", "PYSPARK_GATEWAY_PORT"])
def test_elsewhere_nothing_is_said(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In client mode, and in a container that is not started by Spark."""
    for each in ("CONTAINER_ID", "PYSPARK_GATEWAY_PORT"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "1")
    jvm = Jvm()
    monkeypatch.setattr(SparkContext, "_gateway", SimpleNamespace(jvm=jvm))
    assert not yarn.is_driver_of_yarn()
    tell_yarn("x", 1)
    assert jvm.printed == []
