"""Look up what was asked among the kept answers of a range of hashes.

Bodies are looked up in the order of their hashes, so a row group is forgotten when they have passed
it. Memory holds bounded numbers of row groups and of small files, however many answers there are. A
hash only finds candidates: the digest of the request decides. Of several answers, the one with the
best outcome counts, then that of the first model, then the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.bytes_cache import BytesCache
from bedrock_spark.answers.digest import request_digests
from bedrock_spark.answers.group_hashes import GroupHashes
from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import HIGHEST, LOWEST, AnswersFile
from bedrock_spark.answers.table import (
    ANSWERED_AT,
    BODY_HASH,
    MODEL_ID,
    MODEL_OUTPUT,
    OUTCOME,
    REQUEST_DIGEST,
    RUN_ID,
    SCHEMA,
)
from bedrock_spark.storage import Storage

# The most bytes of row groups that are kept for the next rows, and of the hashes of row groups.
_CACHE_BYTES, _HASH_BYTES = 64_000_000, 32_000_000
# The most bytes of small files that are kept whole. A store may have thousands of them.
_HELD_BYTES = 64_000_000

# Why a body has no answer that may be used: nothing was kept for it; it was asked in another way,
# as of another model; the answer is too old; the answer is not one that this run accepts.
NEW, OTHER_REQUEST, TOO_OLD, NOT_ACCEPTED = "new", "other_request", "too_old", "not_accepted"


REASONS = (NEW, OTHER_REQUEST, TOO_OLD, NOT_ACCEPTED)
FOUND = -1

_NARROW = (REQUEST_DIGEST, ANSWERED_AT, OUTCOME)
_WIDE = (MODEL_ID, RUN_ID, MODEL_OUTPUT)
# What of an answer a lookup needs beside its hash.
LOOKED_UP = pa.schema([SCHEMA.field(name) for name in (*_NARROW, *_WIDE)])
_FOUND = pa.schema(
    [SCHEMA.field(n) for n in (REQUEST_DIGEST, ANSWERED_AT, MODEL_ID, RUN_ID, MODEL_OUTPUT)]
)

# Tells of each modelOutput whether the run may use it.
Accept = Callable[[Sequence[bytes]], Sequence[bool]]


@dataclass(frozen=True)
class FoundAnswers:
    """The answers to some bodies.

    bodies: the number of each body, in ascending order
    answers: of each body its answer: request_digest, answered_at, model_id, run_id, model_output
    why: of every body that was looked up, why it has none: its number in REASONS, FOUND if it has
    """

    bodies: npt.NDArray[np.int64]
    answers: pa.Table
    why: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Rules:
    """Which kept answers count.

    contexts: those in which the run may ask, the best first
    oldest: in microseconds since the epoch; older answers do not count
    outcomes: those that count, the best first
    """

    contexts: tuple[bytes, ...]
    oldest: int
    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class _Candidates:
    """Answers that count, body by body, for each body in the order in which they are tried.

    That is the order of outcomes, then of contexts, and then the newest first.
    """

    bodies: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    def select(self, chosen: npt.NDArray[Any]) -> _Candidates:
        """Return some of them."""
        return _Candidates(self.bodies[chosen], self.places[chosen])


class KeptAnswers:
    """The kept answers with hashes from `first` to `last`. Close it.

    files: of the store, as they were pinned
    wanted: the only hashes that will be looked up, in ascending order; None for any of the range
    Raises AnswerStoreError if a file is damaged, or was deleted.
    """

    def __init__(
        self,
        storage: Storage,
        files: Sequence[AnswersFile],
        first: int,
        last: int,
        wanted: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._stack = ExitStack()
        self._cache: BytesCache[tuple[int, int, tuple[str, ...]], pa.Table] = BytesCache(
            _CACHE_BYTES
        )
        self._hashes: BytesCache[tuple[int, int], GroupHashes] = BytesCache(_HASH_BYTES)
        self._row_bytes = 0
        # The last hash that is looked up at the moment.
        self._last = LOWEST
        self._opened: list[OpenAnswers] = []
        self._streamed: pa.Table | None = None
        with self._stack:
            held = 0
            for file in files:
                if file.has_part_of(first, last) and _has(wanted, file.first, file.last):
                    opened = OpenAnswers(storage, file, may_hold=held < _HELD_BYTES)
                    self._opened.append(self._stack.enter_context(closing(opened)))
                    held += opened.held_bytes
                    for group in opened.groups_of(first, last):
                        if _has(wanted, group.first, group.last):
                            self._row_bytes = max(self._row_bytes, group.row_bytes)
            self._stack = self._stack.pop_all()

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    @property
    def row_bytes(self) -> int:
        """Return the bytes of an answer, on average of the row group with the longest ones."""
        return self._row_bytes

    def _matches(
        self, hashes: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the answers with these hashes: the number of its hash, and the place of each.

        A place is one number: file, row group and row. Only the hashes of row groups are read that
        have a part of the range.
        """
        bodies, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        first, last = (int(hashes[0]), int(hashes[-1])) if len(hashes) else (HIGHEST, LOWEST)
        for number, opened in enumerate(self._opened):
            for group in opened.groups_of(first, last):
                start = int(np.searchsorted(hashes, group.first, "left"))
                stop = int(np.searchsorted(hashes, group.last, "right"))
                if start < stop:
                    found, rows = self._hashes_of(number, group.number).find(hashes[start:stop])
                    bodies.append(found + start)
                    places.append(_place(number, group.number) + rows)
        if self._streamed is not None:
            found, rows = GroupHashes.of(self._streamed.column(BODY_HASH)).find(hashes)
            bodies.append(found)
            places.append(_place(len(self._opened), 0) + rows)
        return np.concatenate(bodies), np.concatenate(places)

    def _hashes_of(self, number: int, group: int) -> GroupHashes:
        """Return the hashes of a row group. The last ones that were read stay in memory."""
        key = number, group
        hashes = self._hashes.get(key)
        if hashes is None:
            hashes = GroupHashes.of(self._opened[number].read(group, [BODY_HASH]).column(0))
            self._hashes.add(key, hashes, hashes.nbytes)
        return hashes

    def find(
        self,
        hashes: npt.NDArray[np.int64],
        body_sha256: Callable[[Sequence[int]], Sequence[bytes]],
        rules: Rules,
        accept: Accept,
        streamed: pa.Table | None = None,
    ) -> FoundAnswers:
        """Return the answers to some bodies. No call has lower hashes than the one before.

        hashes: of different bodies, in ascending order
        streamed: more answers, which are in no file of these: BODY_HASH and the columns LOOKED_UP
        body_sha256: returns the SHA-256 of the bodies with these numbers
        accept: is asked of each answer that would be used
        """
        self._streamed = streamed
        self._last = int(hashes[-1]) if len(hashes) else self._last
        why = np.full(len(hashes), REASONS.index(NEW), np.int8)
        candidates = self._candidates(hashes, body_sha256, rules, why)
        bodies, answers = [np.zeros(0, np.int64)], [_FOUND.empty_table()]
        while len(candidates.bodies):
            is_best = np.diff(candidates.bodies, prepend=-1) != 0
            best = candidates.select(is_best)
            table = self._answers(best.places)
            accepted = np.asarray(accept(as_bytes(table.column(MODEL_OUTPUT))), np.bool_)
            bodies.append(best.bodies[accepted])
            answers.append(table.filter(pa.array(accepted)))
            why[best.bodies] = np.where(accepted, FOUND, REASONS.index(NOT_ACCEPTED))
            candidates = candidates.select(~is_best & (why[candidates.bodies] != FOUND))
        self._cache.forget(lambda key: self._is_over(*key[:2]))
        self._hashes.forget(lambda key: self._is_over(*key))
        found = np.concatenate(bodies)
        order = np.argsort(found, kind="stable")
        return FoundAnswers(found[order], pa.concat_tables(answers).take(pa.array(order)), why)

    def _candidates(
        self,
        hashes: npt.NDArray[np.int64],
        body_sha256: Callable[[Sequence[int]], Sequence[bytes]],
        rules: Rules,
        why: npt.NDArray[np.int8],
    ) -> _Candidates:
        """Return the answers that count; note in `why` the reason of bodies that have none."""
        bodies, places = self._matches(hashes)
        known = np.unique(bodies)
        why[known] = REASONS.index(OTHER_REQUEST)
        sha256 = body_sha256(known.tolist())
        digests = [pa.array(request_digests(sha256, context)) for context in rules.contexts]
        kept: list[tuple[npt.NDArray[np.int64], ...]] = [(np.zeros(0, np.int64),) * 5]
        outcomes = pa.array(rules.outcomes)
        for opened, group, rows, which in self._by_group(places):
            table = self._read(opened, group, _NARROW).take(pa.array(rows))
            own, own_places = bodies[which], places[which]
            context = _context_of(table, digests, np.searchsorted(known, own))
            ages = -_times(table)
            is_same = context < len(digests)
            is_new = ages <= -rules.oldest
            rank = pc.fill_null(pc.index_in(table.column(OUTCOME).cast(pa.string()), outcomes), -1)
            ranks = rank.to_numpy().astype(np.int64)
            counts_here = is_same & is_new & (ranks >= 0)
            why[own[is_same & ~is_new]] = REASONS.index(TOO_OLD)
            why[own[is_same & is_new & ~counts_here]] = REASONS.index(NOT_ACCEPTED)
            columns = own, own_places, ranks, context, ages
            kept.append(tuple(column[counts_here] for column in columns))
        own, own_places, ranks, context, ages = map(np.concatenate, zip(*kept, strict=True))
        order = np.lexsort((ages, context, ranks, own))
        return _Candidates(own[order], own_places[order])

    def _answers(self, places: npt.NDArray[np.int64]) -> pa.Table:
        """Return the answers at some places, in their order."""
        tables, order = [_FOUND.empty_table()], [np.zeros(0, np.int64)]
        for opened, group, rows, which in self._by_group(places):
            taken = pa.array(rows)
            parts = [self._read(opened, group, names).take(taken) for names in (_NARROW, _WIDE)]
            columns = {name: part.column(name) for part in parts for name in part.column_names}
            table = pa.table([columns[name] for name in _FOUND.names], _FOUND.names)
            tables.append(table.cast(_FOUND))
            order.append(which)
        back = np.argsort(np.concatenate(order), kind="stable")
        return pa.concat_tables(tables).take(pa.array(back))

    def _by_group(
        self, places: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Yield each file and row group with its rows, and the positions of these in `places`."""
        order = np.argsort(places, kind="stable")
        ordered = places[order]
        cuts = np.flatnonzero(np.diff(ordered >> _GROUP_BITS)) + 1
        for start, stop in zip([0, *cuts], [*cuts, len(places)], strict=True):
            if start < stop:
                first = int(ordered[start])
                group = (first >> _GROUP_BITS) & ((1 << (_FILE_BITS - _GROUP_BITS)) - 1)
                rows = ordered[start:stop] & ((1 << _GROUP_BITS) - 1)
                yield first >> _FILE_BITS, group, rows, order[start:stop]

    def _is_over(self, opened: int, group: int) -> bool:
        """Tell whether the next bodies have higher hashes than the answers of a row group."""
        return self._opened[opened].groups[group].last < self._last

    def _read(self, opened: int, group: int, columns: tuple[str, ...]) -> pa.Table:
        """Return columns of a row group. The last ones stay in memory, unless they are over."""
        if opened == len(self._opened):
            assert self._streamed is not None
            return self._streamed.select(list(columns))
        key = opened, group, columns
        table = self._cache.get(key)
        if table is None:
            table = self._opened[opened].read(group, columns)
            if not self._is_over(opened, group):
                self._cache.add(key, table, table.nbytes)
        return table


# A place is one number: the file, 20 bits for its row group, and 24 for the row. A row group of
# our files has at most 65,536 rows; one that another tool wrote may have 16 million.
_GROUP_BITS, _FILE_BITS = 24, 44


def _place(file: int, group: int) -> int:
    return (file << _FILE_BITS) + (group << _GROUP_BITS)


def _has(wanted: npt.NDArray[np.int64] | None, first: int, last: int) -> bool:
    """Tell whether a hash from `first` to `last` will be looked up."""
    if wanted is None:
        return True
    place = int(np.searchsorted(wanted, first))
    return place < len(wanted) and bool(wanted[place] <= last)


def _context_of(
    table: pa.Table, digests: Sequence[pa.Array], bodies: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the context in which each answer was asked for; their number if in none of them.

    digests: by context, that of each body
    bodies: to which the answers may belong
    """
    own = table.column(REQUEST_DIGEST).combine_chunks()
    found = np.full(table.num_rows, len(digests), np.int64)
    for number in range(len(digests) - 1, -1, -1):
        is_same = pc.fill_null(pc.equal(own, digests[number].take(pa.array(bodies))), False)
        found[is_same.to_numpy(zero_copy_only=False)] = number
    return found


def _times(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return when each answer was given, in microseconds since the epoch; 0 if it does not say."""
    times = pc.fill_null(table.column(ANSWERED_AT).cast(pa.int64()), 0)
    return np.asarray(times.to_numpy(), np.int64)


def as_bytes(column: pa.ChunkedArray) -> list[bytes]:
    """Return texts as UTF-8, without decoding them; b"" for a null."""
    values: list[Any] = []
    for chunk in column.chunks:
        values += chunk.view(pa.binary()).to_pylist()
    return [value or b"" for value in values]
