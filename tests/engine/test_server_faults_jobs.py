"""What bad files and odd plates become as jobs of a real server: a sentence, or whole frames, by one worker.

The numbers are those of the catalogue of faults in docs/server.md.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import torch
from bad_plates import BAD_PLATES
from pictures import gradient, write_image, write_sequence
from server_process import Served, own_folder, serving

from layerflow.wire import Job
from layerflow.wire.errors import Refused
from layerflow.wire.transport import Question, ask

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def served(home: Path, tiny_model: Path) -> Iterator[Served]:
    """One server for all of these, whose one worker has to outlive them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFLOW_RUNTIME", str(home / "runtime"))
        patch.setenv("LAYERFLOW_SERVER", str(home / "server"))
        with serving("--root", str(home), "--root", str(tiny_model)) as served:
            yield served


@pytest.fixture(scope="module")
def queue(home: Path, served: Served, tiny_model: Path) -> Queue:
    return Queue(home, served, tiny_model)


class Queue:
    """Jobs of that server, as any program may ask for them: nothing is checked on this side."""

    def __init__(self, home: Path, served: Served, model: Path) -> None:
        self.home, self.served, self.model = home, served, model
        self.count = 0

    def __call__(self, task: str = "decompose", **request: Any) -> Job:
        """The job once it is over. Raises Refused."""
        self.count += 1
        output = str(self.home / "out" / str(self.count) / "dog.%04d.exr")
        body = {"request": {"task": task, "model": str(self.model), "output": output, "steps": 2, **request}}
        answer = ask(self.served.server, Question("POST", "/v1/jobs", body=body), 30.0)
        return self.served.client.wait(Job.from_dict(answer.json()).id, timeout_s=100)

    def folder(self, name: str) -> Path:
        """A folder for plates."""
        path = self.home / "in" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def frames_of(self, job: Job) -> list[Path]:
        """What is there of the job, and nothing else is."""
        folder = Path(job.request.output).parent
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        assert [path.name for path in found] == [path.name for path in found if not path.name.startswith(".")]
        return found


def is_told(sentence: str) -> bool:
    """Whether that is for an artist: one line, and nothing of the inside."""
    inside = re.search(r"Traceback|layerflow\.\w|\.py\b|site-packages|0x[0-9a-f]{6}|sqlite", sentence)
    return bool(sentence) and "\n" not in sentence and len(sentence) < 1000 and not inside


@pytest.mark.parametrize("name", BAD_PLATES)
def test_faults_11_to_14_22_and_25_a_bad_plate_is_one_sentence(queue: Queue, name: str) -> None:
    bad = BAD_PLATES[name]
    folder = queue.folder(name)
    options = {key: float(value) if key == "fps" else value for key, value in bad.options.items()}  # type: ignore[arg-type]
    try:
        job = queue(plate=bad.build(folder), **options)
    except Refused as refusal:
        assert refusal.status in (400, 403, 422) and is_told(str(refusal))
        return
    assert job.state == "failed" and job.attempts == 1 and is_told(job.message)
    assert re.search(bad.sentence, job.message)
    assert queue.frames_of(job) == []


