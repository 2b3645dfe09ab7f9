"""Small valid PNG images, drawn from a text. The same text always gives the same image.

https://www.w3.org/TR/png/
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib

_MAX_SIDE = 64  # pixels; the images are placeholders


def draw_png(text: str, width: int, height: int) -> str:
    """Return a PNG in base64 with the proportions of `width` to `height`.

    It has at most 64 pixels a side, and is a vertical gradient between two colours.
    """
    scale = max(1.0, max(width, height) / _MAX_SIDE)
    columns, rows = max(1, round(width / scale)), max(1, round(height / scale))
    key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    top, bottom = key[:3], key[3:6]
    scanlines = []
    for row in range(rows):
        share = row / rows
        colour = bytes(int(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
        scanlines.append(b"\x00" + colour * columns)  # filter type 0, then RGB
    # 8 bits per channel, colour type 2 (RGB), no interlacing.
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(scanlines))), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)
    return base64.b64encode(png).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
