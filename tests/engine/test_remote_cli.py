"""`layerflow connect`, `disconnect` and `jobs fetch`, and whom hosts ask then."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from elsewhere import MIB, Elsewhere, own_places, served_elsewhere, write_plate
from links import HOST
from serving import make_service
from spacious import add_user

from layerflow.cli.app import run
from layerflow.cli.checkup import _server as look_for_server
from layerflow.server.app import create_app
from layerflow.server.listening import Listening, open_socket
from layerflow.wire import errors, places, remote
from layerflow.wire.client import Client
from layerflow.wire.remote import RemoteServer

__all__ = ["own_places"]


@pytest.fixture(autouse=True)
def hosts(own_places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAYERFLOW_REMOTE")


@pytest.fixture
def elsewhere(tmp_path: Path):
    with served_elsewhere(tmp_path) as elsewhere:
        yield elsewhere


@pytest.fixture
def connected(elsewhere: Elsewhere) -> Elsewhere:
    remote.remember(elsewhere.server)
    return elsewhere


def token_file(tmp_path: Path, token: str) -> str:
    path = tmp_path / "token.txt"
    path.write_text(token + "\n")
    return str(path)


def json_of(capsys, *arguments: str) -> dict:
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_who_connects_asks_there_from_then_on(elsewhere, tmp_path, capsys):
    told = json_of(capsys, "connect", elsewhere.server.url, "--token-file", token_file(tmp_path, elsewhere.user.token))
    assert (told["user"], told["url"], told["used_bytes"]) == ("ann", elsewhere.server.url, 0)
    assert remote.connected() == elsewhere.server and remote.file().stat().st_mode & 0o077 == 0
    client = Client.connect(start=False)
    assert client.is_remote and client.models() and elsewhere.user.token not in repr(remote.connected())
    assert [(check.status, elsewhere.server.url in check.detail) for check in look_for_server()] == [("ok", True)]
    assert json_of(capsys, "jobs", "page", "--no-browser")["url"] == elsewhere.server.url
    assert json_of(capsys, "disconnect") == {"disconnected": True}
    assert json_of(capsys, "disconnect") == {"disconnected": False}
    with pytest.raises(errors.NotRunning, match="no LayerFlow server is running"):
        Client.connect(start=False)


def test_the_token_may_come_by_stdin(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(elsewhere.user.token + "\n"))
    assert run(["connect", elsewhere.server.url]) == 0
    assert "as ann; 0.0 of 17.2 GB" in capsys.readouterr().out


def test_who_is_connected_to_is_who_the_certificate_says(tmp_path, capsys):
    authority, pem = trustme.CA(), tmp_path / "authority.pem"
    issued = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(pem)
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    service = make_service(tmp_path / "there", roots=(), port=0, **files)
    own = ["--token-file", token_file(tmp_path, add_user(service, "ann").token)]
    with open_socket(service.settings) as listener:
        service.port = listener.getsockname()[1]
        listening = Listening(create_app(service), service.settings, listener)
        url = f"localhost:{service.port}"
        assert run(["connect", url, *own]) == 7 and "not to be trusted" in capsys.readouterr().err
        url = f"https://127.0.0.1:{service.port}"
        assert run(["connect", url, *own, "--certificate", str(pem)]) == 7 and remote.connected() is None
        url = f"localhost:{service.port}"
        assert run(["connect", url, *own, "--certificate", str(pem)]) == 0
        pem.unlink()  # it is kept with the address
        request = write_plate(tmp_path / "shot", 100)
        assert Client.connect(start=False).submit(request).request == request
        listening.close()


def test_a_process_may_stay_here(connected, monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_REMOTE", "0")
    with pytest.raises(errors.NotRunning):
        Client.connect(start=False)
    monkeypatch.delenv("LAYERFLOW_REMOTE")
    with pytest.raises(errors.NotRunning, match="no LayerFlow server is running from"):
        Client.connect(runtime=tmp_path / "another")


@pytest.mark.parametrize(
    ("url", "token", "code", "sentence"),
    [
        (
            "http://gpu1.studio:8765",
            "t",
            2,
            "never goes to another machine in the clear; connect to https://gpu1.studio",
        ),
        ("ftp://gpu1.studio", "t", 2, "address is like"),
        ("https://gpu1.studio/v1", "t", 2, "address is like"),
        (f"http://{HOST}:1", "t", 7, "no LayerFlow server answers"),
        ("", "wrong", 7, "token"),
        ("", "", 2, "token is not usable"),
        ("", "grün", 2, "cannot be read as text"),
    ],
)
def test_what_cannot_be_connected_to_is_one_sentence(elsewhere, tmp_path, capsys, url, token, code, sentence):
    arguments = ["connect", url or elsewhere.server.url, "--token-file", token_file(tmp_path, token)]
    assert run(arguments) == code
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and remote.connected() is None


def test_the_machines_own_token_has_no_space(elsewhere, tmp_path, capsys):
    own = token_file(tmp_path, elsewhere.service.token)
    assert run(["connect", elsewhere.server.url, "--token-file", own]) == 7
    assert "layerflow users add" in capsys.readouterr().err


def test_a_file_of_many_authorities_is_not_kept(elsewhere, tmp_path, capsys):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(trustme.CA().cert_pem.bytes() * 100)
    arguments = [
        "connect",
        elsewhere.server.url,
        "--token-file",
        token_file(tmp_path, "t"),
        "--certificate",
        str(bundle),
    ]
    assert run(arguments) == 2 and "give that of who signed it" in capsys.readouterr().err


def test_a_damaged_note_is_none(connected):
    remote.file().write_text('{"url": 5}')
    assert remote.connected() is None


def test_a_job_asked_for_here_is_made_there_and_fetched(connected, tmp_path, capsys):
    request = write_plate(tmp_path / "shot", MIB)
    told = json_of(capsys, "decompose", str(request.plate), "-o", request.output, "--queue")
    (job,) = Client.connect(start=False).list()
    assert told["jobs"][0]["request"]["plate"] == request.plate
    frame = tmp_path / "shot" / "out" / "dog.1001.exr"
    assert run(["jobs", "fetch", job.id[:8]]) == 7 and "no files yet" in capsys.readouterr().err
    connected.make(job, {frame: b"a frame" * 1000})
    assert json_of(capsys, "jobs", "fetch", job.id[:8]) == {"files": [str(frame)]}
    assert frame.read_bytes() == b"a frame" * 1000
    assert run(["jobs", "fetch", job.id]) == 0 and capsys.readouterr().out == f"{frame}\n"


@pytest.mark.parametrize("folder", ["Bu\u0308ro", "a\\b"])
def test_a_path_that_has_no_name_elsewhere_is_one_sentence(connected, tmp_path, capsys, folder):
    request = write_plate(tmp_path / folder, MIB)
    assert run(["decompose", str(request.plate), "-o", str(tmp_path / "dog.%04d.exr"), "--queue"]) == 2
    said = capsys.readouterr().err
    assert folder in said and said.count("\n") == 1 and connected.link.sent < 1000


def test_ctrl_c_stops_an_upload_in_one_sentence(connected, tmp_path, capsys, monkeypatch):
    request = write_plate(tmp_path / "shot", MIB)
    monkeypatch.setattr("layerflow.cli.stop.Stop.asked", lambda self: True)
    assert run(["decompose", str(request.plate), "-o", request.output, "--queue"]) == 130
    assert "stopped; the same command goes on from here" in capsys.readouterr().err


def test_doctor_says_that_it_is_away(connected, monkeypatch):
    remote.remember(replace(connected.server, url=f"http://{HOST}:1"))
    (found,) = look_for_server()
    assert found.status == "warn" and "layerflow disconnect" in found.advice


def test_nothing_to_fetch_from_this_machine(tmp_path, capsys, monkeypatch):
    from wire_server import standing_in

    from layerflow.wire.running import publish

    with standing_in() as server:
        publish(server.address)
        assert run(["jobs", "fetch", "0" * 32]) == 2
    assert "on this machine" in capsys.readouterr().err


def test_this_machine_has_one_name_that_a_server_takes(monkeypatch):
    from layerflow.server.spaces import check_file_name

    monkeypatch.setattr("socket.gethostname", lambda: "Ann's -Büro- MacBook.local")
    check_file_name(remote.this_machine() + "/a.exr")
    assert remote.this_machine() == remote.this_machine().strip()
    monkeypatch.setattr("socket.gethostname", lambda: "...")
    assert remote.this_machine().startswith("posix-machine-")


def test_a_token_goes_nowhere_in_the_clear():
    with pytest.raises(ValueError, match="in the clear"):
        RemoteServer("http://10.0.0.7:8765", "t", "ann", "posix-a")
    assert places.server_folder().name == "hosts"
