"""The files of a store of answers: their names, the list that a reader pins, who replaces whom.

    <uri>/store.json                         {"format": 1}
    <uri>/answers/<name>.parquet             answers, sorted by body_hash; never changed
    <uri>/compactions/<time>-<random>.json   which files were merged into which
    <uri>/compacting.json                    which process compacts (compacting.py)
    <uri>/copies/<digest of a table>.json    which files a table has (copies.py)

    name = <milliseconds since the epoch>-<label>-<number>-<first hash>-<last hash>

The hashes in the name are those of the first and the last row, in 16 hexadecimal digits, and
2^63 more than the signed hash, so that names sort as hashes do. So a listing alone tells which
files have a range of hashes.

A compaction writes merged files, and then one note that lists them and the files that they
replace. A reader leaves replaced files out. They are deleted only after DELETE_AFTER_SECONDS, when
no reader that pinned them is left. Without the note, merged files are duplicates, which do no harm.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import AlreadyExistsError, AnswerStoreError
from bedrock_spark.storage import Storage, calls_at_once

FORMAT = 1
STORE_FILE, ANSWERS, COMPACTIONS = "store.json", "answers", "compactions"
# Longer than any prepare can last.
DELETE_AFTER_SECONDS = 7 * 86_400.0
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1

_OFFSET = 1 << 63
_NAME = re.compile(r"(\d{15})-([A-Za-z0-9._-]+)-(\d{5})-([0-9a-f]{16})-([0-9a-f]{16})\.parquet")


@dataclass(frozen=True)
class AnswersFile:
    """A file of answers, as a listing shows it.

    size: in bytes; first, last: the hashes of its first and its last row, signed
    """

    key: str
    size: int
    first: int = LOWEST
    last: int = HIGHEST

    @property
    def has_name_of_ours(self) -> bool:
        """Tell whether `answers_key` has named it: then it is sorted."""
        return _NAME.fullmatch(self.key.removeprefix(f"{ANSWERS}/")) is not None

    def has_part_of(self, first: int, last: int) -> bool:
        """Tell whether it may have hashes from `first` to `last`, both included."""
        return self.first <= last and first <= self.last


def files_in_groups(
    files: Iterable[AnswersFile], most_bytes: int, most_files: int | None = None
) -> Iterator[list[AnswersFile]]:
    """Yield the files in groups of at most so many bytes and files; a larger file is alone."""
    group: list[AnswersFile] = []
    size = 0
    for file in files:
        if group and (size + file.size > most_bytes or len(group) == most_files):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group


@dataclass(frozen=True)
class Compaction:
    """A note: `files` have all that was in the files `replaced`. `at`: seconds since the epoch."""

    key: str
    at: float
    files: tuple[str, ...]
    replaced: tuple[str, ...]


def answers_key(written_at: float, label: str, number: int, first: int, last: int) -> str:
    """Return the key of a file of answers.

    written_at: in seconds since the epoch; label: the run's id, or another word
    number: of the file among those of one writer; first, last: its hashes, signed
    """
    hashes = f"{first + _OFFSET:016x}-{last + _OFFSET:016x}"
    return f"{ANSWERS}/{int(written_at * 1000):015d}-{label}-{number:05d}-{hashes}.parquet"


def file_of(key: str, size: int) -> AnswersFile:
    """Return the file with this key. One of another name may have any hash."""
    match = _NAME.fullmatch(key.removeprefix(f"{ANSWERS}/"))
    if match is None:
        return AnswersFile(key, size)
    return AnswersFile(key, size, int(match[4], 16) - _OFFSET, int(match[5], 16) - _OFFSET)


def begin_store(storage: Storage) -> None:
    """Create the store if there is none. Raises AnswerStoreError if it is of another format."""
    if not is_store(storage):
        try:
            storage.create(STORE_FILE, json.dumps({"format": FORMAT}).encode())
        except AlreadyExistsError:
            is_store(storage)


def is_store(storage: Storage) -> bool:
    """Tell whether there is a store. Raises AnswerStoreError if it is of another format."""
    data = storage.read_if_present(STORE_FILE)
    if data is None:
        return False
    uri = join_uri(storage.uri, STORE_FILE)
    try:
        found = json.loads(data)["format"]
    except (ValueError, KeyError, TypeError) as exc:
        raise AnswerStoreError(
            f"{uri}: does not describe a store of answers; name another answers.uri, or restore it"
        ) from exc
    if found != FORMAT:
        raise AnswerStoreError(
            f"{uri}: has format {found}, and this version reads format {FORMAT}; update "
            "bedrock-spark, or name another answers.uri"
        )
    return True


def pin_files(storage: Storage) -> tuple[AnswersFile, ...]:
    """Return the files of the store, without those that were replaced; none if there is no store.

    Raises AnswerStoreError if it is of another format.
    """
    # Notes are listed before files: a note that leaves meanwhile leaves after the files that it
    # replaces, so nothing that is listed here is deleted and has no note.
    while True:
        with calls_at_once(storage) as calls:
            known = calls.begin(is_store, storage)
            noted = calls.begin(storage.list, f"{COMPACTIONS}/")
        if not known.result():
            return ()
        with calls_at_once(storage) as calls:
            reads = [calls.begin(_note_if_present, storage, o.key) for o in noted.result()]
            listed = calls.begin(storage.list, f"{ANSWERS}/")
        notes = [read.result() for read in reads]
        if None not in notes:
            break
    files = [file_of(o.key, o.size) for o in listed.result() if o.key.endswith(".parquet")]
    return _without_replaced(files, [note for note in notes if note is not None])


def _without_replaced(
    files: Sequence[AnswersFile], compactions: Iterable[Compaction]
) -> tuple[AnswersFile, ...]:
    """Return the files that no note replaces.

    A note counts only if its merged files are there, or were replaced themselves: then by a note
    that counts.
    """
    present = {file.key for file in files}
    replaced: set[str] = set()

    def counts(note: Compaction) -> bool:
        return all(key in present or key in replaced for key in note.files)

    # The newest first: what an older one has merged may have been merged once more.
    for note in _in_turn(reversed(_by_time(compactions)), counts):
        replaced.update(note.replaced)
    return tuple(file for file in files if file.key not in replaced)


def with_merged(copied: Iterable[str], notes: Iterable[Compaction]) -> frozenset[str]:
    """Return these keys, and those of merged files all of whose answers they have."""
    found = set(copied)
    # The oldest first: its files may have been merged once more.
    for note in _in_turn(_by_time(notes), lambda note: found.issuperset(note.replaced)):
        found.update(note.files)
    return frozenset(found)


def _by_time(notes: Iterable[Compaction]) -> list[Compaction]:
    return sorted(notes, key=lambda note: (note.at, note.key))


def _in_turn(
    notes: Iterable[Compaction], is_ready: Callable[[Compaction], bool]
) -> Iterator[Compaction]:
    """Yield the notes that are ready, some of them only after others.

    Their order by time says little: one compaction has one time, and clocks differ.
    """
    waiting, before = list(notes), -1
    while waiting and len(waiting) != before:
        before, later = len(waiting), []
        for note in waiting:
            if is_ready(note):
                yield note
            else:
                later.append(note)
        waiting = later


def compactions_of(storage: Storage) -> list[Compaction]:
    """Return the notes of all compactions, the oldest first."""
    with calls_at_once(storage) as calls:
        listed = storage.list(f"{COMPACTIONS}/")
        reads = [calls.begin(_note_if_present, storage, o.key) for o in listed]
    return [note for read in reads if (note := read.result()) is not None]


def _note_if_present(storage: Storage, key: str) -> Compaction | None:
    """Return a note; None if it was deleted since it was listed: what it replaces is gone, too."""
    data = storage.read_if_present(key)
    return None if data is None else _note(key, data, storage)


def note_compaction(
    storage: Storage, at: float, files: Iterable[str], replaced: Iterable[str]
) -> None:
    """Note that files have all that was in others. The files must be written."""
    key = f"{COMPACTIONS}/{int(at * 1000):015d}-{secrets.token_hex(4)}.json"
    note = {"format": FORMAT, "at": at, "files": list(files), "replaced": list(replaced)}
    storage.create(key, json.dumps(note, indent=1).encode())


def _note(key: str, data: bytes, storage: Storage) -> Compaction:
    try:
        values = json.loads(data)
        return Compaction(
            key, float(values["at"]), tuple(values["files"]), tuple(values["replaced"])
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise AnswerStoreError(
            f"{join_uri(storage.uri, key)}: is not the note of a compaction; delete it: then all "
            "files of the store are read, and nothing is lost"
        ) from exc
