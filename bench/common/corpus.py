"""Generate a corpus of tickets with realistic texts: Zipf word frequencies, log-normal lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MEDIAN_WORDS = 110
SIGMA = 0.7
FILES = 8
_POOL_WORDS = 4_000_000
_SYLLABLES = tuple(
    f"{c}{v}" for c in "bcdfghjklmnpqrstvwxz" for v in ("a", "e", "i", "o", "u", "é", "ü")
)


def write_corpus(folder: Path, rows: int, seed: int = 7) -> int:
    """Write Parquet files with columns ticket_id, subject, body; return the bytes of all bodies."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    pool = _pool(random)
    text_bytes = 0
    per_file = -(-rows // FILES)
    for number in range(FILES):
        first, last = number * per_file, min(rows, (number + 1) * per_file)
        lengths = np.maximum(3, random.lognormal(np.log(MEDIAN_WORDS), SIGMA, last - first))
        starts = random.integers(0, len(pool) - int(lengths.max()) - 1, last - first)
        bodies = [
            " ".join(pool[start : start + int(length)])
            for start, length in zip(starts, lengths, strict=True)
        ]
        text_bytes += sum(len(b.encode()) for b in bodies)
        table = pa.table(
            {
                "ticket_id": [f"T-{i:09d}" for i in range(first, last)],
                "subject": [body[:40] for body in bodies],
                "body": bodies,
            }
        )
        pq.write_table(table, folder / f"part-{number:03d}.parquet", compression="snappy")
    return text_bytes


def _pool(random: np.random.Generator) -> list[str]:
    """Return a long text as words, with sentences and quotes.

    Words follow Zipf's law with exponent 1.3 (https://en.wikipedia.org/wiki/Zipf%27s_law).
    """
    vocabulary = [
        "".join(random.choice(_SYLLABLES, size=random.integers(1, 5))) for _ in range(30_000)
    ]
    ranks = np.minimum(random.zipf(1.3, _POOL_WORDS), len(vocabulary)) - 1
    words = np.array(vocabulary, dtype=object)[ranks]
    ends = random.random(_POOL_WORDS)
    words[ends < 0.08] = words[ends < 0.08] + "."
    words[ends > 0.99] = '"' + words[ends > 0.99] + '"'
    words[(ends > 0.5) & (ends < 0.505)] = words[(ends > 0.5) & (ends < 0.505)] + ".\n"
    return list(words)
