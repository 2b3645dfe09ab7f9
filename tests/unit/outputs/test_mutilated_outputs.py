"""Collect on damaged output folders: whatever is in them, every row ends in exactly one way."""

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

from bedrock_spark.outputs.reconciled_shard import read_reconciled
from bedrock_spark.storage import LocalStorage
from tests.unit.collecting import SHARD, collect_in, settled_job

IDS = [f"{i:011d}" for i in range(12)]
OTHERS = [f"{i:011d}" for i in range(500, 504)]
FIRST, SECOND = (f"output/{SHARD}/a{n}-abc/job{n}" for n in (1, 2))
LINES_1, LINES_2 = f"{FIRST}/{SHARD}.jsonl.out", f"{SECOND}/{SHARD}.jsonl.out"
ASKED_1, ASKED_2 = (f"fallback/{SHARD}/{n}.jsonl.out" for n in (1, 2))
COUNTS = {FIRST: (6, 2), SECOND: (2, 0)}

Files = dict[str, bytes]


def answer(record_id: str) -> bytes:
    usage = {"input_tokens": 3, "output_tokens": 1}
    output = {"content": [{"type": "text", "text": f"to {record_id} \u2028\x85"}], "usage": usage}
    return json.dumps({"recordId": record_id, "modelOutput": output}, ensure_ascii=False).encode()


def refusal(record_id: str, code: Any = 500) -> bytes:
    error = {"errorCode": code, "errorMessage": "no", "expired": False, "retryable": True}
    return json.dumps({"recordId": record_id, "error": error}).encode()


