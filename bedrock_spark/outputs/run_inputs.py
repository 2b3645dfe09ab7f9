"""List the output of all shards at once: a call per 1,000 objects, and not two calls per shard."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby

from bedrock_spark.outputs.shard_outputs import shard_inputs
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage, StoredObject, scan_ahead

# For so few shards, the calls for each are fewer than those for all.
_FEW = 20


def scan_inputs(storage: Storage) -> Iterator[tuple[str, list[StoredObject]]]:
    """Yield each shard that has output objects, once, with these: as `shard_inputs` returns them.

    The listings begin at once. Memory holds the answers of the fallback, and the batch output of
    one shard.
    """
    prefixes = (f"{layout.FALLBACK}/", f"{layout.OUTPUT}/")
    return _by_shard(*(scan_ahead(storage, prefix) for prefix in prefixes))


def _by_shard(
    answered: Iterator[StoredObject], outputs: Iterator[StoredObject]
) -> Iterator[tuple[str, list[StoredObject]]]:
    answers: dict[str, list[StoredObject]] = {}
    for stored in answered:
        answers.setdefault(layout.unit_of(stored.key), []).append(stored)
    for unit, own in groupby(outputs, key=lambda stored: layout.unit_of(stored.key)):
        yield unit, [*_sorted(own), *_sorted(answers.pop(unit, ()))]
    for unit, rest in answers.items():
        yield unit, _sorted(rest)


def inputs_of(storage: Storage, units: Collection[str]) -> dict[str, list[StoredObject]]:
    """Return the output objects of some shards, by shard."""
    if len(units) <= _FEW:
        return {unit: shard_inputs(storage, unit) for unit in units}
    wanted = set(units)
    found = {unit: own for unit, own in scan_inputs(storage) if unit in wanted}
    return {unit: found.get(unit, []) for unit in units}


def _sorted(objects: Collection[StoredObject] | Iterator[StoredObject]) -> list[StoredObject]:
    return sorted(objects, key=lambda stored: stored.key)
