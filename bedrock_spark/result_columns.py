"""The result columns, after the source columns. docs/results.md says what they mean."""

from __future__ import annotations

from bedrock_spark.ddl import Field, parse_ddl

MODEL_OUTPUT = "model_output"

RESULT_FIELDS: tuple[Field, ...] = parse_ddl(
    "record_id string, outcome string, text string, reasoning string, tool_input string, "
    "embedding array<float>, images array<string>, stop_reason string, input_tokens bigint, "
    f"output_tokens bigint, {MODEL_OUTPUT} string, error_code int, error_message string, "
    "served_by string, attempt int, job_arn string"
)
RESULT_COLUMNS: tuple[str, ...] = tuple(field.name for field in RESULT_FIELDS)
