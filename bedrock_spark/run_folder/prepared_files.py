"""The files that prepare writes: delete those that no manifest names, check those that it names.

Each prepare has folders of its own (layout.py), and the manifest is created only if it is absent.
So a folder that a committed manifest does not name can never be named, and may be deleted. Before
the commit, a prepare deletes nothing but what it wrote itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.storage import Storage, list_all

_SHOWN = 5


def delete_prepared(storage: Storage, prepare_id: str, *, but_rejects: bool = False) -> None:
    """Delete everything that the prepare with this id wrote, or all of it but the rejects.

    The caller must know that no manifest names, or ever will name, this id.
    """
    prefixes = [
        prefix
        for prefix in layout.prepared_prefixes(prepare_id)
        if not (but_rejects and prefix.startswith(f"{layout.REJECTS}/"))
    ]
    _delete(storage, (stored.key for stored in list_all(storage, prefixes)))


def delete_unnamed(storage: Storage, committed: RunManifest) -> None:
    """Delete all files of prepare that a committed manifest does not name.

    They are of prepares that died, of slower ones that still run and will find the manifest, and of
    rounds with another number of buckets.
    """
    prepare_id = committed.prepare_id
    named = {layout.rejects_key(rejects.bucket, prepare_id) for rejects in committed.rejects}
    named |= {key for shard in committed.shards for key in shard.sizes}
    named |= {layout.index_key(shard.shard_id, prepare_id) for shard in committed.shards}
    named |= set(_rows_keys(committed))
    named |= {layout.kept_key(kept.unit, prepare_id) for kept in committed.kept}
    folders = (layout.SHARDS, layout.INDEX, layout.ROWS, layout.REJECTS, layout.KEPT)
    written = list_all(storage, [f"{folder}/" for folder in folders])
    _delete(storage, (stored.key for stored in written if stored.key not in named))


def check_written(storage: Storage, manifest: RunManifest) -> None:
    """Raise RunFolderError unless a manifest that is about to be committed has all its files here.

    The executors wrote them, and may have written elsewhere. It lists their folders and reads no
    file.
    """
    prefixes = [layout.shards_prefix, layout.rows_prefix]
    prefixes += [layout.kept_prefix] if manifest.kept else []
    listed = list_all(storage, [prefix(manifest.prepare_id) for prefix in prefixes])
    found = {stored.key: stored.size for stored in listed}
    wrong = _wrong_files(found, manifest.shards)
    kept = {layout.kept_key(k.unit, manifest.prepare_id): k.bytes for k in manifest.kept}
    wrong += _wrong_sizes(found, kept)
    sizes = _rows_sizes(manifest)
    wrong += _wrong_sizes(found, sizes)
    expected = _rows_keys(manifest)
    wrong += [f"{key} (is missing)" for key in expected if key not in found and key not in sizes]
    if wrong:
        files = len(expected) + len(kept) + sum(len(shard.sizes) for shard in manifest.shards)
        raise RunFolderError(
            f"{storage.uri}: {len(wrong)} of {files} files that the executors wrote "
            f"are not here as they wrote them: {', '.join(wrong[:_SHOWN])}. All machines must "
            "share the run folder; use an s3:// run_uri. Nothing was committed or submitted"
        )


def check_shard_files(storage: Storage, prepare_id: str, shards: Iterable[Shard]) -> None:
    """Raise RunFolderError if the file of a shard is missing or has another size than prepare gave.

    It lists the folder once, so it costs one call per thousand shards. It does not read the files:
    a file with other bytes and the same size is not noticed.
    """
    expected = list(shards)
    if not expected:
        return
    found = {stored.key: stored.size for stored in storage.list(layout.shards_prefix(prepare_id))}
    wrong = _wrong_files(found, expected)
    if wrong:
        raise RunFolderError(
            f"{storage.uri}: {len(wrong)} files of {len(expected)} shards are not as prepare wrote "
            f"them: {', '.join(wrong[:_SHOWN])}. Restore them, or begin a new run with "
            "another run_uri; nothing was submitted"
        )


def _rows_keys(manifest: RunManifest) -> list[str]:
    """Return the files of source rows, of shards and of kept rows."""
    units = (*(shard.shard_id for shard in manifest.shards), *(k.unit for k in manifest.kept))
    return [layout.rows_key(unit, manifest.prepare_id) for unit in units]


def _rows_sizes(manifest: RunManifest) -> dict[str, int]:
    """Return the files of source rows whose sizes are known, with the bytes of each."""
    sizes = ((shard.shard_id, shard.rows_bytes) for shard in manifest.shards if shard.rows_bytes)
    return {layout.rows_key(unit, manifest.prepare_id): size for unit, size in sizes}


def _wrong_files(found: Mapping[str, int], shards: Iterable[Shard]) -> list[str]:
    """Return the files of shards that are missing or have another size, each with what is wrong.

    Also those that are in the folder of a shard and are not its own: a job would read them.
    found: the sizes of the files that are there
    """
    expected: dict[str, int] = {}
    folders: set[str] = set()
    for shard in shards:
        expected |= shard.sizes
        if shard.files:
            folders.add(shard.key)
    wrong = _wrong_sizes(found, expected)
    if folders:
        others = (key for key in sorted(found.keys() - expected.keys()))
        wrong += [f"{key} (is not its own)" for key in others if _folder_of(key) in folders]
    return wrong


def _wrong_sizes(found: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    """Return the files that are missing or have another size, each with what is wrong."""
    return [
        f"{key} (is missing)"
        if key not in found
        else f"{key} (has {found[key]} bytes, not {expected[key]})"
        for key in sorted(key for key, size in expected.items() if found.get(key) != size)
    ]


def _folder_of(key: str) -> str:
    return key[: key.rfind("/") + 1]


def _delete(storage: Storage, keys: Iterable[str]) -> None:
    leftovers = list(keys)
    if leftovers:
        storage.delete(leftovers)
