"""Where the pictures of an answer go: files of a folder, and the terminal if it shows pictures."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from bedrock_spark.cli.invoke.inline_pictures import Draw, inline_drawer
from bedrock_spark.errors import ConfigError, StorageError
from bedrock_spark.families import Family
from bedrock_spark.playground.images import Picture, write_picture


@dataclass(frozen=True)
class PicturePlace:
    """Where pictures go.

    folder: None for no files; draw: None if the terminal shows none
    to_stderr: whether stdout is for something else
    """

    folder: Path | None
    draw: Draw | None
    to_stderr: bool = False

    def show(self, model_id: str, picture: Picture) -> None:
        """Write and show a picture, and print its file, size and seed. Raises StorageError."""
        drawn = self.draw(picture) if self.draw is not None else None
        if drawn is not None:
            click.echo(drawn)
        path = self._write(model_id, picture)
        name = f"picture {picture.number}" if path is None else str(path)
        click.echo(f"{name}: {picture.facts}", err=self.to_stderr)

    def _write(self, model_id: str, picture: Picture) -> Path | None:
        """Write a picture, which is paid for: if that fails, into the current folder instead."""
        if self.folder is None:
            return None
        try:
            return write_picture(self.folder, model_id, picture)
        except OSError as exc:
            fault = f"--out {self.folder}: cannot be written to: {exc.strerror or exc}"
        try:
            path = write_picture(Path(), model_id, picture)
        except OSError as exc:
            raise StorageError(
                f"{fault}; nor can the current folder: {exc.strerror or exc}. Picture "
                f"{picture.number} is lost"
            ) from exc
        click.echo(f"{fault}; the picture is in the current folder", err=True)
        return path


def picture_place(out: str | None, family: Family, *, as_json: bool) -> PicturePlace:
    """Return where the pictures of this call go, before it is paid for.

    Makes the folder. Raises ConfigError if a model of pictures has no place for them, if the folder
    cannot be written to, and if there is a folder for a model that makes no pictures.
    """
    if out is not None and not family.answers_images and family.reads_answers:
        raise ConfigError(f"--out: models of the family {family.name} make no pictures")
    draw = None if as_json else inline_drawer(sys.stdout, os.environ)
    if family.answers_images and out is None and draw is None and not as_json:
        raise ConfigError(
            "the answer is a picture, and this terminal shows none: give --out DIR to write "
            "it into a folder, or --json for the answer as the model sends it. Nothing was asked"
        )
    return PicturePlace(None if out is None else _writable(Path(out)), draw, to_stderr=as_json)


def _writable(folder: Path) -> Path:
    """Return the folder, which is made if it is not there. Raises ConfigError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"--out {folder}: {exc.strerror or exc}. Nothing was asked") from exc
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {folder}: may not be written to. Nothing was asked")
    return folder
