"""Where a picture goes: it is paid for, so it is not lost if its folder fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedrock_spark.cli.invoke.pictures import PicturePlace, picture_place
from bedrock_spark.errors import ConfigError, StorageError
from bedrock_spark.families import family_by_name
from bedrock_spark.playground.images import Picture

PICTURE = Picture(1, b"bytes", "png", 8, 9, 7)
DRAWS = family_by_name("stability")


def test_a_picture_is_written_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A format that the terminal does not take is only written."""
    PicturePlace(tmp_path, lambda picture: "drawn").show("m", PICTURE)
    PicturePlace(tmp_path, lambda picture: None).show("m", PICTURE)
    first, second = tmp_path / "m-seed-7-1.png", tmp_path / "m-seed-7-2.png"
    facts = "8 x 9 png, 5 bytes, seed 7"
    assert capsys.readouterr().out == f"drawn\n{first}: {facts}\n{second}: {facts}\n"
    assert first.read_bytes() == second.read_bytes() == b"bytes"


def test_a_folder_that_fails_after_the_call_loses_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was there before the call. The current folder takes its place."""
    monkeypatch.chdir(tmp_path)
    PicturePlace(tmp_path / "gone", None).show("m", PICTURE)
    assert (tmp_path / "m-seed-7-1.png").read_bytes() == b"bytes"
    shown = capsys.readouterr()
    assert shown.out.startswith("m-seed-7-1.png: ")
    assert "gone: cannot be written to: No such file or directory; the picture is" in shown.err


def test_a_picture_that_cannot_be_written_anywhere_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, model_id: str, picture: Picture) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bedrock_spark.cli.invoke.pictures.write_picture", refuse)
    with pytest.raises(StorageError, match=r"No space left on device; nor can .* 1 is lost"):
        PicturePlace(tmp_path, None).show("m", PICTURE)


def test_a_folder_is_made_and_one_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Before the call is paid for."""
    place = picture_place(str(tmp_path / "a" / "b"), DRAWS, as_json=False)
    assert place.folder == tmp_path / "a" / "b"
    assert place.folder.is_dir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="Nothing was asked"):
        picture_place(str(tmp_path / "file"), DRAWS, as_json=False)
    with pytest.raises(ConfigError, match="give --out DIR"):
        picture_place(None, DRAWS, as_json=False)
    assert picture_place(None, DRAWS, as_json=True) == PicturePlace(None, None, to_stderr=True)
