"""Collect on damaged output folders: every row still has exactly one outcome."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_reconciled
from bedrock_spark.storage import LocalStorage
from tests.unit.collect_shard import SHARD, collect_shard, completed_job

IDS = [f"{i:011d}" for i in range(12)]
FOREIGN_IDS = [f"{i:011d}" for i in range(500, 504)]
FOLDER_1, FOLDER_2 = (f"output/{SHARD}/a{n}-abc/job{n}" for n in (1, 2))
LINES_1, LINES_2 = f"{FOLDER_1}/{SHARD}.jsonl.out", f"{FOLDER_2}/{SHARD}.jsonl.out"
FALLBACK_1, FALLBACK_2 = (f"fallback/{SHARD}/{n}.jsonl.out" for n in (1, 2))
# By output folder: the records that succeeded and failed, as the job itself counts them.
COUNTS = {FOLDER_1: (6, 2), FOLDER_2: (2, 0)}

Files = dict[str, bytes]


def answer_line(record_id: str) -> bytes:
    usage = {"input_tokens": 3, "output_tokens": 1}
    output = {"content": [{"type": "text", "text": f"to {record_id} \u2028\x85"}], "usage": usage}
    return json.dumps({"recordId": record_id, "modelOutput": output}, ensure_ascii=False).encode()


def error_line(record_id: str, code: Any = 500) -> bytes:
    error = {"errorCode": code, "errorMessage": "no", "expired": False, "retryable": True}
    return json.dumps({"recordId": record_id, "error": error}).encode()


def joined(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def undamaged_folder() -> Files:
    """Return the files of two batch jobs and of the fallback; two records have no line."""
    return {
        LINES_1: joined(*map(answer_line, IDS[:6]), *map(error_line, IDS[6:8])),
        f"{FOLDER_1}/manifest.json.out": b'{"successRecordCount":6,"errorRecordCount":2}',
        LINES_2: joined(*map(answer_line, IDS[6:8])),
        f"{FOLDER_2}/manifest.json.out": b'{"successRecordCount":2,"errorRecordCount":0}',
        FALLBACK_1: joined(answer_line(IDS[8]), error_line(IDS[9], "429")),
        FALLBACK_2: joined(answer_line(IDS[9])),
    }


OUTPUTS = [
        "null", "{}", "[]", "0", '""', "1e999", '{"usage":{"input_tokens":1e400}}',
        '{"usage":{"input_tokens":' + "9" * 30 + ',"output_tokens":-1}}',
        '{"usage":{"input_tokens":true},"content":[{"text":null},7,null]}',
        '{"content":{"text":"x"},"stop_reason":[1],"usage":[]}',
        '{"content":[{"type":"tool_use","input":{"a":"\\ud83d"}}]}',
        '{"errorCode":"403","errorMessage":"inside"}',
    '{"errorCode":1e3,"errorMessage":{}}', '{"embedding":[1,' + "9" * 400 + "]}",
]  # fmt: skip
ERRORS = [
        'null', 'false', 'true', '""', '"text"', "{}", '{"errorCode":400}', '{"errorCode":"429"}',
        '{"errorCode":' + "9" * 12 + ',"errorMessage":"large"}',
        '{"errorCode":-' + "9" * 40 + "}",
        '{"errorCode":403,"errorMessage":null,"expired":true,"retryable":false}',
        '{"errorMessage":["x"],"retryable":"no","new":{"a":[1]}}', "[1]", "7",
]  # fmt: skip
RECORD_IDS = st.sampled_from(
    [*(json.dumps(i) for i in (*IDS, *FOREIGN_IDS, "", "a b")), "null", "7", "1.5", "[]"]
)


@st.composite
def odd_lines(draw: st.DrawFn) -> bytes:
    """Draw a line with any of three members, in any order and with any white space."""
    members = []
    if draw(st.booleans()):
        members.append(f'"recordId":{draw(RECORD_IDS)}')
    if draw(st.booleans()):
        members.append(f'"modelOutput" : {draw(st.sampled_from(OUTPUTS))}')
    if draw(st.booleans()):
        members.append(f'"error":{draw(st.sampled_from(ERRORS))}')
    return ("{" + ", ".join(draw(st.permutations(members))) + "}").encode()


def index_in(draw: st.DrawFn, values: list[Any]) -> int:
    """Draw a valid index of `values`."""
    return draw(st.integers(0, len(values) - 1))


LINE_DAMAGES = st.sampled_from(["drop", "repeat", "truncate", "odd", "foreign", "blank", "garbage"])


def damage_lines(draw: st.DrawFn, data: bytes) -> bytes:
    """Drop, repeat, truncate, replace or add one line."""
    lines = data.split(b"\n")
    i = index_in(draw, lines)
    damage = draw(LINE_DAMAGES)
    if damage == "drop":
        del lines[i]
    elif damage == "repeat":
        lines.insert(index_in(draw, lines), lines[i])
    elif damage == "truncate":
        lines[i] = lines[i][: draw(st.integers(0, len(lines[i])))]
    elif damage == "odd":
        lines[i] = draw(odd_lines())
    elif damage == "foreign":
        lines.insert(i, answer_line(draw(st.sampled_from(FOREIGN_IDS))))
    elif damage == "blank":
        lines.insert(i, draw(st.sampled_from([b"", b" ", b"\r", b"\t \r"])))
    else:
        lines.insert(i, draw(st.binary(max_size=12)).replace(b"\n", b""))
    return b"\n".join(lines)


def damage_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Change line ends, add a BOM, cut the file off, or overwrite up to 4 bytes."""
    damage = draw(st.sampled_from(["bom", "crlf", "cut", "no newline", "overwrite"]))
    if damage == "bom":
        return b"\xef\xbb\xbf" + data
    if damage == "crlf":
        return data.replace(b"\n", b"\r\n")
    if damage == "no newline":
        return data.removesuffix(b"\n")
    place = draw(st.integers(0, len(data)))
    if damage == "cut":
        return data[:place]
    junk = draw(st.binary(min_size=1, max_size=4))
    return data[:place] + junk + data[place + len(junk) :]


