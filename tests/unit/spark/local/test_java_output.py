"""What Java prints while it starts is held back; what it prints later is shown."""

from __future__ import annotations

import os

import pytest

from bedrock_spark.spark.local.java_output import JavaOutput


def test_lines_before_the_start_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    output = JavaOutput()
    os.write(output.writer, b"WARNING: Using incubator modules\n")
    while not output._held:
        pass
    output.pass_on()
    os.write(output.writer, b"an error \xff\n")
    output.close_writer()
    output._thread.join()
    assert capsys.readouterr().err == "an error \ufffd\n"


def test_lines_after_the_end_began_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    output = JavaOutput()
    output.pass_on()
    output.mute()
    os.write(output.writer, b"an error of a task that was killed\n")
    output.close_writer()
    output._thread.join()
    assert capsys.readouterr().err == ""
