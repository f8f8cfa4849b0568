"""What LayerFlow Studio costs its event loop, how fast it plays, and what memory it takes.

    python benchmarks/desktop.py [--only NAME ...] [--stacks] [--xvfb] [--json FILE]

Starts an engine in a folder of its own and the whole window, does what an artist does, and tells for each of these
things how long the event loop was held up: the longest gap between two beats of a timer of 5 ms, the 99.9th
percentile, and how many were over 50 ms; the same of an empty app that beats beside it. `busy`: the engine's worker is
at a job all the while. Without a display it draws offscreen; --xvfb has it on a display without a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import psutil
from event_loop import Control, Gaps, Probe, control
from PySide6.QtCore import QEvent, QEventLoop, QObject, QPointF, Qt, QTimer
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from layerflow import exr
from layerflow.layers import LayerStack, PictureFormat
from layerflow.wire import Job, Request
from layerflow.wire.client import Client
from layerflow_desktop.controllers.example import take_in_example
from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models.document import Document, ShotSettings, Take
from layerflow_desktop.models.preferences import Preferences
from layerflow_desktop.models.queue_row import row_of
from layerflow_desktop.views.application import make_application
from layerflow_desktop.views.main_window import MainWindow
from layerflow_desktop.views.post import Poster

MIB, GIB = 2**20, 2**30
WIDTH, HEIGHT, FRAMES, MANY = 1920, 1080, 48, 200
SECONDS = 8.0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that was done."""

    name: str
    loop: Gaps
    empty: Gaps  # of the app beside
    notes: dict[str, float] = field(default_factory=dict)


class Painted(QObject):
    """Counts what is painted on a widget."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        self.count += event.type() == QEvent.Type.Paint
        return False


class Bench:
    """The window, and what is measured on it."""

    def __init__(self, folder: Path, frames: Path, beside: Control, stacks: bool) -> None:
        self.folder, self.frames, self._beside, self._stacks = folder, frames, beside, stacks
        self.studio = Studio(Poster())
        self.window = MainWindow(self.studio)
        self.studio.open()
        self.window.show()
        self.probe = Probe(stacks)
        self.painted = Painted(self.window.screen_.viewer.canvas)
        self.figures: list[Figure] = []
        self.until(lambda: self.studio.engine.state == "ready")

    def spin(self, seconds: float) -> None:
        """Lets the loop run."""
        loop = QEventLoop()
        QTimer.singleShot(int(1000 * seconds), loop.quit)
        loop.exec()

    def until(self, is_so: Callable[[], object], timeout_s: float = 120.0) -> None:
        """Lets the loop run until something is so."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            assert time.monotonic() < deadline, "that never came about"
            self.spin(0.02)

    @contextlib.contextmanager
    def measured(self, name: str) -> Iterator[dict[str, float]]:
        """Measures what is done within; notes can be added."""
        notes: dict[str, float] = {}
        self._beside.take()
        painted, began = self.painted.count, time.perf_counter()
        self.probe.begin()
        yield notes
        loop, empty = self.probe.take(), self._beside.take()
        notes.setdefault("painted a second", (self.painted.count - painted) / (time.perf_counter() - began))
        cache = self.studio.cache
        images = getattr(self.window.screen_.viewer.canvas, "images", None)
        notes |= {
            "frames MiB": cache.num_bytes / MIB,
            "images MiB": images.num_bytes / MIB if images is not None else 0.0,
            "limit MiB": self.studio.memory_limit_bytes / MIB,
            "RSS MiB": rss_mib(),
        }
        self.figures.append(Figure(name=name, loop=loop, empty=empty, notes=notes))
        say(self.figures[-1])
        if self._stacks:
            for text, count in self.probe.stacks.most_common(6):
                print(f"  late {count} x\n{text}", flush=True)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """The engine works at jobs meanwhile, of which the app has not asked for any."""
        client = Client.connect(start=False)
        ids = []
        for seed in range(30):
            output = str(self.folder / f"busy-{time.monotonic_ns()}" / "a.%04d.exr")
            words = {"foreground": "a dog", "background": "a garden"}
            ids.append(
                client.submit(Request("generate", output=output, num_frames=16, seed=seed, steps=50, **words)).id
            )
        self.until(lambda: any(row.state == "running" for row in self.studio.queue.rows))
        self.spin(2.0)
        yield
        for id_ in reversed(ids):
            with contextlib.suppress(Exception):
                client.cancel(id_)
        self.until(lambda: not any(row.is_active for row in self.studio.queue.rows))

    def open_layers(self, pattern: str, limit_bytes: int) -> None:
        """A new project that looks at these frames, of which nothing is in memory."""
        self.studio.playback.stop()
        for clip in list(self.studio.stage._clips.values()):
            self.studio.cache.drop(clip)
        self.studio.session.open(Document())
        self.studio.set_preferences(Preferences(cache_gib=limit_bytes / GIB))
        self.studio.open_layers(pattern)
        self.until(lambda: self.studio.stage.scene is not None and self.studio.stage.main is not None)

    def close(self) -> None:
        self.window.close_for_good()
        self.studio.close()


