"""The pictures of an answer: their bytes, format, size and seed, and the names of their files.

The bytes say the format and the size: PNG (https://www.w3.org/TR/png/), JPEG (ITU-T T.81, annex B),
GIF (its specification of 1989) and WebP (https://developers.google.com/speed/webp/docs/riff_container).

The seed: Stable Image and SD3 return `seeds`, Stable Diffusion XL a `seed` with each artifact. The
models of Amazon return none: then it is the one in the request, if that has one.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedrock_spark.families.base import Answer
from bedrock_spark.families.json_members import Json, at, count_at
from bedrock_spark.outputs.images import format_of
from bedrock_spark.templates.media import IMAGES

_DATA_URI = re.compile(r"data:[^,]{0,100},")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Picture:
    """One picture.

    number: its place in the answer, from 1
    format: png, jpeg, gif or webp; bin if its bytes show none of them
    width, height: in pixels; None if the bytes do not say
    seed: as the model returned it, or as it was sent; None if neither has one
    """

    number: int
    data: bytes
    format: str
    width: int | None
    height: int | None
    seed: int | None

    @property
    def media_type(self) -> str:
        """Return the media type, such as `image/png`."""
        return IMAGES.get(self.format, "application/octet-stream")

    @property
    def facts(self) -> str:
        """Return what is known of it, for people: `1024 x 1024 png, 1,024 bytes, seed 42`."""
        size = f"{self.width} x {self.height} " if self.width is not None else ""
        seed = f", seed {self.seed}" if self.seed is not None else ""
        return f"{size}{self.format}, {len(self.data):,} bytes{seed}"


def pictures_of(answer: Answer, output: Json, body: Json) -> tuple[Picture, ...]:
    """Return the pictures of an answer. A text that is no base64 is left out.

    output: the decoded answer; body: the decoded request
    """
    pictures = []
    for index, text in enumerate(answer.images):
        try:
            data = base64.b64decode(_DATA_URI.sub("", text, count=1), validate=True)
        except (binascii.Error, ValueError):
            continue
        if data:
            seed = _returned_seed(output, index)
            pictures.append(picture_of(data, index + 1, _sent_seed(body) if seed is None else seed))
    return tuple(pictures)


def picture_of(data: bytes, number: int, seed: int | None) -> Picture:
    """Return a picture of these bytes."""
    kind = format_of(data)
    read = _SIZES.get(kind)
    size = read(data) if read is not None else None
    width, height = size if size is not None else (None, None)
    return Picture(number, data, kind, width, height, seed)


def _returned_seed(output: Json, index: int) -> int | None:
    seeds = at(output, "seeds", index)
    if isinstance(seeds, str) and seeds.isdecimal():
        return int(seeds)
    found = count_at(output, "seeds", index)
    return found if found is not None else count_at(output, "artifacts", index, "seed")


def _sent_seed(body: Json) -> int | None:
    seed = count_at(body, "seed")
    return seed if seed is not None else count_at(body, "imageGenerationConfig", "seed")


_Size = tuple[int, int]


def _png(data: bytes) -> _Size | None:
    return struct.unpack(">II", data[16:24]) if data[12:16] == b"IHDR" else None


def _gif(data: bytes) -> _Size | None:
    return struct.unpack("<HH", data[6:10]) if len(data) >= 10 else None


# The markers of a JPEG without a length after them, and the frame headers, which have the size.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(data: bytes) -> _Size | None:
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker in _FRAMES:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _webp(data: bytes) -> _Size | None:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[n : n + 3], "little") + 1 for n in (24, 27))
        return width, height
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


_SIZES = {"png": _png, "gif": _gif, "jpeg": _jpeg, "webp": _webp}


def file_stem(model_id: str, picture: Picture) -> str:
    """Return a file name without number and extension: the model and the seed, if it is known."""
    model = _NOT_IN_NAMES.sub("-", model_id.rsplit("/", 1)[-1]).strip("-.") or "picture"
    return model if picture.seed is None else f"{model}-seed-{picture.seed}"


def write_picture(folder: Path, model_id: str, picture: Picture) -> Path:
    """Write a picture into an existing folder under a name that is free, and return its path.

    The name is `<model>-seed-<seed>-<number>.<format>`. No file is overwritten, and none is left
    half-written. Raises OSError.
    """
    stem = file_stem(model_id, picture)
    number = _highest_number(folder, stem)
    while True:
        number += 1
        path = folder / f"{stem}-{number}.{picture.format}"
        try:
            file = path.open("xb")
        except FileExistsError:
            continue
        try:
            with file:
                file.write(picture.data)
        except BaseException:
            path.unlink()
            raise
        return path


def _highest_number(folder: Path, stem: str) -> int:
    """Return the highest number of a file of this stem, whatever its extension; 0 without any."""
    numbered = re.compile(rf"{re.escape(stem)}-(\d{{1,9}})\.\w+")
    found: Iterator[Any] = (numbered.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in found if match), default=0)
