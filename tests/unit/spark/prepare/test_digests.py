"""Digests as bytes, from hexadecimal texts."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.prepare.digests import SHA256, digest_column


@given(st.lists(st.none() | st.binary(min_size=32, max_size=32), max_size=9), st.data())
def test_a_digest_is_the_bytes_of_its_text(
    digests: list[bytes | None], data: st.DataObject
) -> None:
    """Null for a null, in any slice of a column, whatever the size of its offsets."""
    texts = [None if digest is None else digest.hex() for digest in digests]
    kind = data.draw(st.sampled_from([pa.string(), pa.large_string()]))
    start = data.draw(st.integers(0, len(digests)))
    column = digest_column(pa.array(texts, kind).slice(start))
    assert column.type == SHA256
    assert column.to_pylist() == digests[start:]
