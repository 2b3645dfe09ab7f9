"""The output of a batch job: an `.out` object per input file, and a manifest.

The lines of an `.out` object are not in the order of the input. Lines are spooled to a temporary
file as they are produced; only their positions are kept in memory. A fault script changes which
lines are delivered, never which records were processed and billed.
"""

from __future__ import annotations

import json
import random
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path

from bedrock_emulator.batch.records import RecordResult, as_expired
from bedrock_emulator.faults import JobFaults
from bedrock_emulator.s3.objects import ObjectStore, split_uri
from bedrock_emulator.state.draws import draw, draw_int
from bedrock_emulator.state.jobs import Counts
from bedrock_emulator.state.paid_answers import DIGEST_BYTES

MANIFEST = "manifest.json.out"


class Spool:
    """The output lines of a job, in the order in which its records were processed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bedrock-emulator-")
        self._path = Path(self._folder.name) / "lines"
        self._file = self._path.open("w+b")
        self._starts = array("Q", [0])
        self._files = array("L")
        self._ok = bytearray()
        self._input_tokens = array("L")
        self._output_tokens = array("L")
        self._digests = bytearray()
        self.record_ids: list[str] = []

    def add(self, file_index: int, result: RecordResult) -> None:
        """Append a record's line. `done` counts it last, since other threads read the spool."""
        self._file.write(result.line)
        self._starts.append(self._starts[-1] + len(result.line))
        self._files.append(file_index)
        self._input_tokens.append(result.input_tokens)
        self._output_tokens.append(result.output_tokens)
        self._digests += result.digest
        self.record_ids.append(result.record_id)
        self._ok.append(result.ok)

    @property
    def done(self) -> int:
        """The number of records that are completely spooled."""
        return len(self._ok)

    def counts(self, total: int, processed: int) -> Counts:
        """Return the counts after the first `processed` records."""
        success = sum(self._ok[:processed])
        return Counts(total, processed, success, processed - success)

    def tokens(self, processed: int) -> tuple[int, int]:
        """Return the input and the output tokens of the first `processed` records."""
        return sum(self._input_tokens[:processed]), sum(self._output_tokens[:processed])

    def digest(self, index: int) -> bytes:
        """Return the digest of a record's body."""
        return bytes(self._digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])

    def is_ok(self, index: int) -> bool:
        """Return whether a record was answered; otherwise its line has an error."""
        return bool(self._ok[index])

    def indexes_of_file(self, file_index: int, processed: int) -> list[int]:
        """Return the indexes of one file's records among the first `processed`."""
        return [index for index in range(processed) if self._files[index] == file_index]

    def line(self, index: int) -> bytes:
        """Return a record's line. Call `flush` first."""
        start, end = self._starts[index], self._starts[index + 1]
        self._file.seek(start)
        return self._file.read(end - start)

    def flush(self) -> None:
        self._file.flush()

    def temporary(self, name: str) -> Path:
        """Return a path beside the spool. `close` deletes what is there."""
        return Path(self._folder.name) / name

    def close(self) -> None:
        self._file.close()
        self._folder.cleanup()


class JobOutput:
    """Writes the output of one job from its spool."""

    def __init__(
        self, objects: ObjectStore, output_uri: str, job_id: str, rule: JobFaults, seed: int
    ) -> None:
        self._objects = objects
        self._bucket, prefix = split_uri(output_uri)
        folder = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        self._folder = f"{folder}{job_id}/"
        self._job_id = job_id
        self._rule = rule
        self._seed = seed

    def write_lines(self, spool: Spool, names: list[str], total: int, processed: int) -> set[int]:
        """Write the `.out` objects of the first `processed` records.

        Return the indexes of the records whose line a fault left out.
        """
        spool.flush()
        undelivered: set[int] = set()
        for file_index, name in enumerate(names):
            undelivered |= self._write_file(spool, file_index, name, total, processed)
        return undelivered

    def _write_file(
        self, spool: Spool, file_index: int, name: str, total: int, processed: int
    ) -> set[int]:
        faults = self._rule.output
        indexes = spool.indexes_of_file(file_index, processed)
        if faults.unordered:
            random.Random(draw_int(self._seed, self._job_id, file_index)).shuffle(indexes)
        if faults.no_output:
            return set(indexes)
        missing = {i for i in indexes if self._chance("missing", i) < faults.missing_lines}
        path = spool.temporary("out")
        last = indexes[-1] if indexes else None
        with path.open("wb") as out:
            for index in indexes:
                if index in missing:
                    continue
                out.write(spool.line(index) + b"\n")
                if self._chance("duplicated", index) < faults.duplicated_lines:
                    out.write(spool.line(index) + b"\n")
            for line in self._expired_lines(spool, file_index, total, processed):
                out.write(line + b"\n")
            if faults.truncated and last is not None and last not in missing:
                # Cut the last line in its middle, as a broken write would.
                out.truncate(max(0, out.tell() - 1 - len(spool.line(last)) // 2))
                missing.add(last)
        self._objects.put_file(self._bucket, f"{self._folder}{name}.out", path)
        return missing

    def _expired_lines(
        self, spool: Spool, file_index: int, total: int, processed: int
    ) -> Iterator[bytes]:
        if self._rule.unprocessed == "expired":
            for index in spool.indexes_of_file(file_index, min(total, spool.done)):
                if index >= processed:
                    yield as_expired(spool.line(index))

    def write_manifest(self, spool: Spool | None, total: int, processed: int) -> None:
        """Write the manifest. Without a spool (no record was processed) it holds only the total.

        Real manifests were seen with 23 bytes for a job without output, and with 153 for others.
        """
        if self._rule.output.no_manifest:
            return
        manifest = {"totalRecordCount": total}
        if spool is not None:
            counts = spool.counts(total, processed)
            input_tokens, output_tokens = spool.tokens(processed)
            manifest |= {
                "processedRecordCount": counts.processed,
                "successRecordCount": counts.success,
                "errorRecordCount": counts.error,
                "inputTokenCount": input_tokens,
                "outputTokenCount": output_tokens,
            }
        if self._rule.output.wrong_manifest:
            # Any wrong number will do.
            manifest = {name: value + 7 for name, value in manifest.items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / MANIFEST
            path.write_text(json.dumps(manifest, separators=(",", ":")) + "\n", "utf-8")
            self._objects.put_file(self._bucket, f"{self._folder}{MANIFEST}", path)

    def _chance(self, fault: str, index: int) -> float:
        return draw(self._seed, fault, self._job_id, index)
