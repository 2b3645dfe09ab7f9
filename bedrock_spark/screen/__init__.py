"""Progress on the screen: bars on a terminal, lines with times, or JSON lines, elsewhere."""

from bedrock_spark.screen.json_lines import JsonFormatter, JsonLines
from bedrock_spark.screen.lines import ProgressLines
from bedrock_spark.screen.progress_screen import ProgressScreen, automatic_screen
from bedrock_spark.screen.text import rate_text, time_left

__all__ = [
    "JsonFormatter",
    "JsonLines",
    "ProgressLines",
    "ProgressScreen",
    "automatic_screen",
    "rate_text",
    "time_left",
]
