"""Files of a user's space over a real socket: up and down in chunks, whole or not there, and nobody else's."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import make_service, serving
from spacious import MIB, PLATE, UserCaller, add_user, offset_of

from layerflow.server import digests
from layerflow.server.service import Service
from layerflow.server.settings import Limits
from layerflow.server.space_files import PART
from layerflow.server.uploads import drop_old
from layerflow.wire.space_names import SPACE

CONTENT = random.Random(7).randbytes(3 * MIB + 5)
EMPTY = b""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = make_service(tmp_path_factory.mktemp("server"), limits=Limits(chunk_bytes=MIB))
    with serving(service):
        yield service


@pytest.fixture
def ann(service: Service) -> UserCaller:
    return new_user(service)


def new_user(service: Service, **limits: int) -> UserCaller:
    return add_user(service, f"user{len(service.users.all())}", **limits)


def parts_of(ann: UserCaller) -> list[Path]:
    return [path for path in ann.space.folder.rglob("*") if PART.fullmatch(path.name)]


def files_of(ann: UserCaller) -> dict[str, bytes]:
    return {
        path.relative_to(ann.space.folder).as_posix(): path.read_bytes()
        for path in ann.space.folder.rglob("*")
        if path.is_file()
    }


def test_a_file_goes_up_in_chunks_and_comes_down_in_pieces(ann: UserCaller) -> None:
    begun = ann.begin(CONTENT, modified_ns=1_700_000_000_123_456_789)
    assert (begun.status, offset_of(begun)) == (201, 0)
    for offset in range(0, len(CONTENT), MIB):
        answer = ann.send(offset, CONTENT[offset : offset + MIB])
        assert (answer.status, offset_of(answer)) == (200, min(offset + MIB, len(CONTENT)))
    assert files_of(ann) == {PLATE: CONTENT}
    assert (ann.space.folder / PLATE).stat().st_mtime_ns == 1_700_000_000_123_456_789

    whole = digests.written_of(CONTENT)
    head = ann.ask("HEAD", f"/v1/files/{PLATE}")
    assert (head.headers["repr-digest"], head.headers["content-length"]) == (whole, str(len(CONTENT)))
    came = b""
    while len(came) < len(CONTENT):
        piece = ann.ask("GET", f"/v1/files/{PLATE}", range=f"bytes={len(came)}-{len(came) + 2 * MIB}")
        span = f"bytes {len(came)}-{len(came) + len(piece.body) - 1}/{len(CONTENT)}"
        assert (piece.status, piece.headers["content-range"]) == (206, span) and len(piece.body) <= MIB
        assert piece.headers["content-digest"] == digests.written_of(piece.body)
        assert piece.headers["repr-digest"] == whole
        came += piece.body
    assert came == CONTENT == ann.ask("GET", f"/v1/files/{PLATE}").body


def test_an_upload_goes_on_where_it_broke_off(ann: UserCaller) -> None:
    ann.begin(CONTENT)
    ann.send(0, CONTENT[:MIB])
    with ann.connect() as connection:  # goes away in the middle of the second chunk
        connection.sendall(
            ann.head(
                "PATCH",
                f"/v1/files/{PLATE}",
                CONTENT[MIB : 2 * MIB],
                content_type="application/offset+octet-stream",
                upload_offset=str(MIB),
                content_digest=digests.written_of(CONTENT[MIB : 2 * MIB]),
            )
            + CONTENT[MIB : MIB + 1000]
        )
    assert not (ann.space.folder / PLATE).exists()
    again = ann.begin(CONTENT)
    assert (again.status, offset_of(again)) == (201, MIB)
    stale = ann.send(0, CONTENT[:MIB])
    assert (stale.status, stale.kind, offset_of(stale)) == (409, "UploadError", MIB)
    for offset in range(MIB, len(CONTENT), MIB):
        assert ann.send(offset, CONTENT[offset : offset + MIB]).status == 200
    assert files_of(ann) == {PLATE: CONTENT}


def test_what_the_space_has_is_not_sent_again(ann: UserCaller) -> None:
    ann.upload(CONTENT[:MIB])
    again, other = ann.begin(CONTENT[:MIB]), ann.begin(CONTENT[:MIB], "posix-ws7/shots/cat/plate.1001.exr")
    assert [(each.status, offset_of(each)) for each in (again, other)] == [(200, MIB)] * 2
    assert list(files_of(ann).values()) == [CONTENT[:MIB]] * 2 and not parts_of(ann)
    (ann.space.folder / PLATE).write_bytes(b"x" * MIB)  # no longer what was written down
    assert ann.begin(CONTENT[:MIB]).status == 201


def test_nobody_has_what_another_user_has(service: Service, ann: UserCaller) -> None:
    bob = new_user(service)
    ann.upload(CONTENT[:MIB])
    assert bob.begin(CONTENT[:MIB]).status == 201  # it must not say what others have
    for method in ("GET", "HEAD", "DELETE"):
        assert bob.ask(method, f"/v1/files/{PLATE}").status == (204 if method == "DELETE" else 404)
    assert files_of(ann) == {PLATE: CONTENT[:MIB]} and not files_of(bob)
    assert ann.send(0, b"x").status == 404  # its own upload is over


def test_an_empty_file(ann: UserCaller) -> None:
    assert ann.begin(EMPTY).status == 200 and files_of(ann) == {PLATE: EMPTY}
    assert ann.ask("GET", f"/v1/files/{PLATE}").body == EMPTY
    assert ann.ask("GET", f"/v1/files/{PLATE}", range="bytes=0-0").status == 416


def test_a_chunk_that_is_not_what_its_digest_says_is_not_kept(ann: UserCaller) -> None:
    ann.begin(CONTENT)
    answer = ann.send(0, b"y" + CONTENT[1:MIB], content_digest=digests.written_of(CONTENT[:MIB]))
    assert (answer.status, answer.kind) == (400, "BadChecksumError")
    assert offset_of(ann.begin(CONTENT)) == 0
    for digest in ("", "md5=:AAAA:", "sha-256=AAAA", None):
        assert ann.send(0, b"y", content_digest=digest).status == 422
    assert ann.send(0, b"y", content_digest="sha-256=:AAAA:").status == 422


def test_a_file_that_is_not_what_was_said_is_dropped(ann: UserCaller) -> None:
    ann.begin(CONTENT[:MIB])
    answer = ann.send(0, b"y" * MIB)
    assert (answer.status, answer.kind, offset_of(answer)) == (409, "UploadError", 0)
    assert not files_of(ann)
    assert ann.send(0, CONTENT[:MIB]).status == 200 and files_of(ann) == {PLATE: CONTENT[:MIB]}


def test_a_chunk_is_no_larger_than_what_is_left_and_what_may_be(ann: UserCaller) -> None:
    ann.begin(CONTENT[:10])
    over = ann.send(0, CONTENT[:11])
    assert (over.status, over.kind, offset_of(over)) == (409, "UploadError", 0)
    assert ann.send(0, CONTENT[: MIB + 1]).status == 413 and not files_of(ann)
    assert ann.send(0, b"", upload_offset="-1").status == 422
    assert ann.send(0, b"", "posix-ws7/never/begun.exr").status == 404


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_a_chunk_is_declared_as_one(ann: UserCaller, kind: str | None) -> None:
    ann.begin(CONTENT[:10])
    assert ann.send(0, CONTENT[:10], content_type=kind).status == 415
    assert ann.send(0, CONTENT[:10], origin="http://evil.com").status == 403 and not files_of(ann)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "etc/passwd",
        "..",
        "posix-ws7/../../x",
        "posix-ws7/./x",
        "posix-ws7//x",
        "posix-ws7/",
        "posix-ws7/a\\..\\b",
        "posix-ws7/a\0b",
        "posix-ws7/a\nb",
        "posix-ws7/.x.part",
        "posix-../x",
        "posix-/x",
        "C:/x",
        "posix-ws7/e\u0301",  # é in two characters
        "posix-ws7/" + "x" * 201,
        "posix-ws7" + "/x" * 1001,
        "space:posix-ws7/x",
    ],
)
def test_names_that_lead_elsewhere_or_are_none(ann: UserCaller, name: str) -> None:
    begun = ann.begin(b"x", name)
    assert begun.status == 422 and not files_of(ann), begun.body
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    for method in ("GET", "DELETE"):
        answer = ann.ask(method, f"/v1/files/{quoted}")
        assert answer.status in (400, 404) and str(ann.space.folder.parent).encode() not in answer.body
    assert ann.send(0, b"x", quoted).status in (400, 404)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH", "POST"])
def test_links_that_lead_out_are_not_followed(service: Service, ann: UserCaller, method: str, tmp_path: Path) -> None:
    (tmp_path / "secret.exr").write_bytes(b"secret")
    ann.upload(b"x", "posix-ws7/a.exr")
    (ann.space.folder / "posix-ws7/out").symlink_to(tmp_path)
    (ann.space.folder / "posix-ws7/leaf.exr").symlink_to(tmp_path / "secret.exr")
    for name in ("posix-ws7/out/secret.exr", "posix-ws7/leaf.exr", "posix-ws7/out"):
        body = {"POST": json.dumps({"name": name, "size": 1, "sha256": "0" * 64}).encode(), "PATCH": b"x"}.get(method)
        if method == "PATCH":
            answer = ann.send(0, b"x", name)
        else:
            answer = ann.ask(method, "/v1/files" if method == "POST" else f"/v1/files/{name}", body)
        assert (answer.status, answer.kind) == (403, "OutsideError"), answer.body
        assert str(tmp_path).encode() not in answer.body and b"server" not in answer.body
    assert (tmp_path / "secret.exr").read_bytes() == b"secret" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_goes_with_all_below_it_and_what_is_on_its_way(ann: UserCaller) -> None:
    ann.upload(b"x", "posix-ws7/shots/dog/a.exr")
    ann.upload(b"y", "posix-ws7/shots/dogs.exr")
    ann.begin(CONTENT, "posix-ws7/shots/dog/b.exr")
    ann.send(0, CONTENT[:10], "posix-ws7/shots/dog/b.exr")
    assert ann.ask("DELETE", "/v1/files/posix-ws7/shots/dog").status == 204
    assert ann.ask("DELETE", "/v1/files/posix-ws7/shots/dog").status == 404
    assert files_of(ann) == {"posix-ws7/shots/dogs.exr": b"y"} and used(ann) == (1, 1)


def used(ann: UserCaller) -> tuple[int, int]:
    told = json.loads(ann.ask("GET", "/v1/space").body)
    return told["used_bytes"], told["files"]


def test_what_is_declared_counts_and_more_than_may_be_is_refused(service: Service) -> None:
    ann = new_user(service, space_bytes=3 * MIB)
    assert ann.begin(CONTENT[: 2 * MIB]).status == 201 and used(ann) == (2 * MIB, 0)
    full = ann.begin(CONTENT[MIB:], "posix-ws7/b.exr")
    assert (full.status, full.kind) == (413, "SpaceFullError")
    assert "2.10e-03" not in full.message and "may hold" in full.message and "; delete" in full.message
    assert ann.begin(CONTENT[: 2 * MIB]).status == 201  # the same once more is not twice
    assert ann.begin(CONTENT[:MIB], "posix-ws7/b.exr").status == 201
    ann.ask("DELETE", f"/v1/files/{PLATE}")
    assert used(ann) == (MIB, 0) and ann.begin(CONTENT[: 2 * MIB]).status == 201


def test_what_jobs_write_counts(service: Service) -> None:
    ann = new_user(service, space_bytes=MIB)
    ann.upload(b"x")
    (ann.space.folder / "posix-ws7/out.exr").write_bytes(b"y" * (MIB - 1))
    assert used(ann) == (MIB, 2) and ann.begin(b"z", "posix-ws7/z.exr").kind == "SpaceFullError"
    (ann.space.folder / "posix-ws7/out.exr").unlink()
    assert used(ann) == (1, 1)


def test_of_many_uploads_at_once_only_those_that_fit_begin(service: Service) -> None:
    ann = new_user(service, space_bytes=3 * MIB)
    statuses: list[int] = []

    def begin(number: int) -> None:
        statuses.append(ann.begin(CONTENT[number : MIB + number], f"posix-ws7/{number}.exr").status)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] * 3 + [413] * 9 and used(ann) == (3 * MIB, 0)


def test_of_many_chunks_for_one_place_one_is_kept(ann: UserCaller) -> None:
    ann.begin(CONTENT)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ann.send(0, CONTENT[:MIB]).status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7 and offset_of(ann.begin(CONTENT)) == MIB


def test_uploads_that_do_not_go_on_are_dropped(service: Service, ann: UserCaller) -> None:
    ann.begin(CONTENT)
    ann.send(0, CONTENT[:MIB])
    drop_old(service.ledger, service.spaces, before=0)
    assert parts_of(ann)
    drop_old(service.ledger, service.spaces, before=2**40)
    assert not parts_of(ann) and used(ann) == (0, 0) and offset_of(ann.begin(CONTENT)) == 0


def test_a_file_where_a_folder_is_and_the_other_way_round(ann: UserCaller) -> None:
    ann.upload(b"x", "posix-ws7/a")
    ann.begin(b"y", "posix-ws7/a/b")
    below, above = ann.send(0, b"y", "posix-ws7/a/b"), ann.begin(b"z", "posix-ws7")
    assert below.status == 507 and str(ann.space.folder) not in below.message, below.body
    assert above.status == 201 and ann.send(0, b"z", "posix-ws7").status == 507
    assert SPACE in below.message and files_of(ann)["posix-ws7/a"] == b"x"


def test_the_machines_own_token_has_no_space(service: Service) -> None:
    caller = UserCaller(service, service.token)
    for method, target in (("GET", "/v1/space"), ("GET", f"/v1/files/{PLATE}"), ("DELETE", f"/v1/files/{PLATE}")):
        assert (caller.ask(method, target).status, caller.ask(method, target).kind) == (403, "NoSpaceError")
