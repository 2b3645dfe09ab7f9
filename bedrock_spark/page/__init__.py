"""A run as HTML: one page that needs nothing else, and small tables for notebooks.

The page is made of report.json alone, so what it shows is in there. It has no script, and asks no
server for anything.
"""

from bedrock_spark.page.document import Sample, render, sections_of
from bedrock_spark.page.notebook import summary, table
from bedrock_spark.page.stages_page import render_stages

__all__ = ["Sample", "render", "render_stages", "sections_of", "summary", "table"]
