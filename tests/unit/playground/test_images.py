"""The pictures of an answer: size and seed by their sources, and files that overwrite nothing."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

import pytest

from bedrock_emulator.answers.png import draw_png
from bedrock_spark.families import family_by_name
from bedrock_spark.families.base import read_decoded
from bedrock_spark.playground import images
from bedrock_spark.playground.images import Picture, picture_of, pictures_of, write_picture

PNG = draw_png("a cat", 64, 32)
JPEG = (
    b"\xff\xd8"
    b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xff\xc4\x00\x04\x00\x00"  # a fill byte before a table
    b"\xff\xc2\x00\x11\x08" + struct.pack(">HH", 480, 640) + b"\x03" + b"\0" * 9
)
RIFF = b"RIFF\x00\x00\x00\x00WEBP"
LOSSY = RIFF + b"VP8 " + b"\0\0\0\0" + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 300, 200)
LOSSLESS = RIFF + b"VP8L" + b"\0\0\0\0" + b"\x2f" + struct.pack("<I", 299 | 199 << 14)
EXTENDED = RIFF + b"VP8X" + b"\0" * 8 + b"\x2b\x01\x00" + b"\xc7\x00\x00"


@pytest.mark.parametrize(
    ("data", "kind", "size"),
    [
        (base64.b64decode(PNG), "png", (64, 32)),
        (JPEG, "jpeg", (640, 480)),
        (LOSSY, "webp", (300, 200)),
        (LOSSLESS, "webp", (300, 200)),
        (EXTENDED, "webp", (300, 200)),
        (b"GIF89a" + struct.pack("<HH", 7, 9), "gif", (7, 9)),
        (b"\x89PNG\r\n\x1a\n", "png", (None, None)),
        (b"\xff\xd8\xff\xe0", "jpeg", (None, None)),
        (b"\xff\xd8\xff\xe0\x00\x04\x00\x00nothing of a picture", "jpeg", (None, None)),
        (RIFF, "webp", (None, None)),
        (b"GIF89a", "gif", (None, None)),
        (b"hello", "bin", (None, None)),
    ],
)
def test_the_bytes_say_the_format_and_the_size(
    data: bytes, kind: str, size: tuple[int | None, int | None]
) -> None:
    """Of a picture that is cut off, only the format."""
    picture = picture_of(data, 1, None)
    assert (picture.format, (picture.width, picture.height)) == (kind, size)


@pytest.mark.parametrize(
    ("family", "output", "body", "seeds"),
    [
        ("stability", {"images": [PNG, PNG], "seeds": [7, "8"]}, {"seed": 0}, [7, 8]),
        ("stability", {"images": [PNG]}, {"seed": 5}, [5]),
        ("stability_xl", {"artifacts": [{"base64": PNG, "seed": 9}]}, {}, [9]),
        (
            "amazon_images",
            {"images": [PNG, f"data:image/png;base64,{PNG}"]},
            {"imageGenerationConfig": {"seed": 3}},
            [3, 3],
        ),
        ("amazon_images", {"images": [PNG, "no base64!"]}, {}, [None]),
    ],
)
def test_the_seed_is_the_returned_one_or_the_one_that_was_sent(
    family: str, output: dict[str, Any], body: dict[str, Any], seeds: list[int | None]
) -> None:
    """In every family of pictures."""
    answer = read_decoded(output, family_by_name(family))
    pictures = pictures_of(answer, output, body)
    assert [picture.seed for picture in pictures] == seeds
    assert {picture.data for picture in pictures} == {base64.b64decode(PNG)}
    assert pictures[0].media_type == "image/png"


def test_files_are_named_by_model_and_seed_and_overwrite_nothing(tmp_path: Path) -> None:
    """The number goes on after the highest one, whatever the format of that file."""
    picture = Picture(1, b"first", "png", 8, 8, 42)
    stem = "stability.sd3-5-large-v1-0-seed-42"
    (tmp_path / f"{stem}-7.jpeg").write_bytes(b"old")
    (tmp_path / f"{stem}-notes.txt").write_bytes(b"mine")
    paths = [write_picture(tmp_path, "stability.sd3-5-large-v1:0", picture) for _ in range(2)]
    assert [path.name for path in paths] == [f"{stem}-8.png", f"{stem}-9.png"]
    assert paths[0].read_bytes() == b"first"
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl"
    seedless = Picture(1, b"x", "webp", None, None, None)
    assert write_picture(tmp_path, arn, seedless).name == "abcdefghijkl-1.webp"
    assert (tmp_path / f"{stem}-7.jpeg").read_bytes() == b"old"


def test_a_name_that_another_process_takes_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_highest_number", lambda folder, stem: 0)
    (tmp_path / "m-1.png").write_bytes(b"other")
    path = write_picture(tmp_path, "m", Picture(1, b"mine", "png", 1, 1, None))
    assert (path.name, path.read_bytes()) == ("m-2.png", b"mine")
    assert (tmp_path / "m-1.png").read_bytes() == b"other"


def test_a_picture_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    """Here its bytes are no bytes; it could be a full disk."""
    broken = Picture(1, "text", "png", 1, 1, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        write_picture(tmp_path, "m", broken)
    assert list(tmp_path.iterdir()) == []


def test_the_facts_of_a_picture_are_words() -> None:
    assert Picture(1, b"x" * 1234, "png", 64, 32, 42).facts == "64 x 32 png, 1,234 bytes, seed 42"
    assert Picture(1, b"xy", "bin", None, None, None).facts == "bin, 2 bytes"
