"""Compare two runs row by row, or a run with true values.

What is computed is in `pairs/`; here is which tables, columns and questions, and what is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bedrock_spark.comparing.compare_runs import compare
    from bedrock_spark.comparing.values import Comparison

__all__ = ["Comparison", "compare"]

if not TYPE_CHECKING:  # PyArrow is imported only when runs are compared

    def __getattr__(name: str) -> Any:
        """Import a public name."""
        if name == "compare":
            from bedrock_spark.comparing.compare_runs import compare

            return compare
        if name == "Comparison":
            from bedrock_spark.comparing.values import Comparison

            return Comparison
        raise AttributeError(name)
