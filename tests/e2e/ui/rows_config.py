"""A config of 40 rows for the local Bedrock, whose answers depend on the prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedrock_emulator import LocalBedrock

SCRIPT = "<script>window.hacked = 1</script>"
ANSWERS: list[dict[str, Any]] = [
    {"match": "Sort: number 3 ", "text": "no JSON"},
    {"match": "Sort", "text": {"label": "sorted", "urgent": False}},
    {"match": "number", "text": {"label": "first", "urgent": False}},
]
FIELDS = {
    "prompt": "Classify: {{ body }}",
    "system": "",
    "parameters": "max_tokens: 64\n",
    "model": "amazon.nova-lite-v1:0",
    "parse": "label string, urgent boolean",
}


def write_config(folder: Path, local: LocalBedrock, more: str = "") -> str:
    """Write the table and the config; return the path of the config."""
    rows = [f"T-{n},number {n} {SCRIPT}" for n in range(40)]
    (folder / "tickets.csv").write_text("\n".join(["ticket_id,body", *rows, ""]))
    path = folder / "tickets.yaml"
    path.write_text(
        f"""\
run_uri: {folder}/run
source: {{path: {folder}/tickets.csv, key: [ticket_id]}}
model: {{id: amazon.nova-lite-v1:0}}
request:
  prompt: "Classify: {{{{ body }}}}"  # in English
  max_tokens: 64
batch: {{role_arn: "arn:aws:iam::123456789012:role/Batch", region: us-east-1}}
results: {{parse: "label string, urgent boolean"}}
shards: {{min_records: 10}}
prices: {{batch: {{input: 0.001, output: 0.002}}}}
endpoint_url: {local.endpoint_url}
{more}"""
    )
    local.set_answers(*ANSWERS)
    return str(path)
