"""`layerflow space`: how much of a user's space elsewhere is taken, and room made in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from elsewhere import MIB, Elsewhere, own_places, served_elsewhere, write_plate
from server_process import home, serving

from layerflow.cli.app import run
from layerflow.cli.space import space
from layerflow.wire import errors, remote, remote_files
from layerflow.wire.client import Client
from layerflow.wire.running import RunningServer
from layerflow.wire.transfer import unseen, unstopped

__all__ = ["home", "own_places"]


@pytest.fixture(autouse=True)
def hosts(own_places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAYERFLOW_REMOTE")


@pytest.fixture
def connected(tmp_path: Path):
    with served_elsewhere(tmp_path) as elsewhere:
        remote.remember(elsewhere.server)
        yield elsewhere


def upload(folder: Path, *sizes: int) -> Path:
    """A plate's folder, whose files are in the space."""
    server = remote.connected()
    assert server is not None
    remote_files.upload(server, write_plate(folder, *sizes), unseen, unstopped)
    return folder


def json_of(capsys, *arguments: str) -> dict:
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_how_much_is_taken(connected: Elsewhere, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Client.connect(start=False).submit(write_plate(tmp_path / "shot", MIB, MIB))
    told = json_of(capsys, "space", "show")
    assert (told["url"], told["machine"], told["user"]) == (connected.server.url, connected.server.machine, "ann")
    assert (told["used_bytes"], told["limit_bytes"], told["files"]) == (2 * MIB, 1 << 34, 2)
    assert (told["jobs_waiting"], told["jobs_limit"]) == (1, 50)
    assert run(["space", "show"]) == 0
    said = capsys.readouterr().out
    assert said == f"server: {told['url']}, as ann\nspace: 2.1 MB of 17.2 GB, 2 files\nwaiting jobs: 1 of 50\n"


def test_files_and_folders_go_there_and_stay_here(connected, tmp_path, capsys, monkeypatch):
    dog, cat = upload(tmp_path / "dog", MIB, 2 * MIB), upload(tmp_path / "cat", 3 * MIB)
    first = dog / "plate.1001.exr"
    assert json_of(capsys, "space", "delete", str(first), "--yes") == {"deleted": [str(first)], "bytes": MIB}
    assert first.exists() and not connected.file(first).exists() and connected.file(dog / "plate.1002.exr").exists()
    shutil.rmtree(cat)  # what is gone here is still there
    monkeypatch.chdir(tmp_path)
    assert run(["space", "delete", "dog", "cat", "--yes"]) == 0 and capsys.readouterr().out == "5.2 MB became free\n"
    assert not connected.file(dog).exists() and not connected.file(cat).exists()
    assert json_of(capsys, "space", "show")["files"] == 0


def test_it_asks_first(connected, tmp_path):
    dog = upload(tmp_path / "dog", MIB)
    asked = CliRunner().invoke(space, ["delete", str(dog)], input="n\n")
    assert f"Delete {dog} from the space at {connected.server.url}" in asked.stderr
    assert asked.exit_code == 1 and connected.file(dog).exists()
    assert CliRunner().invoke(space, ["delete", str(dog)], input="y\n").stdout == "1.0 MB became free\n"
    assert not connected.file(dog).exists()


def test_what_is_not_there_is_said_and_the_rest_goes(connected, tmp_path, capsys):
    dog = upload(tmp_path / "dog", MIB)
    assert run(["space", "delete", str(tmp_path / "none"), str(dog), "--yes"]) == 2
    said = capsys.readouterr().err
    assert f"nothing of {tmp_path}/none, and of the rest 1.0 MB became free" in said and said.count("\n") == 1
    assert not connected.file(dog).exists()


def test_files_of_another_machine_go_by_their_names(connected, tmp_path, capsys):
    (connected.user.space.folder / "posix-old/shots").mkdir(parents=True)
    (connected.user.space.folder / "posix-old/shots/a.exr").write_bytes(b"a plate")
    dog = upload(tmp_path / "dog", MIB)
    assert json_of(capsys, "space", "delete", "space:posix-old", "--yes")["bytes"] == len(b"a plate")
    assert connected.file(dog).exists()


@pytest.mark.parametrize("path", ["space:", "space:..", "space:../bob/a.exr", "space:shots/a.exr", "/", "a\\b"])
def test_what_is_no_path_of_the_space_is_one_sentence(connected, tmp_path, capsys, path):
    dog = upload(tmp_path / "dog", MIB)
    assert run(["space", "delete", path, "--yes"]) in (2, 7)
    assert capsys.readouterr().err.count("\n") == 1 and connected.file(dog).exists()


@pytest.mark.parametrize("verb", [["show"], ["delete", "/shots", "--yes"]])
def test_a_machine_that_is_not_connected_has_no_space(verb, capsys):
    assert run(["space", *verb]) == 2
    assert capsys.readouterr().err.endswith("layerflow connect names a server elsewhere\n")
    client = Client(RunningServer("http://127.0.0.1:1", "t", 1, 1))
    with pytest.raises(errors.NotRunning, match="on this machine"):
        client.space()
    with pytest.raises(errors.NotRunning, match="on this machine"):
        client.delete("/shots")


def test_a_server_of_a_process_of_its_own(home, tmp_path, capsys):
    with serving() as served:
        (tmp_path / "token").write_text(json_of(capsys, "users", "add", "ann", "--space-gib", "1")["token"])
        assert run(["connect", served.server.url, "--token-file", str(tmp_path / "token")]) == 0
        capsys.readouterr()
        dog = upload(tmp_path / "dog", 5 * MIB, 0)
        assert json_of(capsys, "space", "show")["used_bytes"] == 5 * MIB
        assert json_of(capsys, "space", "delete", str(dog), "--yes")["bytes"] == 5 * MIB
        assert json_of(capsys, "space", "show")["files"] == 0