MANIFESTS = st.sampled_from(
    [b"", b"{", b"[]", b"null", b"{}", b"\xff", b'{"totalRecordCount":0}\n',
     b'{"successRecordCount":null,"errorRecordCount":"2","new":[]}',
     b'\xef\xbb\xbf{"successRecordCount":6,"errorRecordCount":2,"inputTextTokenCount":1e9}']
)  # fmt: skip


@st.composite
def folders(draw: st.DrawFn) -> Files:
    """Draw the files of a folder that was damaged up to five times."""
    files = undamaged_folder()
    for _ in range(draw(st.integers(0, 5))):
        key = draw(st.sampled_from(sorted(files)))
        if key.endswith("manifest.json.out"):
            files[key] = draw(MANIFESTS)
        elif draw(st.integers(0, 5)) == 0:
            other = draw(st.sampled_from([k for k in sorted(files) if k.endswith(".jsonl.out")]))
            files[key], files[other] = files[other], files[key]
        else:
            files[key] = draw(st.sampled_from([damage_lines, damage_bytes]))(draw, files[key])
    return files


@dataclass
class ReferenceReader:
    """A simple and slow reader of output lines, to compare collect with.

    undecodable: file, line and byte of each line that is not JSON
    kinds: the number of ok and error lines, by file
    odd: the number of lines that are no object, have no id, or have a foreign or repeated id
    """

    undecodable: list[str] = field(default_factory=list)
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    odd: int = 0

    def read(self, key: str, data: bytes) -> None:
        """Read one file."""
        counts = self.kinds.setdefault(key, Counter())
        seen = set()
        for place, line in lines_of(data):
            try:
                value = json.loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                self.undecodable.append(f"{key} {place}:")
                continue
            if not isinstance(value, dict) or not isinstance(value.get("recordId"), str):
                self.odd += not isinstance(value, dict) or value.get("recordId") is None
                continue
            record_id = value["recordId"]
            self.odd += record_id not in IDS or record_id in seen
            seen.add(record_id)
            counts["error" if "error" in value else "ok"] += 1


