"""Amazon Nova: the models that understand and write text.

Body: Amazon Nova user guide, "Complete request schema", and Nova 2 user guide, "Using the Invoke
API" and "Request and response schema"; nearly Converse's, and the answer has Converse's shape.
`schemaVersion` is optional and left out. Reasoning (Nova 2) stands where Converse has it, by
"Reasoning capabilities" as `[REDACTED]`; the exact members in an InvokeModel answer are not
confirmed. Not here: Canvas (images), Reel, Sonic, and Nova's multimodal embeddings.
"""

from __future__ import annotations

import re

from bedrock_spark.families import converse
from bedrock_spark.families.base import Family

PATTERN = re.compile(r"amazon\.nova-(2-)?(micro|lite|pro|premier)-.*")

FAMILY = Family("nova", PATTERN, converse.build, converse.read)
