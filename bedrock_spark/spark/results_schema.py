"""The columns of a result row, after the source columns that are kept.

| column | type | means |
| --- | --- | --- |
| record_id | string | the record's id; null where the row was rejected |
| outcome | string | ok, error, missing or rejected |
| text | string | the answer's text |
| reasoning | string | what the model thought before its answer |
| tool_input | string | the input of the first tool call, as JSON |
| embedding | array<float> | the answer's embedding, of floats |
| images | array<string> | URIs of the answer's images |
| stop_reason | string | why the model stopped |
| input_tokens, output_tokens | bigint | as the model counted them |
| model_output | string | the whole answer, as JSON; not there with results.model_output: drop |
| error_code | int | of an error, as HTTP has it |
| error_message | string | of an error or a rejection |
| served_by | string | batch or fallback: where the outcome is from; null where there is none |
| attempt | int | of the batch job, or the fallback's count of calls |
| job_arn | string | the batch job |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bedrock_spark.config import ResultsConfig

_MODEL_OUTPUT = "model_output"
_FIELDS: tuple[tuple[str, Any, str], ...] = (
    ("record_id", pa.string(), "string"),
    ("outcome", pa.string(), "string"),
    ("text", pa.string(), "string"),
    ("reasoning", pa.string(), "string"),
    ("tool_input", pa.string(), "string"),
    ("embedding", pa.list_(pa.float32()), "array<float>"),
    ("images", pa.list_(pa.string()), "array<string>"),
    ("stop_reason", pa.string(), "string"),
    ("input_tokens", pa.int64(), "bigint"),
    ("output_tokens", pa.int64(), "bigint"),
    (_MODEL_OUTPUT, pa.string(), "string"),
    ("error_code", pa.int32(), "int"),
    ("error_message", pa.string(), "string"),
    ("served_by", pa.string(), "string"),
    ("attempt", pa.int32(), "int"),
    ("job_arn", pa.string(), "string"),
)

RESULT_COLUMNS: tuple[str, ...] = tuple(name for name, _, _ in _FIELDS)


@dataclass(frozen=True)
class ResultColumns:
    """The result columns that a config asks for, in order; sent to executors."""

    fields: tuple[tuple[str, pa.DataType, str], ...]

    @property
    def ddl(self) -> str:
        """Return them as Spark DDL."""
        return ", ".join(f"`{name}` {ddl}" for name, _, ddl in self.fields)

    def schema(self, rows: pa.Schema) -> pa.Schema:
        """Return the schema of a results file, given that of the source columns."""
        return pa.schema([*rows, *((name, kind) for name, kind, _ in self.fields)])


def result_columns_of(config: ResultsConfig) -> ResultColumns:
    """Return the result columns that a config asks for."""
    drops = config.model_output == "drop"
    return ResultColumns(tuple(f for f in _FIELDS if not (drops and f[0] == _MODEL_OUTPUT)))