def lines_of(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each line that is not blank, with its place as a finding names it."""
    offset = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    for number, line in enumerate(data[offset:].split(b"\n"), 1):
        if line.strip():
            yield f"line {number}, byte {offset}", line
        offset += len(line) + 1


def collected(files: Files, folder: str) -> tuple[ReconciledShard, list[dict[str, Any]], list[str]]:
    """Collect `files` in `folder`; return the reconciliation, the rows and the unanswered ids."""
    jobs = [
        completed_job(n, prefix, succeeded=COUNTS[prefix][0], failed=COUNTS[prefix][1])
        for n, prefix in enumerate(COUNTS, 1)
    ]
    reconciled, results = collect_shard(folder, IDS, files, jobs)
    stored = read_reconciled(LocalStorage(folder), SHARD)
    return reconciled, results, list(stored.unanswered_ids)


@given(folders())
@settings(max_examples=80)
def test_every_row_of_a_damaged_folder_has_one_outcome(files: Files) -> None:
    """It is ok, error, missing or unfound; results, counts and the unanswered ids agree.

    A record is unfound, and not asked again, if a job claims more answers than were found.
    """
    with tempfile.TemporaryDirectory() as folder:
        reconciled, results, unanswered = collected(files, folder)
    assert [row["n"] for row in results] == list(range(len(IDS)))
    assert [row["record_id"] for row in results] == IDS
    counted = Counter(row["outcome"] for row in results)
    assert counted == +Counter(reconciled.outcomes)
    assert sum(counted.values()) == reconciled.rows == len(IDS)
    assert counted.keys() <= {"ok", "error", "missing", "unfound"}
    assert not counted["unfound"] or not counted["missing"]
    row_of = {row["record_id"]: row for row in results}
    assert {i for i in IDS if row_of[i]["outcome"] == "missing"} <= set(unanswered)
    assert not any(row_of[i]["outcome"] in ("ok", "unfound") for i in unanswered)
    assert all(row["model_output"] is not None for row in results if row["outcome"] == "ok")


@given(folders())
@settings(max_examples=80)
def test_damage_is_a_finding(files: Files) -> None:
    """An unreadable line is named by file, line and byte; a wrong count is a finding too."""
    with tempfile.TemporaryDirectory() as folder:
        reconciled, _, _ = collected(files, folder)
    reader = ReferenceReader()
    for key in (LINES_1, LINES_2, FALLBACK_1, FALLBACK_2):
        reader.read(key, files[key])
    details = "\n".join(f.detail for f in reconciled.findings)
    by_file = Counter(place.split(" ")[0] for place in reader.undecodable)
    for place in reader.undecodable:
        assert place in details or by_file[place.split(" ")[0]] > 5
    kinds = {f.kind for f in reconciled.findings}
    assert not reader.undecodable or "bad_line" in kinds
    assert not reader.odd or kinds & {"bad_line", "foreign_record", "repeated"}
    for key, prefix in ((LINES_1, FOLDER_1), (LINES_2, FOLDER_2)):
        read = sum(reader.kinds[key].values())
        assert read == sum(COUNTS[prefix]) or kinds
    broken = [k for k, d in files.items() if "manifest" in k and not is_object(d)]
    assert sum(f.kind == "bad_manifest" for f in reconciled.findings) == len(broken)


def is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


@pytest.mark.parametrize(
    "member", [*map('"error":{}'.format, ERRORS), *map('"modelOutput":{}'.format, OUTPUTS)]
)
def test_no_shape_of_an_answer_or_an_error_stops_collect(member: str) -> None:
    """Too large numbers, other types or nulls: the row is ok or error, or there is a finding."""
    files = undamaged_folder() | {FALLBACK_2: f'{{"recordId":"{IDS[10]}",{member}}}'.encode()}
    with tempfile.TemporaryDirectory() as folder:
        reconciled, results, _ = collected(files, folder)
    assert results[10]["outcome"] in ("ok", "error") or reconciled.findings
    assert sum(reconciled.outcomes.values()) == len(IDS)


HARMLESS_CHANGES = st.sampled_from(
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.removesuffix(b"\n"),
        lambda data: b"\n \n" + data.replace(b"\n", b"\n\n"),
        lambda data: joined(*reversed(data.split(b"\n")[:-1])),
        lambda data: data.replace(b'"recordId":', b' "new" : [ { } ] ,\t"recordId"  : '),
        lambda data: (
            data.replace(b'{"recordId"', b'{"error":null,"modelInput":null,"recordId"')
            if b"error" not in data
            else data
        ),
    ]
)


@given(st.lists(HARMLESS_CHANGES, min_size=4, max_size=4))
def test_harmless_changes_are_no_findings(changes: list[Any]) -> None:
    """Such as other line ends, blank lines, another order of lines or more white space."""
    files = undamaged_folder()
    for key, change in zip((LINES_1, LINES_2, FALLBACK_1, FALLBACK_2), changes, strict=True):
        files[key] = change(files[key])
    with tempfile.TemporaryDirectory() as folder:
        reconciled, results, unanswered = collected(files, folder)
    assert reconciled.findings == ()
    assert reconciled.outcomes == {"ok": 10, "error": 0, "missing": 2}
    assert reconciled.served_by == {"batch": 8, "fallback": 2}
    assert unanswered == IDS[10:]
    assert results[3]["text"] == f"to {IDS[3]} \u2028\x85"