def idle(bench: Bench) -> None:
    with bench.measured("idle"):
        bench.spin(SECONDS)


def own_job(bench: Bench) -> None:
    """The example taken apart, its previews and frames looked at; then once more while the first result plays."""
    studio = bench.studio
    with bench.measured("a job of this window, with previews and frames coming in"):
        take_in_example(bench.studio)
        bench.until(lambda: studio.take_in_hand() is not None and studio.take_in_hand().job)
        studio.previews.watch(studio.take_in_hand().job)
        bench.until(lambda: studio.take_in_hand() is None)
    bench.spin(1)
    with bench.measured("playing a take while the next one is made"):
        studio.playback.play()
        for _ in range(3):
            studio.generating.regenerate()
            bench.spin(0.5)
        bench.until(lambda: studio.take_in_hand() is None)
    studio.playback.stop()


def play(bench: Bench, name: str) -> None:
    """A pass while frames are read, and one when all are there."""
    studio = bench.studio
    bench.open_layers(frames_1080p(bench.frames, FRAMES), 4 * GIB)
    studio.playback.set_policy("every")
    with bench.measured(f"1080p, from disk{name}") as notes:
        shown_fps(bench, notes, lambda: len(studio.stage.cached_frames()) >= FRAMES)
    bench.spin(2.2)
    with bench.measured(f"1080p, from memory{name}") as notes:
        until = time.monotonic() + SECONDS
        shown_fps(bench, notes, lambda: time.monotonic() > until)


def shown_fps(bench: Bench, notes: dict[str, float], is_over: Callable[[], object]) -> None:
    """Plays, and notes how many frames came a second and how many were left out."""
    playback, frames = bench.studio.playback, 0

    def count(frame: int, way: int) -> None:
        nonlocal frames
        frames += 1

    playback.frame_changed.connect(count)
    began = time.perf_counter()
    playback.play()
    bench.until(is_over)
    notes |= {"frames a second": frames / (time.perf_counter() - began), "dropped": playback.num_dropped}
    playback.stop()
    playback.frame_changed.disconnect(count)


def play_quiet(bench: Bench) -> None:
    play(bench, "")


def play_busy(bench: Bench) -> None:
    with bench.busy():
        play(bench, ", busy")


def long_shot(bench: Bench) -> None:
    """More frames than the cache holds."""
    bench.open_layers(frames_1080p(bench.frames, MANY), GIB)
    before = rss_mib()
    most = 0.0

    def look() -> None:
        nonlocal most
        most = max(most, rss_mib())
        images = getattr(bench.window.screen_.viewer.canvas, "images", None)
        taken = bench.studio.cache.num_bytes + (images.num_bytes if images is not None else 0)
        assert taken <= bench.studio.memory_limit_bytes

    timer = QTimer(interval=50)
    timer.timeout.connect(look)
    timer.start()
    seen: set[int] = set()
    bench.studio.playback.frame_changed.connect(lambda frame, way: seen.add(frame))
    with bench.measured(f"{MANY} frames of 1080p within 1 GiB") as notes:
        shown_fps(bench, notes, lambda: len(seen) >= MANY - 1)
        notes |= {"RSS before MiB": before, "RSS at most MiB": most}
    timer.stop()