class Touches:
    """What a pickle of it does to whoever opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def clean_plate(queue: Queue) -> str:
    return write_sequence(queue.folder("clean"), count=1)


def evil_lora(queue: Queue, name: str) -> str:
    path = queue.home / name
    path.write_bytes(pickle.dumps(Touches(queue.home / "touched")))
    return str(path)


@pytest.mark.parametrize("name", ["lora.bin", "lora.pt", "lora.ckpt", "lora.safetensors"])
def test_fault_9_a_pickle_is_not_opened_whatever_it_is_called(queue: Queue, name: str) -> None:
    job = queue(plate=clean_plate(queue), lora=[evil_lora(queue, name)])
    assert job.state == "failed" and is_told(job.message)
    assert not (queue.home / "touched").exists()


@pytest.mark.parametrize("kind", ["a zip that leads out", "a pickle", "a folder of a pickle", "nothing"])
def test_faults_8_and_9_a_model_is_a_folder_of_plain_files(queue: Queue, kind: str) -> None:
    path = queue.home / "models" / kind.replace(" ", "-")
    path.parent.mkdir(exist_ok=True)
    if kind == "a zip that leads out":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../touched", "out")
    elif kind == "a pickle":
        torch.save({"x": Touches(queue.home / "touched")}, path)
    elif kind == "a folder of a pickle":
        path.mkdir()
        torch.save({"x": Touches(queue.home / "touched")}, path / "pytorch_model.bin")
    job = queue(plate=clean_plate(queue), model=str(path))
    assert job.state == "failed" and is_told(job.message)
    assert not list(queue.home.rglob("touched"))


def header(size: int, text: bytes) -> bytes:
    return size.to_bytes(8, "little") + text


MANY = json.dumps({f"t{i}": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for i in range(100_000)}).encode()


@pytest.mark.parametrize(
    "content",
    [
        header(2**62, b"{}"),
        header(2**40, b"{" * 100),
        header(len(MANY), MANY + b"\0" * 4),
        header(2, b"{}"),
        b"",
        header(60, b'{"a":{"dtype":"F32","shape":[999999999],"data_offsets":[0,4]}}'[:60]),
    ],
    ids=["a header of 4 EiB", "a header of 1 TiB", "100,000 tensors in one place", "no tensors", "empty", "cut short"],
)
def test_fault_10_weights_with_a_false_header(queue: Queue, content: bytes) -> None:
    path = queue.home / "false.safetensors"
    path.write_bytes(content)
    job = queue(plate=clean_plate(queue), lora=[str(path)])
    assert job.state == "failed" and is_told(job.message)


def test_fault_16_pixels_that_are_no_numbers_are_repaired_and_told_of(queue: Queue) -> None:
    pixels = gradient(32, 48)
    pixels[4, 4], pixels[5, 5], pixels[6, 6] = np.nan, np.inf, -3.0
    plate = write_image(queue.folder("nan") / "dog.0001.exr", pixels, "float")
    job = queue(plate=str(plate))
    assert job.state == "done" and job.warnings and all(map(is_told, job.warnings))
    (frame,) = queue.frames_of(job)
    channels = OpenEXR.File(str(frame)).channels()
    assert all(np.isfinite(channel.pixels).all() for channel in channels.values())


@pytest.mark.parametrize(("height", "width", "aspect"), [(17, 31, 1.0), (1, 1, 1.0), (33, 47, 2.0)])
def test_fault_23_odd_sizes_and_windows_come_back_as_they_went(
    queue: Queue, height: int, width: int, aspect: float
) -> None:
    full = (0, 0, width + 6, height + 4)
    folder = queue.folder(f"odd-{height}x{width}")
    attributes = {"PixelAspectRatio": aspect, "oiio:ColorSpace": "ACEScg"}
    plate = write_image(folder / "dog.0001.exr", gradient(height, width), full=full, origin=(2, 3), **attributes)
    job = queue(plate=str(plate))
    assert job.state == "done", job.message
    (frame,) = queue.frames_of(job)
    was, made = (OpenEXR.File(str(path)).header() for path in (plate, frame))
    for name in ("displayWindow", "pixelAspectRatio"):
        assert np.array_equal(made[name], was[name])


def test_fault_24_what_a_file_says_of_its_alpha_counts(queue: Queue) -> None:
    """A premultiplied foreground and the same one straight give the same frames."""
    straight = gradient(32, 48, 4)
    straight[..., 3] = np.linspace(0.25, 1.0, 48, dtype=np.float32)
    flat = straight.copy()
    flat[..., :3] *= straight[..., 3:]
    made = []
    for name, pixels in (("straight", straight), ("premultiplied", flat)):
        attributes = {"layerflow:alphaMode": name, "oiio:ColorSpace": "ACEScg"}
        plate = write_image(queue.folder(name) / "dog.0001.exr", pixels, "float", **attributes)
        job = queue("background", plate=str(plate), background="a beach")
        assert job.state == "done", job.message
        (frame,) = queue.frames_of(job)
        made.append(OpenEXR.File(str(frame)).channels()["foreground"].pixels)
    np.testing.assert_allclose(made[0], made[1], atol=2e-3)


def test_faults_12_and_18_the_worker_that_met_all_of_these_is_the_first_one(queue: Queue) -> None:
    job = queue(plate=write_sequence(queue.folder("good"), count=3))
    assert job.state == "done" and len(queue.frames_of(job)) == 3
    metrics = ask(queue.served.server, Question("GET", "/metrics"), 30.0).body.decode()
    assert re.search(r"restarts\S* 0\.0", metrics), metrics
    assert "ERROR" not in own_folder().log.read_text()
