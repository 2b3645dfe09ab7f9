"""Progress in a real notebook kernel, as every notebook program talks to it."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.long

SECONDS = 120
CELL = """
from bedrock_spark.progress import Counts, Progress
from bedrock_spark.screen import automatic_screen

with automatic_screen(True) as observe:
    observe(Progress("prepare", 5, 5))
    observe(Progress("batch", 40, 100, "<b>1</b> job", counts=Counts(slots_used=1, slots=4)))
    observe(Progress("batch", 100, 100, counts=Counts(slots_used=0, slots=4, cost_usd=0.5)))
print("after")
"""


@pytest.fixture
def client() -> Iterator[Any]:
    """Return a client of a new kernel."""
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(startup_timeout=SECONDS)
    yield client
    client.stop_channels()
    kernel.shutdown_kernel(now=True)


def outputs_of(client: Any, code: str) -> list[dict[str, Any]]:
    """Run a cell; return the messages about its output, in order."""
    asked, found = client.execute(code), []
    while True:
        try:
            message = client.get_iopub_msg(timeout=SECONDS)
        except queue.Empty:
            pytest.fail("the kernel does not answer")
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["content"].get("execution_state") == "idle":
            return found
        if message["msg_type"] in ("display_data", "update_display_data", "stream", "error"):
            found.append(message)


def test_a_cell_has_one_output_that_changes(client: Any) -> None:
    """The bars are one display, by its id; what is printed later is below it."""
    shown = outputs_of(client, CELL)
    kinds = [message["msg_type"] for message in shown]
    assert kinds[0] == "display_data"
    assert kinds[-1] == "stream"
    updates = shown[1:-1]
    assert updates
    assert {message["msg_type"] for message in updates} == {"update_display_data"}
    ids = {message["content"]["transient"]["display_id"] for message in shown[:-1]}
    assert len(ids) == 1
    page = updates[-1]["content"]["data"]["text/html"]
    assert "100/100 records (100%)" in page
    assert "$0.5000 spent" in page
    assert "<b>" not in "".join(m["content"]["data"]["text/html"] for m in shown[:-1])
    assert shown[-1]["content"]["text"] == "after\n"