def scrub(bench: Bench) -> None:
    """Fast drags over the timeline, of frames that are not all in memory."""
    bench.open_layers(frames_1080p(bench.frames, MANY), GIB)
    timeline, at = bench.window.screen_.timeline, 0

    def mouse(kind: QEvent.Type, x: float) -> None:
        point, button = QPointF(x, 12), Qt.MouseButton.LeftButton
        event = QMouseEvent(kind, point, timeline.mapToGlobal(point), button, button, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(timeline, event)

    def move() -> None:
        nonlocal at
        at += 1
        place = abs((at * 9) % 1600 - 800) / 800
        mouse(QEvent.Type.MouseMove, 12 + place * (timeline.width() - 24))

    with bench.busy(), bench.measured("scrubbing 1080p by the mouse, busy"):
        mouse(QEvent.Type.MouseButtonPress, 20)
        ticking(bench, 8, move)
        mouse(QEvent.Type.MouseButtonRelease, 20)


def look(bench: Bench) -> None:
    """Exposure and a layer's offset are dragged while it plays."""
    session = bench.studio.session
    bench.open_layers(frames_1080p(bench.frames, FRAMES), 4 * GIB)
    bench.studio.playback.set_policy("realtime")
    at = 0

    def change() -> None:
        nonlocal at
        at += 1
        session.look(view=session.document.view.with_(exposure=round(np.sin(at / 40), 2)))
        bench.window.layer_panel._change("foreground", "offset_x", float(at % 200))

    with bench.busy(), bench.measured("dragging exposure and offset while it plays, busy"):
        bench.studio.playback.play()
        ticking(bench, 16, change)
    bench.studio.playback.stop()
    bench.studio.playback.set_policy("every")


def queue(bench: Bench) -> None:
    """Two hundred jobs of which one runs, with news ten times a second."""
    request = Request("generate", output="/tmp/a.%04d.exr", foreground="a dog", background="a garden")
    states = ["running", *["queued"] * 60, *["done"] * 139]
    jobs = [
        Job(f"{place:032x}", state, request, label=f"nuke:shot.nk/LayerFlow{place}", position=place, created_at=place)
        for place, state in enumerate(states)
    ]
    studio_queue = bench.studio.queue
    tell = studio_queue._post_rows
    is_over = threading.Event()

    def news() -> None:
        at = 0
        while not is_over.wait(0.1):
            at += 1
            jobs[0] = replace(jobs[0], progress=replace(jobs[0].progress, frames_done=at % 16, frames_total=16))
            if at % 3 == 0:  # another host moves its jobs about
                jobs[20 + at % 30] = replace(jobs[20 + at % 30], position=(at * 7) % 60)
            tell(tuple(row_of(job, 12.0) for job in sorted(jobs, key=lambda job: job.position)))

    with bench.busy():
        studio_queue._post_rows = lambda rows: None  # type: ignore[method-assign]
        with bench.measured("a queue of 200 jobs comes and changes, busy"):
            thread = threading.Thread(target=news)
            thread.start()
            bench.spin(SECONDS)
            is_over.set()
            thread.join()
        del studio_queue._post_rows


def project(bench: Bench) -> None:
    """A project of fifty takes is opened, and words are typed."""
    request = Request("generate", output="/tmp/a.%04d.exr", foreground="a dog", background="a garden").to_dict()
    takes = tuple(
        Take(name=f"v{number:03}", pattern=f"/tmp/none/v{number:03}.%04d.exr", request=request) for number in range(50)
    )
    shot = ShotSettings(foreground="a dog", background="a garden", plate=frames_1080p(bench.frames, FRAMES))
    with bench.busy(), bench.measured("a project of 50 takes, typing, busy"):
        bench.studio.session.open(Document(shot=shot, takes=takes, take="v050"))
        field_ = next(each for each in bench.window.shot_panel.findChildren(QWidget) if hasattr(each, "toPlainText"))
        field_.setFocus()
        ticking(bench, 60, lambda: QTest.keyClick(field_, Qt.Key.Key_A))


SCENES: dict[str, Callable[[Bench], None]] = {
    "idle": idle,
    "job": own_job,
    "play": play_quiet,
    "play_busy": play_busy,
    "long": long_shot,
    "scrub": scrub,
    "look": look,
    "queue": queue,
    "project": project,
}


def ticking(bench: Bench, every_ms: int, call: Callable[[], object]) -> None:
    """Does something again and again."""
    timer = QTimer(interval=every_ms, timerType=Qt.TimerType.PreciseTimer)
    timer.timeout.connect(call)
    timer.start()
    bench.spin(SECONDS)
    timer.stop()


def frames_1080p(folder: Path, count: int) -> str:
    """Frames with two layers in half floats; beyond FRAMES they are the same once more."""
    place = folder / f"frames-{count}"
    pattern = str(place / "shot.%04d.exr")
    if place.is_dir():
        return pattern
    place.mkdir()
    if count > FRAMES:
        source = frames_1080p(folder, FRAMES)
        for number in range(count):
            os.link(source % (number % FRAMES + 1), pattern % (number + 1))
        return pattern
    rng = np.random.default_rng(1)
    grain = rng.normal(0, 0.004, (HEIGHT, WIDTH, 4)).astype(np.float32)
    form = PictureFormat(width=WIDTH, height=HEIGHT)
    for number in range(1, count + 1):
        soft = [cv2.resize(rng.random((9, 16, 4), np.float32), (WIDTH, HEIGHT), interpolation=3) for _ in range(2)]
        foreground, background = (np.abs(each + np.roll(grain, number * 7, axis=1)) for each in soft)
        foreground[..., 3] = np.clip(foreground[..., 3] * 3 - 1, 0, 1)
        layers = {"foreground": foreground[None], "background": np.ascontiguousarray(background[None, ..., :3])}
        exr.write_frame(Path(pattern % number), LayerStack(layers=layers, frames=(number,), format=form), 0, header={})
    return pattern


def rss_mib() -> float:
    return psutil.Process().memory_info().rss / MIB


def say(figure: Figure) -> None:
    def words(gaps: Gaps) -> str:
        late = f"{gaps.num_late} over 50 ms (own work {gaps.late_cpu_ms:.0f})"
        return f"longest {gaps.longest_ms:.0f} ms, 99.9 % {gaps.p999_ms:.0f}, {late}"

    print(f"{figure.name}: {words(figure.loop)}; empty app: {words(figure.empty)}; {figure.loop.seconds:.0f} s")
    print("  " + ", ".join(f"{name} {value:.1f}" for name, value in figure.notes.items()), flush=True)


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[None]:
    """An engine and an app that keep all they have in a folder."""
    os.environ.update(
        LAYERFLOW_RUNTIME=str(folder / "runtime"),
        LAYERFLOW_SERVER=str(folder / "server"),
        LAYERFLOW_STUDIO=str(folder / "studio"),
        XDG_CONFIG_HOME=str(folder / "config"),
        XDG_DOCUMENTS_DIR=str(folder / "documents"),
        HOME=str(folder),
    )
    command = [sys.executable, "-P", "-m", "layerflow.cli", "serve", "--json", "--port", "0", "--root", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            for worker in psutil.Process(process.pid).children():
                worker.kill()
            process.kill()


@contextlib.contextmanager
def display() -> Iterator[None]:
    """A display without a GPU."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1920x1080x24"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as process:
        os.close(write)
        with os.fdopen(read) as file:
            os.environ.update(DISPLAY=f":{file.readline().strip()}", QT_QPA_PLATFORM="xcb")
        yield
        process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=SCENES, default=list(SCENES))
    parser.add_argument("--stacks", action="store_true", help="tell what was run while a beat was late")
    parser.add_argument("--xvfb", action="store_true")
    parser.add_argument("--switch-ms", type=float, help="of Python's threads, other than the app has it")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--frames", type=Path, help="folder of the frames that are played, to keep them")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory(prefix="studio") as name, contextlib.ExitStack() as stack:
        folder = Path(name).resolve()
        stack.enter_context(engine(folder))
        if options.xvfb:
            stack.enter_context(display())
        frames = options.frames or folder
        frames.mkdir(exist_ok=True)
        writer = get_context("spawn").Process(target=frames_1080p, args=(frames, FRAMES))  # its memory is its own
        writer.start()
        writer.join()
        application = make_application()
        if options.switch_ms:
            sys.setswitchinterval(options.switch_ms / 1e3)
        bench = Bench(folder, frames, stack.enter_context(control()), options.stacks)
        print(f"canvas: {bench.window.screen_.viewer.canvas.kind}, load {psutil.getloadavg()[0]:.1f}")
        for each in options.only:
            SCENES[each](bench)
        bench.close()
        application.processEvents()
        if options.json:
            options.json.write_text(json.dumps([asdict(figure) for figure in bench.figures], indent=1) + "\n")


if __name__ == "__main__":
    main()
