"""The page of an evaluation, real plates, VBench, and what puts them together."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from layerflow.errors import OutputError, PlateError
from layerflow.evaluate import vbench_scores, whole
from layerflow.evaluate.examples import Example
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.page import WORST, data_uri, page_html, shown_examples, write_page
from layerflow.evaluate.real import find_sequences, score_real
from layerflow.evaluate.score import Evaluation
from layerflow.evaluate.vbench_scores import DIMENSIONS, WEIGHTS, why_absent
from layerflow.evaluate.whole import Wish, write_movies

pytestmark = pytest.mark.usefixtures("one_thread")

VOID = {"meta", "img", "br"}


class Tags(HTMLParser):
    """Which elements are open, and where pictures and links come from."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def picture(value: int) -> np.ndarray:
    made = np.full((6, 8, 3), value, np.uint8)
    made[0, 0] = (255, 0, 10)
    return made


def example(number: int, overlap: float | None) -> Example:
    return Example(
        title=f"clip {number}",
        prompts={"foreground": "a <b>dog</b>", "background": "hills", "blended": "both"},
        pictures={"plate": picture(number), "matte": picture(200)},
        iou=overlap,
        movies={name: np.stack([picture(40)] * 3) for name in ("foreground", "background", "blended")},
    )


@pytest.fixture
def evaluation() -> Evaluation:
    overlaps = [0.9, 0.2, 0.5, 0.1, 0.8, 0.7, 0.6, 0.3, 0.4, 0.05]
    return Evaluation(
        scores={
            "decompose.matte_iou": 0.7512,
            "decompose.model_matte_iou": 0.7411,
            "decompose.blob_matte_iou": 0.2222,
            "decompose.background_psnr": 25.31,
            "real.dog_iou": 0.333,
        },
        examples={"decompose": [example(number, overlap) for number, overlap in enumerate(overlaps)]},
        notes=["generate was not scored: <no>"],
    )


def test_a_page_is_well_formed_and_needs_nothing_else(evaluation: Evaluation) -> None:
    tags = Tags()
    tags.feed(page_html(evaluation, model="a & b", told="layerflow evaluate --clips 10"))
    assert tags.open == [] and "script" not in tags.seen and "link" not in tags.seen
    assert tags.sources and all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert tags.seen.count("img") == 2 * (8 + WORST)
    assert "a <b>dog</b>" in tags.text and "a & b" in tags.text and "<no>" in tags.text
    for told in ("0.751", "0.741", "0.222", "25.3 dB", "0.333", "layerflow evaluate --clips 10"):
        assert told in tags.text


def test_a_picture_survives_the_page() -> None:
    png = base64.b64decode(data_uri(picture(7)).partition(",")[2])
    back = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(back, picture(7))


def test_the_worst_are_those_of_the_least_overlap(evaluation: Evaluation) -> None:
    first, worst = shown_examples(evaluation.examples["decompose"]).values()
    assert [each.title for each in first] == [f"clip {number}" for number in range(8)]
    assert [each.title for each in worst] == ["clip 9", "clip 3", "clip 1", "clip 7"]
    assert [*shown_examples([example(0, None)]).values()][1] == []


def test_a_page_is_written_with_its_scores(evaluation: Evaluation, tmp_path: Path) -> None:
    path = write_page(tmp_path / "new" / "page", evaluation, model="mini", told="")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert json.loads((path.parent / "scores.json").read_text(encoding="utf-8")) == evaluation.scores
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --page"):
        write_page(tmp_path / "file" / "page", evaluation, model="mini", told="")


def write_plates(folder: Path, plate: Path, masks: Path, *, colour: tuple[int, int, int] = (255, 255, 255)) -> None:
    """Two frames of 48 x 32 with a square that moves, and their masks."""
    for each in (plate, masks):
        (folder / each).mkdir(parents=True)
    for number in range(2):
        mask = np.zeros((32, 48, 3), np.uint8)
        mask[10:22, 10 + number : 30 + number] = colour
        picture = np.random.default_rng(0).integers(0, 99, (32, 48, 3), np.uint8) + mask // 2
        cv2.imwrite(str(folder / plate / f"{number:05d}.png"), picture[..., ::-1])
        cv2.imwrite(str(folder / masks / f"{number:05d}.png"), mask[..., ::-1])


def test_real_plates_are_scored(tiny_model: Path, tmp_path: Path) -> None:
    write_plates(tmp_path, Path("black-dog/bl"), Path("black-dog/mask"))
    write_plates(tmp_path, Path("cat/bl"), Path("cat/mask"), colour=(128, 0, 0))
    (tmp_path / "README.md").write_text("not a plate")
    said = []
    scores = score_real(tmp_path, model=str(tiny_model), steps=1, on_event=said.append)
    kinds = ("iou", "rough_iou", "rough_itself_iou", "blob_iou")
    assert set(scores) == {f"{name}_{kind}" for name in ("black-dog", "cat", "mean") for kind in kinds}
    assert all(scores[f"mean_{kind}"] == (scores[f"black-dog_{kind}"] + scores[f"cat_{kind}"]) / 2 for kind in kinds)
    # 12 x 20 pixels, grown by 2 about: a disc of 5 pixels leaves its corners rounded by four of them, twice two
    grown = 16 * 24 - 4 * 3
    assert scores["cat_rough_itself_iou"] == pytest.approx(240 / grown, abs=0.02)
    assert scores["cat_rough_iou"] >= scores["cat_iou"]
    assert [(event.done, event.total) for event in said] == [(1, 2), (2, 2)]


