"""What users get of embeddings, images and the raw answer."""

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
from tests.unit.collecting import LINES, OUTPUT, SHARD, collect_in

PNG = base64.b64decode(draw_png("seed", 2, 2))
JPEG, GIF = b"\xff\xd8\xff\xe0" + 16 * b"\0", b"GIF89a" + 16 * b"\0"
WEBP = b"RIFF\x10\0\0\0WEBPVP8 " + 16 * b"\0"


def lines(**outputs: Any) -> bytes:
    """Give output lines by record id."""
    found = [json.dumps({"recordId": i, "modelOutput": o}).encode() for i, o in outputs.items()]
    return b"\n".join(found)


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
def test_the_embedding_is_the_one_of_floats(
    tmp_path: Path, family: str, output: dict[str, Any], expected: list[float] | None
) -> None:
    """An array of 32-bit floats; other types of numbers are in model_output only."""
    _, (row,) = collect_in(str(tmp_path), "a", {LINES: lines(a=output)}, family=family)
    assert row["embedding"] == expected
    assert json.loads(row["model_output"]) == output
    schema = pq.read_schema(tmp_path / "results" / f"{SHARD}.parquet")
    assert schema.field("embedding").type == pa.list_(pa.float32())


def test_images_become_files(tmp_path: Path) -> None:
    """One a file, named for the record, with the extension that the bytes tell."""
    images = [base64_text(d) for d in (PNG, JPEG)]
    files = {LINES: lines(a={"images": images}, b={"images": []}, c={"images": [base64_text(GIF)]})}
    for _ in range(2):
        found, rows = collect_in(str(tmp_path), "abc", files, family="amazon_images")
        folder = f"{tmp_path}/results/images/{SHARD}"
        assert rows[0]["images"] == [f"{folder}/a-0.png", f"{folder}/a-1.jpeg"]
        assert rows[1]["images"] is None
        assert rows[2]["images"] == [f"{folder}/c-0.gif"]
        assert [Path(uri).read_bytes() for uri in rows[0]["images"]] == [PNG, JPEG]
        assert found["findings"] == []


def test_images_beside_the_lines_become_files(tmp_path: Path) -> None:
    """One file per image in the job's output folder: they are found by the record's id."""
    files = {
        LINES: lines(a={"n": 1}, b={"n": 2}),
        f"{OUTPUT}/a_0.png": PNG,
        f"{OUTPUT}/a_1.png": WEBP,
        f"{OUTPUT}/b.jpg": JPEG,
        f"{OUTPUT}/stranger.png": PNG,
    }
    found, rows = collect_in(str(tmp_path), "ab", files, family="amazon_images")
    assert [Path(uri).name for uri in rows[0]["images"]] == ["a-0.png", "a-1.webp"]
    assert [Path(uri).read_bytes() for uri in rows[1]["images"]] == [JPEG]
    (finding,) = found["findings"]
    assert (finding["kind"], finding["count"]) == ("foreign_file", 1)
    assert "stranger.png" in finding["detail"]


def test_what_is_no_image_in_base64_is_a_finding(tmp_path: Path) -> None:
    """The answer stands, and the images beside it."""
    output = {"images": ["SECRET not base64!", base64_text(PNG)]}
    found, (row,) = collect_in(str(tmp_path), "a", {LINES: lines(a=output)}, family="amazon_images")
    assert (row["outcome"], [Path(u).name for u in row["images"]]) == ("ok", ["a-1.png"])
    assert [(f["kind"], f["detail"]) for f in found["findings"]] == [("bad_image", "a")]


@pytest.mark.parametrize(
    ("data", "extension"),
    [(PNG, "png"), (JPEG, "jpeg"), (GIF, "gif"), (WEBP, "webp"), (b"", "bin"), (b"%PDF-1", "bin")],
)
def test_the_bytes_tell_the_extension(data: bytes, extension: str) -> None:
    """Never the name, nor what the model was asked for."""
    assert format_of(data) == extension


def test_a_record_id_that_ends_in_digits_is_found() -> None:
    """The whole name first, then the name without its number."""
    ids = {"rec_12", "rec", "0000000001A"}
    keys = ["o/rec_12.png", "o/rec_12-1.png", "o/rec_3.png", "o/0000000001A0.png", "o/x_1.png"]
    found, foreign = by_record(keys, ids)
    assert found == {
        ("o", "rec_12"): ["o/rec_12-1.png", "o/rec_12.png"],
        ("o", "rec"): ["o/rec_3.png"],
        ("o", "0000000001A"): ["o/0000000001A0.png"],
    }
    assert foreign == ["o/x_1.png"]


def test_the_raw_answer_can_be_left_out(tmp_path: Path) -> None:
    """With model_output: drop there is no such column, and a changed mind collects anew."""
    files = {LINES: lines(a={"content": [{"type": "text", "text": "x"}]})}
    _, (kept,) = collect_in(str(tmp_path), "a", files)
    _, (dropped,) = collect_in(str(tmp_path), "a", files, model_output="drop")
    assert kept.keys() - dropped.keys() == {"model_output"}
    assert dropped["text"] == "x"
