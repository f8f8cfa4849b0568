"""A folder of LayerFlow's in a host's, apart from any host: the marker's notes, other signs, files written aside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from layerflow.installing import MARKER, Installed, OurFolder, beside, files_in, package_files, rewriting, wire_files

FILES = {"a.py": b"a", "inner/b.py": b"b"}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)


def with_marker(**notes: bool) -> dict[str, bytes]:
    return {**FILES, MARKER: Installed("1", tuple(FILES), notes).as_json()}


def by_name(folder: Path) -> Installed | None:
    """What a folder with a file `sign` holds is all ours."""
    return Installed("old", tuple(files_in(folder))) if (folder / "sign").exists() else None


def test_a_marker_gives_its_notes_back(tmp_path: Path) -> None:
    folder = OurFolder.at(tmp_path / "flow", ("made", "kept"))
    assert folder.installed() is None
    folder.swap_in(with_marker(made=True, kept=False), None)
    assert folder.installed() == Installed("1", tuple(FILES), {"made": True, "kept": False})
    assert list(json.loads((folder.path / MARKER).read_bytes())) == ["version", "made", "kept", "files"]
    with pytest.raises(ValueError, match=r"is damaged, so nothing was done"):
        OurFolder.at(tmp_path / "flow", ("other",)).installed()


def test_a_folder_may_be_ours_by_another_sign(tmp_path: Path) -> None:
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "sign").touch()
    assert OurFolder.at(tmp_path / "flow").is_of_others()
    folder = OurFolder.at(tmp_path / "flow", (), by_name)
    before = folder.installed()
    assert before == Installed("old", ("sign",))
    folder.swap_in(with_marker(), before)
    assert sorted(files_in(folder.path)) == [*FILES, MARKER]
    assert [path.name for path in tmp_path.iterdir()] == ["flow"]


def test_by_another_sign_it_is_removed_whole_and_mended(tmp_path: Path) -> None:
    (tmp_path / ".flow.old" / "inner").mkdir(parents=True)
    (tmp_path / ".flow.old" / "inner" / "x").touch()
    (tmp_path / ".flow.old" / "sign").touch()
    assert OurFolder.at(tmp_path / "flow").installed() is None  # and leaves what it does not know
    folder = OurFolder.at(tmp_path / "flow", (), by_name)
    before = folder.installed()
    assert before is not None and folder.remove(before) == [] and not list(tmp_path.iterdir())


def test_a_file_is_written_aside_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "init.py"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with rewriting(path, b"new"):
        assert path.read_bytes() == b"old" and beside(path, "part").read_bytes() == b"new"
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(KeyError), rewriting(path, b"newer"):
        raise KeyError
    assert path.read_bytes() == b"new" and [found.name for found in tmp_path.iterdir()] == ["init.py"]


def test_what_the_system_refuses_names_the_real_place(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, rewriting(tmp_path, b"new"):
        pass
    assert caught.value.filename == str(tmp_path) and not list(tmp_path.iterdir())


def test_the_files_of_a_package(tmp_path: Path) -> None:
    for name in ("installing.py", "a.py", "inner/icon.svg", ".hidden", "__pycache__/a.pyc", "inner/.x/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert package_files(tmp_path / "installing.py") == {"a.py": b"a.py", "inner/icon.svg": b"inner/icon.svg"}


def test_the_wire_is_all_of_it() -> None:
    files = wire_files()
    assert "vendor/layerflow/__init__.py" in files and "vendor/layerflow/wire/client.py" in files
    assert all(name == "vendor/layerflow/__init__.py" or "/wire/" in name for name in files)
