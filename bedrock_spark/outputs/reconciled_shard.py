"""How one shard ended, as a value: collect writes it, report, budget and fallback read it."""

from __future__ import annotations

import json
from typing import Any

from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

Reconciled = dict[str, Any]


def read_reconciled(storage: Storage, shard_id: str) -> Reconciled:
    """Return the reconciliation of a collected shard, with what the driver does not get.

    unanswered_ids: the records that are not answered and may still be
    fallback_files: the files of fallback answers that it takes account of
    """
    found: Reconciled = json.loads(storage.read(layout.reconciliation_key(shard_id)))
    return found