def joined(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def whole_folder() -> Files:
    """Two attempts and two fallback files in good order; two records are left over."""
    return {
        LINES_1: joined(*map(answer, IDS[:6]), *map(refusal, IDS[6:8])),
        f"{FIRST}/manifest.json.out": b'{"successRecordCount":6,"errorRecordCount":2}',
        LINES_2: joined(*map(answer, IDS[6:8])),
        f"{SECOND}/manifest.json.out": b'{"successRecordCount":2,"errorRecordCount":0}',
        ASKED_1: joined(answer(IDS[8]), refusal(IDS[9], "429")),
        ASKED_2: joined(answer(IDS[9])),
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
    [*(json.dumps(i) for i in (*IDS, *OTHERS, "", "a b")), "null", "7", "1.5", "[]"]
)


@st.composite
def odd_lines(draw: st.DrawFn) -> bytes:
    """A line of any members, some of them absent, in any order and with any space."""
    members = []
    if draw(st.booleans()):
        members.append(f'"recordId":{draw(RECORD_IDS)}')
    if draw(st.booleans()):
        members.append(f'"modelOutput" : {draw(st.sampled_from(OUTPUTS))}')
    if draw(st.booleans()):
        members.append(f'"error":{draw(st.sampled_from(ERRORS))}')
    return ("{" + ", ".join(draw(st.permutations(members))) + "}").encode()


def at(draw: st.DrawFn, things: list[Any]) -> int:
    return draw(st.integers(0, len(things) - 1))


def damage_lines(draw: st.DrawFn, data: bytes) -> bytes:
    """Drop, repeat, tear, replace or add one line."""
    lines = data.split(b"\n")
    i = at(draw, lines)
    what = draw(st.sampled_from(["drop", "repeat", "tear", "odd", "foreign", "blank", "garbage"]))
    if what == "drop":
        del lines[i]
    elif what == "repeat":
        lines.insert(at(draw, lines), lines[i])
    elif what == "tear":
        lines[i] = lines[i][: draw(st.integers(0, len(lines[i])))]
    elif what == "odd":
        lines[i] = draw(odd_lines())
    elif what == "foreign":
        lines.insert(i, answer(draw(st.sampled_from(OTHERS))))
    elif what == "blank":
        lines.insert(i, draw(st.sampled_from([b"", b" ", b"\r", b"\t \r"])))
    else:
        lines.insert(i, draw(st.binary(max_size=12)).replace(b"\n", b""))
    return b"\n".join(lines)


def damage_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Change what is between and around lines, or any bytes."""
    what = draw(st.sampled_from(["bom", "crlf", "cut", "no newline", "overwrite"]))
    if what == "bom":
        return b"\xef\xbb\xbf" + data
    if what == "crlf":
        return data.replace(b"\n", b"\r\n")
    if what == "no newline":
        return data.removesuffix(b"\n")
    place = draw(st.integers(0, len(data)))
    if what == "cut":
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
    """A folder with up to five kinds of damage at once."""
    files = whole_folder()
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
class Told:
    """What a reader who is in no hurry finds in the files."""

    undecodable: list[str] = field(default_factory=list)
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    answered: dict[str, set[str]] = field(default_factory=dict)
    odd: int = 0

    def read(self, key: str, data: bytes) -> None:
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
    offset = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    for number, line in enumerate(data[offset:].split(b"\n"), 1):
        if line.strip():
            yield f"line {number}, byte {offset}", line
        offset += len(line) + 1


def collected(files: Files, folder: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    """Collect a folder of these files; return its reconciliation, result rows and stragglers."""
    jobs = [
        settled_job(n, prefix, succeeded=COUNTS[prefix][0], failed=COUNTS[prefix][1])
        for n, prefix in enumerate(COUNTS, 1)
    ]
    found, results = collect_in(folder, IDS, files, jobs)
    return found, results, read_reconciled(LocalStorage(folder), SHARD)["unanswered_ids"]


@given(folders())
@settings(max_examples=80)
def test_every_row_ends_in_one_way_whatever_is_in_the_folder(files: Files) -> None:
    """Rows in = ok + error + missing, disjoint; results, counts and stragglers agree."""
    with tempfile.TemporaryDirectory() as folder:
        found, results, unanswered = collected(files, folder)
    assert [row["n"] for row in results] == list(range(len(IDS)))
    assert [row["record_id"] for row in results] == IDS
    counted = Counter(row["outcome"] for row in results)
    assert counted == +Counter(found["outcomes"])
    assert sum(counted.values()) == found["rows"] == len(IDS)
    assert counted.keys() <= {"ok", "error", "missing"}
    ends = {row["record_id"]: row for row in results}
    assert {i for i in IDS if ends[i]["outcome"] == "missing"} <= set(unanswered)
    assert not any(ends[i]["outcome"] == "ok" for i in unanswered)
    assert all(row["model_output"] is not None for row in results if row["outcome"] == "ok")


@given(folders())
@settings(max_examples=80)
def test_what_is_wrong_is_found(files: Files) -> None:
    """Lines that cannot be read are named by file, line and byte; wrong counts are not silent."""
    with tempfile.TemporaryDirectory() as folder:
        found, _, _ = collected(files, folder)
    told = Told()
    for key in (LINES_1, LINES_2, ASKED_1, ASKED_2):
        told.read(key, files[key])
    details = "\n".join(f["detail"] for f in found["findings"])
    by_file = Counter(place.split(" ")[0] for place in told.undecodable)
    for place in told.undecodable:
        assert place in details or by_file[place.split(" ")[0]] > 5
    kinds = {f["kind"] for f in found["findings"]}
    assert not told.undecodable or "bad_line" in kinds
    assert not told.odd or kinds & {"bad_line", "foreign_record", "repeated"}
    for key, prefix in ((LINES_1, FIRST), (LINES_2, SECOND)):
        read = sum(told.kinds[key].values())
        assert read == sum(COUNTS[prefix]) or kinds
    broken = [k for k, d in files.items() if "manifest" in k and not is_object(d)]
    assert sum(f["kind"] == "bad_manifest" for f in found["findings"]) == len(broken)


def is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


@pytest.mark.parametrize(
    "member", [*map('"error":{}'.format, ERRORS), *map('"modelOutput":{}'.format, OUTPUTS)]
)
def test_no_form_of_an_answer_or_an_error_stops_collect(member: str) -> None:
    """Numbers too large for their columns, other types, nulls: the row ends as ok or as error."""
    files = whole_folder() | {ASKED_2: f'{{"recordId":"{IDS[10]}",{member}}}'.encode()}
    with tempfile.TemporaryDirectory() as folder:
        found, results, _ = collected(files, folder)
    assert results[10]["outcome"] in ("ok", "error") or found["findings"]
    assert sum(found["outcomes"].values()) == len(IDS)


HARMLESS = st.sampled_from(
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


@given(st.lists(HARMLESS, min_size=4, max_size=4))
def test_what_changes_nothing_is_no_finding(changes: list[Any]) -> None:
    """Line ends, blank lines, order and space say nothing about records."""
    files = whole_folder()
    for key, change in zip((LINES_1, LINES_2, ASKED_1, ASKED_2), changes, strict=True):
        files[key] = change(files[key])
    with tempfile.TemporaryDirectory() as folder:
        found, results, unanswered = collected(files, folder)
    assert found["findings"] == []
    assert found["outcomes"] == {"ok": 10, "error": 0, "missing": 2}
    assert found["served_by"] == {"batch": 8, "fallback": 2}
    assert unanswered == IDS[10:]
    assert results[3]["text"] == f"to {IDS[3]} \u2028\x85"
