"""What may become a job, before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from guarded import make_service

from layerflow.errors import RequestError
from layerflow.server.acceptance import accepted
from layerflow.server.errors import OutsideError
from layerflow.server.service import Service
from layerflow.server.settings import Limits
from layerflow.wire import Request

LIMITS = Limits(prompt_characters=100, frames=50, pixels=512 * 512)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def service(root: Path) -> Service:
    return make_service(root.parent, roots=(root.resolve(),), limits=LIMITS)


def decompose(root: Path, **changes: object) -> Request:
    values = {"plate": f"{root}/dog.####.exr", "output": f"{root}/out.%04d.exr", **changes}
    return Request("decompose", **values)  # type: ignore[arg-type]


def generate(root: Path, **changes: object) -> Request:
    return Request("generate", foreground="a", background="b", output=f"{root}/out.%04d.exr", **changes)  # type: ignore[arg-type]


def test_a_request_within_all_limits_is_taken_as_it_is(service: Service, root: Path) -> None:
    for request in (
        decompose(root, foreground="犬" * 100, first_frame=1, last_frame=50, colorspace="Linear Rec.709 (sRGB)"),
        decompose(root, model="cogvideox-2b/decompose", device="cuda:1", backend="torch-tensorrt"),
        decompose(root, model=f"{root}/models/mine", lora=(f"{root}/dog.safetensors:0.5", f"{root}/dog: 2")),
        generate(root, width=512, height=512, num_frames=50),
    ):
        assert accepted(request, service) is request


@pytest.mark.parametrize("name", ["plate", "output", "model", "lora", "guide", "holdout"])
@pytest.mark.parametrize(
    "text", ["/etc/dog.%04d.exr", "{root}/../dog.%04d.exr", "sub/sub/dog.%04d.exr", "{root}/link/a.%04d.exr"]
)
def test_faults_6_and_7_every_path_is_confined(service: Service, root: Path, name: str, text: str) -> None:
    (root / "link").symlink_to("/etc")
    path = text.format(root=root)
    with pytest.raises(RequestError, match="; ") as refusal:
        accepted(decompose(root, **{name: (f"{path}:0.5",) if name == "lora" else path}), service)
    assert isinstance(refusal.value, OutsideError) == (text[0] == "/" or "link" in text)


@pytest.mark.parametrize("address", ["http://evil.com/dog.mov", "file:///etc/passwd", "s3://x/dog.exr", "hf://x/y"])
def test_fault_25_an_address_is_no_file_and_no_model(service: Service, root: Path, address: str) -> None:
    with pytest.raises(ValueError, match="; download it first"):
        decompose(root, plate=address)
    with pytest.raises(ValueError, match="; download it first"):
        decompose(root, lora=(address,))
    with pytest.raises(RequestError, match="; give a name or a whole path"):
        accepted(decompose(root, model=address), service)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "../mini"),
        ("model", "a/b/c"),
        ("model", r"\\evil.com\share"),
        ("model", "mini; rm -rf ~"),
        ("model", "$(id)"),
        ("model", "x" * 201),
        ("device", "cuda:0; reboot"),
        ("device", "meta:x"),
        ("device", "CUDA"),
        ("backend", "os:system"),
        ("backend", "../backend"),
        ("backend", "-flag"),
        ("colorspace", "x" * 201),
        ("output_colorspace", "x" * 201),
    ],
)
def test_fault_21_names_are_plain_and_short(service: Service, root: Path, name: str, value: str) -> None:
    with pytest.raises(RequestError) as refusal:
        accepted(decompose(root, **{name: value}), service)
    assert name in str(refusal.value) and ";" in str(refusal.value)


def test_fault_21_a_prompt_is_text_whatever_it_says(service: Service, root: Path) -> None:
    for prompt in ("$(reboot); `id` | sh && 'x' \"y\" \\", "كلب أحمر", "dog\nin the garden"):
        assert accepted(decompose(root, foreground=prompt), service).foreground == prompt


@pytest.mark.parametrize("name", ["foreground", "background", "blended"])
def test_fault_21_a_prompt_has_a_length(service: Service, root: Path, name: str) -> None:
    with pytest.raises(RequestError, match=f"the {name} prompt has 101 characters; 100 at most, shorten it"):
        accepted(decompose(root, **{name: "x" * 101}), service)


@pytest.mark.parametrize("frames", [{"first_frame": 1, "last_frame": 51}, {"first_frame": 0, "last_frame": 10**11}])
def test_fault_14_frames_are_counted_before_they_are_made(service: Service, root: Path, frames: dict[str, int]) -> None:
    with pytest.raises(RequestError, match="frames are more than one job may have, 50; make several"):
        accepted(decompose(root, **frames), service)


def test_fault_14_so_are_those_to_generate_and_their_pixels(service: Service, root: Path) -> None:
    with pytest.raises(RequestError, match="51 frames are more"):
        accepted(generate(root, num_frames=51), service)
    with pytest.raises(RequestError, match="528x512 is more than 262144 pixels; choose"):
        accepted(generate(root, width=528, height=512), service)


def test_fault_14_loras_are_counted(service: Service, root: Path) -> None:
    with pytest.raises(RequestError, match="17 LoRAs are more than 16; leave some out"):
        accepted(decompose(root, lora=tuple(f"{root}/{number}.safetensors" for number in range(17))), service)
