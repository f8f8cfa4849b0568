"""A host and a server that share no folder: files go there whole and come back whole, whatever the link does."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import threading
from http.client import HTTPResponse
from pathlib import Path
from types import SimpleNamespace

import pytest
from elsewhere import KIB, MIB, Elsewhere, own_places, served_elsewhere, write_plate

from layerflow.server.settings import Limits
from layerflow.wire import Job, Request, errors, line
from layerflow.wire.digests import Digests
from layerflow.wire.remote import RemoteServer
from layerflow.wire.transfer import Transfer
from layerflow.wire.transport import good_answer

__all__ = ["own_places"]

pytestmark = pytest.mark.usefixtures("own_places")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(line, "_LONGEST_PAUSE_S", 0.01)


@pytest.fixture
def elsewhere(tmp_path: Path):
    with served_elsewhere(tmp_path) as elsewhere:
        yield elsewhere


def plate_of(request: Request) -> list[Path]:
    return sorted(Path(str(request.plate)).parent.glob("*.exr"))


def assert_there(elsewhere: Elsewhere, *paths: Path) -> None:
    for path in paths:
        assert elsewhere.file(path).read_bytes() == path.read_bytes(), path


def frames(request: Request, *sizes: int) -> dict[Path, bytes]:
    """What a worker may have made of a request."""
    folder = Path(request.output).parent
    return {
        folder / f"dog.{number}.exr": random.Random(number).randbytes(size) for number, size in enumerate(sizes, 1001)
    }


def test_what_a_job_needs_is_there_before_it_is_asked_for(elsewhere, tmp_path):
    request, told = write_plate(tmp_path / "my shots" / "犬", 3 * MIB, 5 * MIB, 0), []
    job = elsewhere.client.submit(request, label="nuke:dog.nk", on_transfer=told.append)
    assert_there(elsewhere, *plate_of(request))
    assert told[0] == Transfer("uploading", 0, 3, 0, 8 * MIB) and told[-1] == Transfer(
        "uploading", 3, 3, 8 * MIB, 8 * MIB
    )
    assert job.request == request and elsewhere.client.list() == [job] == [elsewhere.client.get(job.id)]
    kept = elsewhere.service.store.get(job.id)
    assert kept.request.output == str(elsewhere.file(Path(request.output)))
    assert elsewhere.file(plate_of(request)[0]).stat().st_mtime_ns == plate_of(request)[0].stat().st_mtime_ns


def test_nothing_is_sent_twice_though_it_moves(elsewhere, tmp_path):
    request = write_plate(tmp_path / "one", MIB, MIB)
    elsewhere.client.submit(request)
    sent = elsewhere.link.sent
    elsewhere.client.submit(request, key="again")
    moved = write_plate(tmp_path / "two")
    for path in plate_of(request):
        shutil.copy(path, tmp_path / "two" / path.name)
    elsewhere.client.submit(moved)
    assert elsewhere.link.sent - sent < 100 * KIB
    assert_there(elsewhere, *plate_of(moved))


def test_a_file_that_changed_is_sent_again(elsewhere, tmp_path):
    request = write_plate(tmp_path / "shot", MIB, MIB)
    elsewhere.client.submit(request)
    plate_of(request)[0].write_bytes(b"another picture")
    elsewhere.client.submit(request)
    assert_there(elsewhere, *plate_of(request))


def test_all_kinds_of_inputs_go_there(elsewhere, tmp_path):
    request = write_plate(tmp_path / "shot", 1000, 1000, 1000)
    (tmp_path / "roto").mkdir()
    (tmp_path / "lora").mkdir()
    others = [tmp_path / name for name in ("roto/roto.1002.exr", "hold.png", "lora/adapter_model.safetensors")]
    config, stray = tmp_path / "lora" / "adapter_config.json", tmp_path / "lora" / "notes.txt"
    for path in (*others, config, stray):
        path.write_bytes(path.name.encode())
    asked = Request(
        "decompose",
        plate=request.plate,
        first_frame=1002,
        last_frame=1003,
        guide=f"{tmp_path}/roto/roto.####.exr:A",
        holdout=str(others[1]),
        lora=(f"{others[2]}:0.5",),
        output=request.output,
    )
    job = elsewhere.client.submit(asked)
    assert job.request == asked
    assert_there(elsewhere, *plate_of(request)[1:], *others, config)
    assert not elsewhere.file(plate_of(request)[0]).exists() and not elsewhere.file(stray).exists()


def test_a_folder_goes_there_without_what_is_no_picture(elsewhere, tmp_path):
    request = write_plate(tmp_path / "shot", 1000)
    for name in ("notes.txt", ".plate.1002.exr", "plate.1003.PNG"):
        (tmp_path / "shot" / name).write_bytes(b"x")
    elsewhere.client.submit(Request("decompose", plate=str(tmp_path / "shot"), output=request.output))
    there = elsewhere.file(tmp_path / "shot")
    assert sorted(path.name for path in there.iterdir()) == ["plate.1001.exr", "plate.1003.PNG"]


def test_a_frame_that_is_gone_here_goes_there_too(elsewhere, tmp_path):
    request = write_plate(tmp_path / "shot", 1000, 1000, 1000)
    elsewhere.client.submit(request)
    plate_of(request)[2].unlink()
    (tmp_path / "shot" / "plate.1001.exr").with_name("other.1001.exr").write_bytes(b"of another sequence")
    elsewhere.client.submit(request)
    assert sorted(path.name for path in elsewhere.file(tmp_path / "shot").iterdir()) == [
        "plate.1001.exr",
        "plate.1002.exr",
    ]


@pytest.mark.parametrize("field", ["plate", "guide", "lora"])
def test_what_is_not_here_is_one_sentence(elsewhere, tmp_path, field):
    request = write_plate(tmp_path / "shot", 1000)
    value = str(tmp_path / "none.####.exr")
    values = {**request.to_dict(), field: (str(tmp_path / "x.safetensors"),) if field == "lora" else value}
    with pytest.raises(errors.LocalFile, match="check its name"):
        elsewhere.client.submit(Request.from_dict(values))
    assert not elsewhere.client.list()


@pytest.mark.parametrize("name", ["plate.1002.cafe\u0301.exr", "plate\\1002.exr"])
def test_a_file_that_has_no_name_elsewhere_is_said_before_anything_is_sent(elsewhere, tmp_path, name):
    request = write_plate(tmp_path / "shot", MIB)
    (tmp_path / "shot" / name).write_bytes(b"a frame")
    with pytest.raises(errors.LocalFile, match=re.escape(name)):
        elsewhere.client.submit(Request("decompose", plate=str(tmp_path / "shot"), output=request.output))
    assert elsewhere.link.sent < 10 * KIB and not elsewhere.file(plate_of(request)[0]).exists()


def test_frames_that_are_in_the_way_are_said_before_anything_is_sent(elsewhere, tmp_path):
    request = write_plate(tmp_path / "shot", MIB)
    (tmp_path / "shot" / "out").mkdir()
    (tmp_path / "shot" / "out" / "dog.1001.exr").write_bytes(b"mine")
    with pytest.raises(errors.LocalFile, match="already there"):
        elsewhere.client.submit(request)
    assert not elsewhere.link.sent
    assert elsewhere.client.submit(request, overwrite=True).overwrite


def test_a_full_space_says_so(tmp_path):
    with served_elsewhere(tmp_path, space_bytes=MIB) as elsewhere:
        with pytest.raises(errors.Refused, match="delete plates") as refusal:
            elsewhere.client.submit(write_plate(tmp_path / "shot", MIB // 2, MIB))
        assert refusal.value.status == 413 and not elsewhere.client.list()


def test_cancelled_while_it_goes_there_what_came_is_kept(elsewhere, tmp_path):
    request, told = write_plate(tmp_path / "shot", 9 * MIB), []

    def stopped() -> bool:
        return any(each.bytes_done >= 4 * MIB for each in told)

    with pytest.raises(errors.Stopped):
        elsewhere.client.submit(request, on_transfer=told.append, stopped=stopped)
    assert not elsewhere.client.list()
    sent = elsewhere.link.sent
    elsewhere.client.submit(request)
    assert_there(elsewhere, *plate_of(request))
    assert elsewhere.link.sent - sent < 6 * MIB


def test_a_file_that_is_written_to_meanwhile_is_no_plate(elsewhere, tmp_path):
    request = write_plate(tmp_path / "shot", 9 * MIB)

    def write_on(transfer: Transfer) -> None:
        with plate_of(request)[0].open("ab") as file:
            file.write(b"more")

    with pytest.raises(errors.LocalFile, match="wait until it is whole"):
        elsewhere.client.submit(request, on_transfer=write_on)
    assert not elsewhere.client.list()


def flipped_once(at: int):
    """Turns one bit of the byte at a place of all that passes."""
    seen, done = [0], [False]

    def spoil(piece: bytes) -> bytes:
        start, seen[0] = seen[0], seen[0] + len(piece)
        if not done[0] and start <= at < seen[0]:
            done[0] = True
            return piece[: at - start] + bytes([piece[at - start] ^ 1]) + piece[at - start + 1 :]
        return piece

    return spoil, done


def test_a_bit_that_is_flipped_on_the_way_there_is_sent_again(tmp_path):
    spoil, done = flipped_once(2 * MIB)
    with served_elsewhere(tmp_path, spoils=spoil) as elsewhere:
        request = write_plate(tmp_path / "shot", 5 * MIB)
        elsewhere.client.submit(request)
        assert done[0] and elsewhere.link.sent > 8 * MIB
        assert_there(elsewhere, *plate_of(request))


def test_a_bit_that_is_flipped_on_the_way_back_is_fetched_again(tmp_path):
    spoil, done = flipped_once(2 * MIB)
    with served_elsewhere(tmp_path, spoils_back=spoil) as elsewhere:
        request = write_plate(tmp_path / "shot", 1000)
        job = elsewhere.client.submit(request)
        made = frames(request, 5 * MIB)
        elsewhere.make(job, made)
        elsewhere.client.fetch(job.id)
        assert done[0] and 8 * MIB < elsewhere.link.came < 9.5 * MIB  # the piece, not the file
        assert_here(made)


def assert_here(made: dict[Path, bytes]) -> None:
    for path, content in made.items():
        assert path.read_bytes() == content, path
    assert not [path for path in next(iter(made)).parent.iterdir() if path.name.endswith(".part")]


def done_job(elsewhere: Elsewhere, tmp_path: Path, *sizes: int, **options: bool) -> tuple[Job, dict[Path, bytes]]:
    request = write_plate(tmp_path / "shot", 1000)
    job = elsewhere.client.submit(request, **options)
    made = frames(request, *sizes)
    elsewhere.make(job, made)
    return job, made


def test_what_a_job_made_comes_back(elsewhere, tmp_path):
    job, made = done_job(elsewhere, tmp_path, 9 * MIB, 0, 100)
    told: list[Transfer] = []
    assert elsewhere.client.fetch(job.id, told.append) == [*map(str, made)]
    assert_here(made)
    assert told[0].verb == "downloading" and told[-1] == Transfer("downloading", 3, 3, 9 * MIB + 100, 9 * MIB + 100)
    result = elsewhere.client.get(job.id).result
    assert result is not None and result["frames"] == [*map(str, made)]
    path, *_ = [event.data["path"] for event in elsewhere.client.events(job.id) if event.kind == "frame"]
    assert path == str(next(iter(made)))


def test_what_is_here_does_not_come_twice(elsewhere, tmp_path):
    job, made = done_job(elsewhere, tmp_path, MIB, MIB)
    elsewhere.client.fetch(job.id)
    next(iter(made)).unlink()
    came = elsewhere.link.came
    elsewhere.client.fetch(job.id)
    assert MIB < elsewhere.link.came - came < 1.5 * MIB
    assert_here(made)


def test_results_are_no_inputs_to_be_sent(elsewhere, tmp_path):
    job, _ = done_job(elsewhere, tmp_path, MIB)
    elsewhere.client.fetch(job.id)
    sent = elsewhere.link.sent
    elsewhere.client.submit(Request("decompose", plate=job.request.output, output=str(tmp_path / "b.%04d.exr")))
    assert elsewhere.link.sent - sent < 100 * KIB


def test_fetching_goes_on_where_it_was_stopped(elsewhere, tmp_path):
    job, made = done_job(elsewhere, tmp_path, 9 * MIB)
    told: list[Transfer] = []
    with pytest.raises(errors.Stopped):
        elsewhere.client.fetch(job.id, told.append, lambda: any(each.bytes_done >= 4 * MIB for each in told))
    assert not any(path.exists() for path in made)
    came = elsewhere.link.came
    elsewhere.client.fetch(job.id)
    assert elsewhere.link.came - came < 6 * MIB
    assert_here(made)


def test_what_was_damaged_on_this_disk_is_fetched_again(elsewhere, tmp_path):
    job, made = done_job(elsewhere, tmp_path, 9 * MIB)
    told: list[Transfer] = []
    with pytest.raises(errors.Stopped):
        elsewhere.client.fetch(job.id, told.append, lambda: any(each.bytes_done >= 4 * MIB for each in told))
    (part,) = next(iter(made)).parent.glob(".*.part")
    content = bytearray(part.read_bytes())
    content[1000] ^= 1
    part.write_bytes(content)
    elsewhere.client.fetch(job.id)
    assert_here(made)


def test_a_file_of_somebody_else_is_not_written_over(elsewhere, tmp_path):
    job, made = done_job(elsewhere, tmp_path, 100, 100)
    second = [*made][1]
    second.parent.mkdir()
    second.write_bytes(b"mine")
    with pytest.raises(errors.LocalFile, match="move it away"):
        elsewhere.client.fetch(job.id)
    assert second.read_bytes() == b"mine" and not next(iter(made)).exists()


def test_a_job_that_replaces_frames_replaces_them_here(elsewhere, tmp_path):
    (tmp_path / "shot" / "out").mkdir(parents=True)
    (tmp_path / "shot" / "out" / "dog.1001.exr").write_bytes(b"the old one")
    job, made = done_job(elsewhere, tmp_path, 100, overwrite=True)
    elsewhere.client.fetch(job.id)
    assert_here(made)


def test_frames_that_were_removed_here_can_be_asked_for_again(elsewhere, tmp_path):
    job, made = done_job(elsewhere, tmp_path, 100)
    elsewhere.client.fetch(job.id)
    shutil.rmtree(next(iter(made)).parent)
    elsewhere.client.submit(job.request)
    assert not elsewhere.file(next(iter(made))).exists()


def test_a_job_that_is_not_done_has_nothing_to_fetch(elsewhere, tmp_path):
    job = elsewhere.client.submit(write_plate(tmp_path / "shot", 10))
    with pytest.raises(errors.Conflict, match="no files yet"):
        elsewhere.client.fetch(job.id)


def test_a_full_disk_or_a_closed_folder_is_one_sentence(elsewhere, tmp_path):
    job, _ = done_job(elsewhere, tmp_path, 100)
    (tmp_path / "shot" / "out").write_bytes(b"a file where the folder should be")
    with pytest.raises(errors.LocalFile, match="see to the file"):
        elsewhere.client.fetch(job.id)


@pytest.mark.parametrize(
    "name", ["../../etc/cron.exr", "shot/out/other.1001.exr", "shot/out/dog.1001.sh", "dog.1001.exr"]
)
def test_a_server_cannot_have_files_written_elsewhere(elsewhere, tmp_path, monkeypatch, name):
    job, _ = done_job(elsewhere, tmp_path, 100)
    files = [elsewhere.file(tmp_path / name)]
    files[0].parent.mkdir(parents=True, exist_ok=True)
    files[0].write_bytes(b"evil")
    monkeypatch.setattr("layerflow.server.routes.files.files_of", lambda result: map(str, files))
    with pytest.raises(errors.ServerError):
        elsewhere.client.fetch(job.id)
    assert not (tmp_path / name).exists()


def test_a_link_that_drops_every_100_kb(tmp_path):
    limits = Limits(chunk_patience_s=10.0)
    with served_elsewhere(tmp_path, drops_after=100_000, limits=limits) as elsewhere:
        request = write_plate(tmp_path / "shot", *[400 * KIB] * 4)
        job = elsewhere.client.submit(request)
        assert_there(elsewhere, *plate_of(request))
        up, sent = elsewhere.link.drops, elsewhere.link.sent
        made = frames(request, *[400 * KIB] * 4)
        elsewhere.make(job, made)
        elsewhere.client.fetch(job.id)
        assert_here(made)
        assert up >= 15 and elsewhere.link.drops - up >= 15
        assert sent < 2.5 * 1600 * KIB and elsewhere.link.came < 3 * 1600 * KIB


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_server_that_is_away_for_a_while(elsewhere, tmp_path, way):
    request, tries = write_plate(tmp_path / "shot", 9 * MIB if way == "there" else 9), []
    job = elsewhere.client.submit(request) if way == "back" else None
    made = frames(request, 9 * MIB)
    if job is not None:
        elsewhere.make(job, made)

    def break_off(piece: bytes) -> bytes:
        if not tries and elsewhere.link.sent + elsewhere.link.came > 6 * MIB:  # in the middle of a chunk
            elsewhere.link.is_down = True
            tries.append(threading.Timer(0.5, setattr, (elsewhere.link, "is_down", False)))
            tries[0].start()
            raise ConnectionResetError
        return piece

    elsewhere.link.spoils = elsewhere.link.spoils_back = break_off
    if job is None:
        elsewhere.client.submit(request)
        assert_there(elsewhere, *plate_of(request))
    else:
        elsewhere.client.fetch(job.id)
        assert_here(made)
    assert tries and elsewhere.link.sent + elsewhere.link.came < 14 * MIB


def test_a_server_that_stays_away_ends_it(elsewhere, tmp_path, monkeypatch):
    monkeypatch.setattr(line, "PATIENCE_S", 0.2)
    request = write_plate(tmp_path / "shot", 9 * MIB)

    def cut(transfer: Transfer) -> None:
        elsewhere.link.drops_after = 0

    with pytest.raises(errors.ServerError):
        elsewhere.client.submit(request, on_transfer=cut)


def test_digests_are_read_once_and_again_when_a_file_changes(tmp_path):
    digests, path = Digests(), tmp_path / "a.exr"
    path.write_bytes(b"one")
    os.utime(path, ns=(0, 10**9))
    reads: list[int] = []
    first = digests.of(str(path), lambda: reads.append(1))
    assert Digests().of(str(path), lambda: reads.append(1)) == first and len(reads) == 1
    path.write_bytes(b"two")
    assert digests.of(str(path)).sha256 != first.sha256
    fresh = digests.of(str(path), lambda: reads.append(1))  # that may still change and keep its time
    assert len(reads) == 2 and fresh.sha256 == digests.of(str(path)).sha256


def test_damaged_knowledge_is_begun_anew(tmp_path):
    path, known = tmp_path / "a.exr", tmp_path / "known.sqlite"
    path.write_bytes(b"one")
    before = Digests(known).of(str(path))
    known.write_bytes(b"no database at all" * 1000)
    assert Digests(known).of(str(path)) == before


def test_a_refusal_names_files_as_they_are_called_here():
    server = RemoteServer("https://gpu1.studio", "token", "ann", "posix-ws7-0f3a")
    said = {"message": "space:posix-ws7-0f3a/shots/dog.exr cannot be read; render it again", "kind": "PlateError"}
    refused = HTTPResponse(SimpleNamespace(makefile=lambda mode: io.BytesIO(b"HTTP/1.1 422 No\r\n\r\n")))  # type: ignore[arg-type]
    refused.begin()
    with pytest.raises(errors.Refused, match=re.escape("/shots/dog.exr cannot be read; render it again")) as caught:
        good_answer(server, refused, json.dumps({"error": said}).encode())
    assert "space:" not in str(caught.value)
