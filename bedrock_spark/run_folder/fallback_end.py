"""Whether the fallback has had its chance: an object in the run folder, once it gave up.

It gives up if its rounds or its time are used up, or if the model refused every record. Then the
rows that are left stay unanswered, and the results are as final as they will be, for every later
process, too.
"""

from __future__ import annotations

import json

from bedrock_spark.config import Config
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage


def note_fallback_ended(storage: Storage, reason: str, now: float) -> None:
    """Note that the fallback gave up, and why."""
    data = json.dumps({"reason": reason, "at": now}, ensure_ascii=False)
    storage.write(layout.FALLBACK_END_FILE, data.encode())


def has_fallback_ended(storage: Storage) -> bool:
    """Tell whether the fallback of any process gave up."""
    return storage.read_if_present(layout.FALLBACK_END_FILE) is not None


def may_fallback_answer(config: Config, unanswered: int, *, has_ended: bool) -> bool:
    """Tell whether the fallback may still answer rows: then no results are final, no run is over.

    unanswered: the rows that may still get an answer; has_ended: whether the fallback gave up
    """
    return config.fallback is not None and unanswered > 0 and not has_ended
