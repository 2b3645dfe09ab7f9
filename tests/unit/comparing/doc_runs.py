"""The runs and the true values of the examples in docs/compare.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.compared_runs import write_run

LABELS = ("hardware", "software", "billing")
TYPES = {"ticket_id": pa.string(), "label": pa.string(), "urgency": pa.int32()}
_PARSE = "label string NOT NULL, urgency int"


def truth(number: int) -> str:
    """Return the true label of a ticket."""
    return LABELS[number * number % 7 % 3]


def _row(number: int, every: int, tokens: int, urgency: int) -> dict[str, Any]:
    """Return the row of a ticket. every: one label of this number is wrong"""
    label = truth(number if number % every else number + 1)
    outcome = "truncated" if number % 47 == every else "ok"
    is_ok = outcome == "ok"
    return {
        "ticket_id": f"T-{number}",
        "record_id": f"{number:011d}",
        "outcome": outcome,
        "text": f'{{"label": "{label}", "urgency": {urgency}}}',
        "label": label if is_ok else None,
        "urgency": urgency if is_ok else None,
        "input_tokens": 60 + number % 20,
        "output_tokens": tokens,
        "error_message": None if is_ok else "cut off: max_tokens",
    }


def write_doc_runs(folder: Path) -> None:
    """Write runs/nova, runs/haiku and labels.csv into a folder."""
    source = {"key": ["ticket_id"]}
    for name, rows, every, cost, model in (
        ("nova", 1000, 5, 0.0094, "amazon.nova-lite-v1:0"),
        ("haiku", 1020, 19, 0.0871, "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
    ):
        write_run(
            folder / "runs" / name,
            [_row(i, every, 12 + every % 4, 1 + (i + i // every % 2) % 4) for i in range(rows)],
            TYPES,
            parse=_PARSE,
            key=("ticket_id",),
            shard_rows=500,
            cost=cost,
            model={"id": model},
            source=source,
        )
    lines = [f"T-{number},{truth(number)}" for number in range(0, 1000, 4)]
    (folder / "labels.csv").write_text("\n".join(["ticket_id,label", *lines, ""]))
