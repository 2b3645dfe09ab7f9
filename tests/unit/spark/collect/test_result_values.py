"""Result columns of collect: the embedding, the image files and the raw answer."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_emulator.answers.png import draw_png
from bedrock_spark.outputs.images import by_record, format_of
from bedrock_spark.outputs.lines import answer_line
from bedrock_spark.run_folder.model_use import ModelUse, total_tokens
from tests.unit.collect_shard import JOB_FOLDER, LINES_KEY, SHARD, collect_shard

PNG = base64.b64decode(draw_png("seed", 2, 2))
JPEG, GIF = b"\xff\xd8\xff\xe0" + 16 * b"\0", b"GIF89a" + 16 * b"\0"
WEBP = b"RIFF\x10\0\0\0WEBPVP8 " + 16 * b"\0"
_PARTS = ("reasoning", "cache_read", "cache_write")


def lines(**outputs: Any) -> bytes:
    """Return one output line for each record id with its model output."""
    encoded = [json.dumps({"recordId": i, "modelOutput": o}).encode() for i, o in outputs.items()]
    return b"\n".join(encoded)


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("family", "output", "expected"),
    [
        ("titan_embeddings", {"embedding": [0.5, 1], "inputTextTokenCount": 3}, [0.5, 1.0]),
        (
            "titan_embeddings",
            {"embeddingsByType": {"binary": [1, 0], "float": [0.25, -1.5]}},
            [0.25, -1.5],
        ),
        ("titan_embeddings", {"embeddingsByType": {"binary": [1, 0]}}, None),
        ("cohere_embed", {"embeddings": [[0.5]]}, [0.5]),
        ("cohere_embed", {"embeddings": {"float": [[0.5]], "int8": [[7]]}}, [0.5]),
        ("cohere_embed", {"embeddings": {"ubinary": [[7]], "int8": [[7]]}}, None),
        ("cohere_embed", {"embeddings": [["0.5"]]}, None),
    ],
)
def test_the_embedding_column_holds_the_float_embedding(
    tmp_path: Path, family: str, output: dict[str, Any], expected: list[float] | None
) -> None:
    """As an array of 32-bit floats. Embeddings of other types are only in model_output."""
    _, (row,) = collect_shard(str(tmp_path), "a", {LINES_KEY: lines(a=output)}, family=family)
    assert row["embedding"] == expected
    assert json.loads(row["model_output"]) == output
    schema = pq.read_schema(tmp_path / "results" / f"{SHARD}.parquet")
    assert schema.field("embedding").type == pa.list_(pa.float32())


def test_images_become_files(tmp_path: Path) -> None:
    """One file per image: the record id, the image's number, and the extension of its format."""
    images = [base64_text(d) for d in (PNG, JPEG)]
    gif = base64_text(GIF)
    data = lines(a={"images": images}, b={"images": []}, c={"images": [gif]})
    for _ in range(2):
        reconciled, rows = collect_shard(
            str(tmp_path), "abc", {LINES_KEY: data}, family="amazon_images"
        )
        folder = f"{tmp_path}/results/images/{SHARD}"
        assert rows[0]["images"] == [f"{folder}/a-0.png", f"{folder}/a-1.jpeg"]
        assert rows[1]["images"] is None
        assert rows[2]["images"] == [f"{folder}/c-0.gif"]
        assert [Path(uri).read_bytes() for uri in rows[0]["images"]] == [PNG, JPEG]
        assert [(f.kind, f.count) for f in reconciled.findings] == [("unreadable", 1)]


def test_images_beside_the_lines_become_files(tmp_path: Path) -> None:
    """Image files in the job's output folder are matched to records by the id in their name."""
    files = {
        LINES_KEY: lines(a={"n": 1}, b={"n": 2}),
        f"{JOB_FOLDER}/a_0.png": PNG,
        f"{JOB_FOLDER}/a_1.png": WEBP,
        f"{JOB_FOLDER}/b.jpg": JPEG,
        f"{JOB_FOLDER}/stranger.png": PNG,
    }
    reconciled, rows = collect_shard(str(tmp_path), "ab", files, family="amazon_images")
    assert [Path(uri).name for uri in rows[0]["images"]] == ["a-0.png", "a-1.webp"]
    assert [Path(uri).read_bytes() for uri in rows[1]["images"]] == [JPEG]
    (finding,) = reconciled.findings
    assert (finding.kind, finding.count) == ("foreign_file", 1)
    assert "stranger.png" in finding.detail


