"""Tickets whose texts hold the characters that file formats handle wrongly."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa

from bedrock_spark.config import Config
from tests.spark_sessions import make_config

Ticket = dict[str, Any]

TEXTS = (
    "plain",
    'said "no", twice',
    '"',
    "two\nlines",
    "two\r\nlines, as on Windows",
    "a,b;c\td|e",
    "C:\\new\\table\\",
    "  spaces around  ",
    "Zürich, 漢字, 🙂",
    "separators \u2028 and \u0085",
    "{{ body }} and {% raw %}",
    "NULL",
    "# not a comment",
    "'single' `back` \\\"both\\\"",
)
ROWS = 70


def _ticket(number: int) -> Ticket:
    return {
        "ticket_id": f"T-{number}",
        "customer_id": number % 5,
        "body": f"{TEXTS[number % len(TEXTS)]} {number}",
        "amount": Decimal(number * 7).scaleb(-2),
        "opened": dt.datetime(2026, 11, 1, 4, 30, tzinfo=dt.UTC) + dt.timedelta(minutes=number),
        "priority": 1 + number % 3,
    }


TICKETS: list[Ticket] = [_ticket(n) for n in range(ROWS)]
LATER: Ticket = _ticket(ROWS)

ARROW = pa.schema(
    [
        ("ticket_id", pa.string()),
        ("customer_id", pa.int64()),
        ("body", pa.string()),
        ("amount", pa.decimal128(8, 2)),
        ("opened", pa.timestamp("us", "UTC")),
        ("priority", pa.int32()),
    ]
)
DDL = (
    "ticket_id string, customer_id bigint, body string, amount decimal(8,2), opened timestamp,"
    " priority int"
)
PROMPT = "{{ priority }} {{ amount }} {{ body }}"


def asked(ticket: Ticket) -> str:
    """Return the question that PROMPT asks about a ticket."""
    return f"{ticket['priority']} {ticket['amount']} {ticket['body']}"


def as_text(row: Ticket) -> dict[str, str | None]:
    """Return a row with every value as text, which is the same for all types that formats use."""
    return {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> str | None:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return None if value is None else str(value)


def ticket_config(run_uri: str, source: dict[str, Any], **sections: Any) -> Config:
    """Return a config that asks PROMPT about tickets, with at least ten records per shard."""
    return make_config(
        run_uri,
        **{
            "source": {"key": ["ticket_id"], **source},
            "request": {"prompt": PROMPT},
            "shards": {"max_records": 40, "min_records": 10},
            **sections,
        },
    )
