"""The sources of the examples: small tables, made by rules, the same each time."""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bedrock_spark.starter.files import NewFile
from bedrock_spark.starter.tasks import CLASSIFY, DESCRIBE_IMAGES, EMBED, EXTRACT, TRANSLATE, Task

# A batch job takes 100 records and more.
_ROWS = 120
_PIXELS = 48


@dataclass(frozen=True)
class Example:
    """An example: a task, and a source of `_ROWS` rows.

    column: to ask about; source: the section of the config
    """

    task: Task
    key: str
    column: str
    source: dict[str, Any]
    make: Callable[[], bytes]

    @property
    def name(self) -> str:
        """Return the name of the example, which is that of its task."""
        return self.task.name

    def file(self) -> NewFile:
        """Return the file of the source."""
        return NewFile(str(self.source["path"]), self.make())


def _csv(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def _tickets() -> bytes:
    problems = (
        "My printer shows the error {n}, and the paper tray is empty",
        "Since the update to version {n} the app ends when I open a file",
        "I was billed twice for invoice {n}",
        "The screen of laptop {n} stays black",
        "How do I change the language of the menu? My user is {n}",
        "Invoice {n} has the wrong address on it",
    )
    rows = [(f"T-{n}", problems[n % len(problems)].format(n=n)) for n in range(1, _ROWS + 1)]
    return _csv(("ticket_id", "body"), rows)


def _orders() -> bytes:
    people, products = ("Ana Silva", "Ben Okoro", "Chen Wei"), ("desk", "lamp", "shelf", "chair")
    lines = []
    for n in range(1, _ROWS + 1):
        who, what = people[n % len(people)], products[n % len(products)]
        when = f"2026-12-{1 + n % 28:02d}" if n % 5 else "as soon as you can"
        text = f"Hello, this is {who}. Please send me {1 + n % 9} of the {what}, {when}."
        lines.append(json.dumps({"order_id": n, "message": text}))
    return ("\n".join(lines) + "\n").encode()


def _sentences() -> bytes:
    sentences = (
        ("de", "Die Lieferung Nummer {n} kommt am Montag."),
        ("fr", "La livraison numéro {n} arrive lundi."),
        ("es", "El pedido {n} llega el lunes."),
        ("it", "La consegna numero {n} arriva lunedì."),
        ("pt", "A entrega número {n} chega na segunda-feira."),
    )
    rows = []
    for n in range(1, _ROWS + 1):
        language, text = sentences[n % len(sentences)]
        rows.append((f"S-{n}", language, text.format(n=n)))
    return _csv(("sentence_id", "language", "sentence"), rows)


def _products() -> bytes:
    nouns, kinds = ("lamp", "desk", "chair", "shelf"), ("oak", "steel", "glass", "bamboo", "cork")
    uses = ("for the office", "for the kitchen", "for children")
    rows = [
        (f"P-{n}", f"A {kinds[n % 5]} {nouns[n % 4]} {uses[n % 3]}, {30 + n} cm wide")
        for n in range(1, _ROWS + 1)
    ]
    return _csv(("product_id", "description"), rows)


def _photos() -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as pq

    colors = {"red": (200, 40, 40), "green": (40, 150, 60), "blue": (40, 70, 200)}
    shapes = ("circle", "square", "triangle")
    names, images = [], []
    for n in range(_ROWS):
        color, shape = list(colors)[n % 3], shapes[n // 3 % 3]
        names.append(f"{color}-{shape}-{n}")
        images.append(draw_png(shape, colors[color], 8 + n % 12))
    table = pa.table({"name": names, "photo": pa.array(images, pa.binary())})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def draw_png(shape: str, color: tuple[int, int, int], size: int) -> bytes:
    """Return a PNG of a shape on white: https://www.w3.org/TR/png/ (8 bits a channel, RGB)."""
    middle = _PIXELS // 2

    def is_inside(x: int, y: int) -> bool:
        right, down = abs(x - middle), y - middle
        if shape == "circle":
            return right**2 + down**2 <= size**2
        if shape == "square":
            return right <= size and abs(down) <= size
        return -size <= down <= size and 2 * right <= down + size

    white = (255, 255, 255)
    pixels = (
        bytes(c for x in range(_PIXELS) for c in (color if is_inside(x, y) else white))
        for y in range(_PIXELS)
    )
    scanlines = b"".join(b"\0" + row for row in pixels)
    header = struct.pack(">IIBBBBB", _PIXELS, _PIXELS, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(scanlines)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


EXAMPLES = {
    example.name: example
    for example in (
        Example(CLASSIFY, "ticket_id", "body", {"path": "tickets.csv"}, _tickets),
        Example(EXTRACT, "order_id", "message", {"path": "orders.jsonl"}, _orders),
        Example(EMBED, "product_id", "description", {"path": "products.csv"}, _products),
        Example(TRANSLATE, "sentence_id", "sentence", {"path": "sentences.csv"}, _sentences),
        Example(DESCRIBE_IMAGES, "name", "photo", {"path": "photos.parquet"}, _photos),
    )
}