def test_an_image_that_is_not_base64_is_a_finding(tmp_path: Path) -> None:
    """The answer is still ok, and its other images are written."""
    output = {"images": ["SECRET not base64!", base64_text(PNG)]}
    files = {LINES_KEY: lines(a=output)}
    reconciled, (row,) = collect_shard(str(tmp_path), "a", files, family="amazon_images")
    assert (row["outcome"], [Path(u).name for u in row["images"]]) == ("ok", ["a-1.png"])
    assert [(f.kind, f.detail) for f in reconciled.findings] == [("bad_image", "a")]


@pytest.mark.parametrize(
    ("data", "extension"),
    [(PNG, "png"), (JPEG, "jpeg"), (GIF, "gif"), (WEBP, "webp"), (b"", "bin"), (b"%PDF-1", "bin")],
)
def test_the_extension_comes_from_the_bytes(data: bytes, extension: str) -> None:
    """Not from the file's name, and not from the format in the request."""
    assert format_of(data) == extension


def test_files_are_matched_to_record_ids_that_end_in_digits() -> None:
    """The whole name is tried first, then the name without the number at its end."""
    ids = {"rec_12", "rec", "0000000001A"}
    keys = ["o/rec_12.png", "o/rec_12-1.png", "o/rec_3.png", "o/0000000001A0.png", "o/x_1.png"]
    matched, foreign = by_record(keys, ids)
    assert matched == {
        ("o", "rec_12"): ["o/rec_12-1.png", "o/rec_12.png"],
        ("o", "rec"): ["o/rec_3.png"],
        ("o", "0000000001A"): ["o/0000000001A0.png"],
    }
    assert foreign == ["o/x_1.png"]


def test_the_raw_answer_can_be_left_out(tmp_path: Path) -> None:
    """`model_output: drop` leaves the column out. A changed setting collects the shard again."""
    files = {LINES_KEY: lines(a={"content": [{"type": "text", "text": "x"}]})}
    _, (kept,) = collect_shard(str(tmp_path), "a", files)
    _, (dropped,) = collect_shard(str(tmp_path), "a", files, model_output="drop")
    assert kept.keys() - dropped.keys() == {"model_output"}
    assert dropped["text"] == "x"


def test_tokens_of_reasoning_and_cache_are_columns_and_sums(tmp_path: Path) -> None:
    """The sums are the columns', and those of the fallback count superseded answers, too."""
    cached = {
        "input_tokens": 1,
        "output_tokens": 9,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 2,
        "output_tokens_details": {"thinking_tokens": 5},
    }
    answer = {"content": [{"type": "text", "text": "x"}]}
    plain, full = {**answer, "usage": {"input_tokens": 4}}, {**answer, "usage": cached}
    files = {
        LINES_KEY: lines(a=full, b=plain),
        f"fallback/{SHARD}/1.jsonl.out": lines(a=full, c=full),
    }
    reconciled, rows = collect_shard(str(tmp_path), "abc", files)
    columns = [f"{name}_tokens" for name in ("input", "output", *_PARTS)]
    assert [[row[name] for name in columns] for row in rows] == [
        [13, 9, 5, 10, 2],
        [4, None, None, None, None],
        [13, 9, 5, 10, 2],
    ]
    parts = {"reasoning": 10, "cache_read": 20, "cache_write": 4}
    assert reconciled.tokens == {"input": 30, "output": 18, **parts}
    assert total_tokens(reconciled.fallback_models) == {"input": 26, "output": 18, **parts}


def test_tokens_of_the_flex_tier_are_counted_apart(tmp_path: Path) -> None:
    """They are a part of the fallback's, those of superseded answers too: they cost less."""
    usage = {"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 7}
    output = {"content": [{"type": "text", "text": "x"}], "usage": usage}
    answer = json.dumps(output).encode()
    flex = answer_line("a", b"{}", answer, "flex")
    files = {
        f"fallback/{SHARD}/1.jsonl.out": flex + answer_line("b", b"{}", answer, "standard"),
        f"fallback/{SHARD}/2.jsonl.out": flex + answer_line("c", b"{}", answer),
    }
    reconciled, rows = collect_shard(str(tmp_path), "abc", files)
    assert [row["outcome"] for row in rows] == ["ok"] * 3
    used = {"input": 2 * 107, "output": 40, "cache_read": 14}
    assert reconciled.fallback_models == (
        ModelUse(None, "flex", 2, used),
        ModelUse(None, "standard", 2, used),
    )


def test_a_run_without_reasoning_and_cache_has_no_sums_of_them(tmp_path: Path) -> None:
    """Only input and output are always there."""
    answer = {"content": [{"type": "text", "text": "x"}], "usage": {"input_tokens": 4}}
    reconciled, _ = collect_shard(str(tmp_path), "a", {LINES_KEY: lines(a=answer)})
    assert reconciled.tokens == {"input": 4, "output": 0}
    assert reconciled.fallback_models == ()