def test_the_official_tree_is_found(tmp_path: Path) -> None:
    write_plates(
        tmp_path, Path("JPEGImages/480p/dog-agility"), Path("Annotations/480p/dog-agility"), colour=(0, 128, 0)
    )
    (tmp_path / "JPEGImages" / "480p" / "unmarked").mkdir()
    (found,) = find_sequences(tmp_path)
    assert (found.name, found.prompt) == ("dog-agility", "a dog agility")
    masks = found.truth()
    assert [*masks] == [0, 1] and masks[1][10:22, 11:31].all() and masks[1].sum() == 240
    assert iou(masks[0] > 0.5, masks[1] > 0.5) == pytest.approx(19 / 21)


def test_a_folder_without_plates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlateError, match="holds no plates with masks; it should hold NAME/bl and NAME/mask"):
        find_sequences(tmp_path)


def test_vbench_is_said_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(vbench_scores, "version", no_version)
    assert "VBench is not installed" in str(why_absent()) and "pip install vbench" in str(why_absent())


@pytest.fixture
def vbench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, object]]:
    """A stand-in with weights; the calls that it gets."""
    calls: list[dict[str, object]] = []

    class VBench:
        def __init__(self, device: str, full_info_dir: str, output_path: str) -> None:
            self.output = Path(output_path)
            self.output.mkdir(exist_ok=True)

        def evaluate(self, **asked: object) -> None:
            calls.append(asked)
            told = {name: [0.25 + index, []] for index, name in enumerate(asked["dimension_list"])}
            (self.output / f"{asked['name']}_eval_results.json").write_text(json.dumps(told))

    module = ModuleType("vbench")
    module.VBench, module.__file__ = VBench, str(tmp_path / "vbench" / "__init__.py")
    monkeypatch.setitem(__import__("sys").modules, "vbench", module)
    monkeypatch.setattr(vbench_scores, "version", lambda name: "0.1.5")
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "weights"))
    for name in WEIGHTS:
        (tmp_path / "weights" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "weights" / name).touch()
    return calls


def test_vbench_without_weights_names_them(vbench: list[dict[str, object]], tmp_path: Path) -> None:
    assert why_absent() is None
    (tmp_path / "weights" / WEIGHTS[0]).unlink()
    assert f"VBench 0.1.5 lacks weights in {tmp_path / 'weights'}: {WEIGHTS[0]}" in str(why_absent())


def test_vbench_is_asked_for_every_layer(
    vbench: list[dict[str, object]], tmp_path: Path, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation.examples = {"generate": [example(0, None), example(1, None)]}
    monkeypatch.setattr(whole, "evaluate_tasks", lambda model, **options: evaluation)
    found = whole.evaluate(Wish(model="mini", page=tmp_path / "page"), told="told")
    assert found.scores["generate.background_subject_consistency"] == 0.25
    assert found.scores["generate.foreground_dynamic_degree"] == 3.25
    assert [call["dimension_list"] for call in vbench] == [list(DIMENSIONS)] * 3
    assert vbench[1]["prompt_list"] == {"0000.mp4": "hills", "0001.mp4": "hills"}
    assert vbench[1]["mode"] == "custom_input"
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["index.html", "movies", "scores.json"]


def test_movies_hold_the_layers(tmp_path: Path) -> None:
    frames = np.stack([np.full((64, 96, 3), value, np.uint8) for value in (20, 120, 220)])
    clip = Example(title="", prompts={"background": "hills"}, pictures={}, movies={"background": frames})
    assert write_movies(tmp_path / "background", [clip], "background") == {"0000.mp4": "hills"}
    movie = cv2.VideoCapture(str(tmp_path / "background" / "0000.mp4"))
    back = np.stack([movie.read()[1] for _ in range(3)])
    assert np.abs(back.astype(int) - frames).max() < 8
    assert json.loads((tmp_path / "background.json").read_text()) == {"0000.mp4": "hills"}


def test_only_what_is_asked_for_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Real plates and a page on request; without generated clips nothing is said of VBench."""
    asked = {}

    def scored(model: str, **options: object) -> Evaluation:
        asked.update(options)
        return Evaluation(scores={"decompose.matte_iou": 0.5}, examples={"decompose": [example(0, 0.5)]})

    monkeypatch.setattr(whole, "evaluate_tasks", scored)
    monkeypatch.setattr(whole, "score_real", lambda folder, **options: {"mean_iou": 0.25})
    found = whole.evaluate(Wish(model="mini", tasks=("decompose",), num_clips=3, davis=tmp_path))
    assert found.scores == {"decompose.matte_iou": 0.5, "real.mean_iou": 0.25} and found.notes == []
    assert (asked["tasks"], asked["num_clips"]) == (("decompose",), 3)
    assert [*tmp_path.iterdir()] == []
