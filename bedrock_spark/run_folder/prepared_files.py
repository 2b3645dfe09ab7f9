"""The files that prepare writes: delete those that no manifest names, check those that it names.

Each prepare has folders of its own (layout.py), and the manifest is created only if it is absent.
So a folder that a committed manifest does not name can never be named, and may be deleted. Before
the commit, a prepare deletes nothing but what it wrote itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.storage import Storage, StoredObject, calls_at_once, list_all

_SHOWN = 5
# Keys are compared with it when no more are expected.
_AFTER_ALL = (chr(0x10FFFF), None)


def delete_prepared(storage: Storage, prepare_id: str, *, but_rejects: bool = False) -> None:
    """Delete everything that the prepare with this id wrote, or all of it but the rejects.

    The caller must know that no manifest names, or ever will name, this id.
    """
    prefixes = [
        prefix
        for prefix in layout.prepared_prefixes(prepare_id)
        if not (but_rejects and prefix.startswith(f"{layout.REJECTS}/"))
    ]
    leftovers = [stored.key for stored in list_all(storage, prefixes)]
    if leftovers:
        storage.delete(leftovers)


def check_written(storage: Storage, manifest: RunManifest) -> list[str]:
    """Raise RunFolderError unless a manifest that is about to be committed has all its files here.

    The executors wrote them, and may have written elsewhere. It lists the folders of prepare, and
    reads no file.

    Returns the files of prepare that the manifest does not name. Once it is committed, they may be
    deleted: they are of prepares that died, of slower ones that still run and will find the
    manifest, and of rounds with another number of buckets.
    """
    shards, prepare_id = manifest.shards, manifest.prepare_id
    own = _folders(shards)
    with calls_at_once(storage) as calls:
        checked = [
            calls.begin(_compare, storage.scan(f"{folder}/"), expected, own)
            for folder, expected in (
                (layout.SHARDS, _lines_sizes(shards)),
                (layout.ROWS, _rows_sizes(manifest)),
                (layout.KEPT, _kept_sizes(manifest)),
            )
        ]
        indexes = (layout.index_key(shard.shard_id, prepare_id) for shard in shards)
        rejects = (layout.rejects_key(rejects.bucket, prepare_id) for rejects in manifest.rejects)
        unchecked = [
            calls.begin(_others, storage.scan(f"{folder}/"), named)
            for folder, named in ((layout.INDEX, indexes), (layout.REJECTS, rejects))
        ]
    looks = [look.result() for look in checked]
    wrong = [text for bad, _ in looks for text in bad]
    if wrong:
        files = sum(len(shard.sizes) + 1 for shard in shards) + 2 * len(manifest.kept)
        raise RunFolderError(
            f"{storage.uri}: {len(wrong)} of {files} files that the executors wrote "
            f"are not here as they wrote them: {', '.join(wrong[:_SHOWN])}. All machines must "
            "share the run folder; use an s3:// run_uri. Nothing was committed or submitted"
        )
    return [*chain(*(others for _, others in looks), *(keys.result() for keys in unchecked))]


def check_shard_files(storage: Storage, prepare_id: str, shards: Iterable[Shard]) -> None:
    """Raise RunFolderError if the file of a shard is missing or has another size than prepare gave.

    It lists the folder once, so it costs one call per thousand shards. It does not read the files:
    a file with other bytes and the same size is not noticed.
    """
    expected = list(shards)
    if not expected:
        return
    listed = storage.scan(layout.shards_prefix(prepare_id))
    wrong, _ = _compare(listed, _lines_sizes(expected), _folders(expected))
    if wrong:
        raise RunFolderError(
            f"{storage.uri}: {len(wrong)} files of {len(expected)} shards are not as prepare wrote "
            f"them: {', '.join(wrong[:_SHOWN])}. Restore them, or begin a new run with "
            "another run_uri; nothing was submitted"
        )


def _rows_sizes(manifest: RunManifest) -> Iterator[tuple[str, int | None]]:
    """Yield the files of source rows, with the bytes of each; None if they are not known."""
    for kept in manifest.kept:
        yield layout.rows_key(kept.unit, manifest.prepare_id), None
    for shard in manifest.shards:
        yield layout.rows_key(shard.shard_id, manifest.prepare_id), shard.rows_bytes or None


def _kept_sizes(manifest: RunManifest) -> Iterator[tuple[str, int | None]]:
    """Yield the files of kept answers, with the bytes of each."""
    for kept in manifest.kept:
        yield layout.kept_key(kept.unit, manifest.prepare_id), kept.bytes


def _lines_sizes(shards: Iterable[Shard]) -> Iterator[tuple[str, int | None]]:
    """Yield the files that hold the lines of shards, with the bytes of each."""
    for shard in shards:
        if shard.files:
            yield from shard.sizes.items()
        else:
            yield shard.key, shard.bytes


def _folders(shards: Iterable[Shard]) -> set[str]:
    """Return the folders of the shards that have one."""
    return {shard.key for shard in shards if shard.files}


def _compare(
    listed: Iterable[StoredObject],
    expected: Iterable[tuple[str, int | None]],
    own: AbstractSet[str],
) -> tuple[list[str], list[str]]:
    """Return the files that are missing or have another size, each with what is wrong; and others.

    Those that are in the folder of a shard and are not its own are wrong: a job would read them.
    Others are all that were not expected.

    expected: the keys, with the bytes of each, or None for any number
    own: the folders of shards
    As a rule, both are in the order of keys. Then memory holds neither of them.
    """
    # What was expected and not listed next, and what was listed and not expected next.
    missed: dict[str, int | None] = {}
    found: dict[str, int] = {}
    remaining = iter(expected)
    key, size = next(remaining, _AFTER_ALL)
    for stored in listed:
        while key < stored.key:
            missed[key] = size
            key, size = next(remaining, _AFTER_ALL)
        if key == stored.key and size in (None, stored.size):
            key, size = next(remaining, _AFTER_ALL)
        else:
            found[stored.key] = stored.size
    if key != _AFTER_ALL[0]:
        missed |= {key: size, **dict(remaining)}
    wrong = []
    for key in sorted(missed):
        size, has = missed[key], found.pop(key, None)
        if has is None:
            wrong.append(f"{key} (is missing)")
        elif size not in (None, has):
            wrong.append(f"{key} (has {has} bytes, not {size})")
    others = sorted(found)
    wrong += [f"{key} (is not its own)" for key in others if _folder_of(key) in own]
    return wrong, others


def _others(listed: Iterable[StoredObject], named: Iterable[str]) -> list[str]:
    """Return the files that are not named; one that is named need not be there."""
    keys = frozenset(named)
    return [stored.key for stored in listed if stored.key not in keys]


def _folder_of(key: str) -> str:
    return key[: key.rfind("/") + 1]
