"""The files that prepare writes: delete those that no manifest names, check those that it names.

Each prepare has folders of its own (layout.py), and the manifest is created only if it is absent.
So a folder that a committed manifest does not name can never be named, and may be deleted. Before
the commit, a prepare deletes nothing but what it wrote itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.storage import Storage

_SHOWN = 5


def delete_prepared(storage: Storage, prepare_id: str, *, but_rejects: bool = False) -> None:
    """Delete everything that the prepare with this id wrote, or all of it but the rejects.

    The caller must know that no manifest names, or ever will name, this id.
    """
    prefixes = layout.prepared_prefixes(prepare_id)
    _delete(
        storage,
        (
            stored.key
            for prefix in prefixes
            if not (but_rejects and prefix.startswith(f"{layout.REJECTS}/"))
            for stored in storage.list(prefix)
        ),
    )


def delete_unnamed(storage: Storage, committed: RunManifest) -> None:
    """Delete all files of prepare that a committed manifest does not name.

    They are of prepares that died, of slower ones that still run and will find the manifest, and of
    rounds with another number of buckets.
    """
    prepare_id = committed.prepare_id
    named = {layout.rejects_key(rejects.bucket, prepare_id) for rejects in committed.rejects}
    named |= {shard.key for shard in committed.shards}
    named |= {layout.rows_key(shard.shard_id, prepare_id) for shard in committed.shards}
    folders = (layout.SHARDS, layout.ROWS, layout.REJECTS)
    written = (stored.key for folder in folders for stored in storage.list(f"{folder}/"))
    _delete(storage, (key for key in written if key not in named))


def check_shard_files(storage: Storage, prepare_id: str, shards: Iterable[Shard]) -> None:
    """Raise RunFolderError if the file of a shard is missing or has another size than prepare gave.

    It lists the folder once, so it costs one call per thousand shards. It does not read the files:
    a file with other bytes and the same size is not noticed.
    """
    expected = {shard.key: shard.bytes for shard in shards}
    if not expected:
        return
    found = {o.key: o.size for o in storage.list(layout.shards_prefix(prepare_id))}
    wrong = sorted(key for key, size in expected.items() if found.get(key) != size)
    if wrong:
        shown = ", ".join(
            f"{key} (is missing)"
            if key not in found
            else f"{key} (has {found[key]} bytes, not {expected[key]})"
            for key in wrong[:_SHOWN]
        )
        raise RunFolderError(
            f"{storage.uri}: {len(wrong)} of {len(expected)} shards are not as prepare wrote them: "
            f"{shown}. Restore them, or begin a new run with another run_uri; "
            "nothing was submitted"
        )


def _delete(storage: Storage, keys: Iterable[str]) -> None:
    leftovers = list(keys)
    if leftovers:
        storage.delete(leftovers)
