"""The emulator's state in one SQLite file, which survives a restart if a folder is given.

State is read into memory at the start, and each change is written through to the file. Answers
grow with the number of records, so they are in the file only.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS answers (
    digest BLOB NOT NULL, path TEXT NOT NULL, job_arn TEXT NOT NULL, record_id TEXT NOT NULL,
    paid INTEGER NOT NULL, delivered INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS answers_digest ON answers (digest);
"""


class Store:
    """JSON documents by kind and id, and a table of answers."""

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        home = Path(self._temporary.name) if self._temporary else Path(str(folder))
        home.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            home / "emulator.sqlite", check_same_thread=False, isolation_level=None
        )
        # A temporary file need not survive. A permanent one must survive a killed process: for
        # that a write-ahead log is enough, without a sync per commit.
        # https://www.sqlite.org/pragma.html#pragma_synchronous
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'OFF' if self._temporary else 'NORMAL'}")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()
        if self._temporary:
            self._temporary.cleanup()

    def clear(self) -> None:
        """Delete everything."""
        with self._transaction() as db:
            db.execute("DELETE FROM documents")
            db.execute("DELETE FROM answers")

    def put(self, kind: str, key: str, body: dict[str, Any]) -> None:
        """Write one document; it replaces the document with that kind and key."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, key, _json(body))
            )

    def delete(self, kind: str, key: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))

    def documents(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield key and body of each document of a kind, the oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, body FROM documents WHERE kind = ? ORDER BY rowid", (kind,)
            ).fetchall()
        for key, body in rows:
            yield key, json.loads(body)

    def replace_job(
        self, job_arn: str, bill: dict[str, Any], answers: Iterable[tuple[Any, ...]]
    ) -> None:
        """Write a job's bill and the rows of its answers, at once.

        They replace earlier ones, so a job that is processed again after a restart is billed once.
        """
        known = ("bill", job_arn)
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM documents WHERE kind = ? AND id = ?", known).fetchone():
                db.execute("DELETE FROM answers WHERE job_arn = ?", (job_arn,))
            db.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", answers)
            db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (*known, _json(bill)))

    def add_answer(self, row: tuple[Any, ...]) -> int:
        """Write the row of one answer, and return its number."""
        with self._lock:
            cursor = self._db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)
            return int(cursor.lastrowid or 0)

    def mark_lost(self, number: int) -> None:
        """Note that the answer with this number was not delivered."""
        with self._lock:
            self._db.execute("UPDATE answers SET delivered = 0 WHERE rowid = ?", (number,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Make the statements of the block one change: all of them, or none if the block raises."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def select(self, query: str, *args: object) -> list[tuple[Any, ...]]:
        """Return the rows of an SQL query."""
        with self._lock:
            return self._db.execute(query, args).fetchall()


def _json(body: dict[str, Any]) -> str:
    """Return JSON in ASCII: SQLite refuses text with half a surrogate pair."""
    return json.dumps(body)
