"""The id of this machine: one for all its processes, another one for each copy of it."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from pathlib import Path

import pytest

from bedrock_spark.run_folder import machine
from bedrock_spark.run_folder.machine import machine_id
from bedrock_spark.run_folder.processes import is_alive, is_dead, start_of, this_place


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in which this process looks for its id."""
    monkeypatch.setattr(machine, "FOLDER", tmp_path)
    return tmp_path


def test_all_processes_have_one_id(folder: Path) -> None:
    """Also if they draw it at the same time. Nothing but the id's file is left."""
    with multiprocessing.get_context("fork").Pool(8) as pool:
        ids = set(pool.starmap(machine_id, [()] * 64, chunksize=1))
    assert ids == {machine_id()}
    assert [path.name for path in folder.iterdir()] == [f".bedrock-spark-machine-{os.getuid()}"]


def test_copies_have_different_ids(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a new id is drawn if somebody empties the folder."""
    ids = []
    for name in ("a", "b"):
        (folder / name).mkdir()
        monkeypatch.setattr(machine, "FOLDER", folder / name)
        ids.append(machine_id())
    next(folder.glob("b/.*")).unlink()
    ids.append(machine_id())
    assert len(set(ids)) == 3
    assert "" not in ids


@pytest.mark.parametrize("what", ["damaged", "empty", "link", "folder", "another's", "no room"])
def test_without_an_id_nothing_is_known_of_processes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Then they are neither dead nor alive for sure, and leases end by time only."""
    path = folder / f".bedrock-spark-machine-{os.getuid()}"
    match what:
        case "damaged" | "empty":
            path.write_text("x" if what == "damaged" else "")
        case "link":
            (folder / "elsewhere").write_text("0" * 32)
            path.symlink_to(folder / "elsewhere")
        case "folder":
            path.mkdir()
        case "another's":
            path.write_text("0" * 32)
            uid = os.getuid()
            ids = itertools.cycle([uid, uid + 1])  # the name's, then the one that is compared
            monkeypatch.setattr(os, "getuid", lambda: next(ids))
        case "no room":
            monkeypatch.setattr(machine, "FOLDER", folder / "gone")
    assert this_place() == ""
    pid = os.getpid()
    assert not is_alive(this_place(), pid, start_of(pid))
    assert not is_dead(this_place(), 2**22 + 1, 1)
