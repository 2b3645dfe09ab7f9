"""The digest of the code depends on its files alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

from bedrock_spark.run_folder.code_digest import code_digest, digest_of


def package_at(folder: Path, text: str = "x = 1\n") -> Path:
    (folder / "part" / "__pycache__").mkdir(parents=True)
    (folder / "__init__.py").write_text(text)
    (folder / "part" / "page.html").write_text("<p>")
    return folder


def test_the_same_files_have_the_same_digest(tmp_path: Path) -> None:
    """In another folder, in an archive, and after Python has compiled them."""
    one = package_at(tmp_path / "one" / "p")
    other = package_at(tmp_path / "other" / "p")
    digest = digest_of(one)
    (other / "part" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"compiled")
    assert digest_of(other) == digest
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for file in (one / "__init__.py", one / "part" / "page.html"):
            archive.write(file, f"p/{file.relative_to(one)}")
    assert digest_of(zipfile.Path(tmp_path / "p.zip", "p/")) == digest


def test_other_files_have_another_one(tmp_path: Path) -> None:
    """Another content, another name, or a file more."""
    digests = {digest_of(package_at(tmp_path / "p")), digest_of(package_at(tmp_path / "q", "x\n"))}
    renamed = package_at(tmp_path / "r")
    (renamed / "part").rename(renamed / "other")
    digests.add(digest_of(renamed))
    more = package_at(tmp_path / "m")
    (more / "more.py").write_text("")
    digests.add(digest_of(more))
    assert len(digests) == 4


def test_the_package_has_one() -> None:
    assert len(code_digest()) == 64
    assert code_digest() is code_digest()
