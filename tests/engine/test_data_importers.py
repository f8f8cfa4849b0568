"""Layered stills and matting sets taken in as datasets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sights import disc, save, texture

from layerflow.data.check import check_dataset
from layerflow.data.clip import blend
from layerflow.data.copy_paste import ClipShape
from layerflow.data.intake import Taking
from layerflow.data.layered_stills import make_layered_stills, z_sorted
from layerflow.data.light import to_codes, unit
from layerflow.data.matting import find_parts, make_matting
from layerflow.data.opencv_inpainter import TemporalInpainter
from layerflow.data.store import read_png
from layerflow.data.supply import LayeredFolder
from layerflow.errors import PlateError

TAKING = Taking(licence="CC0")
SHAPE = ClipShape(num_frames=3, height=24, width=36)


def layer(x, y, colour, size=(48, 72)):
    """A disc on an empty picture."""
    pixels = np.zeros((*size, 4), np.uint8)
    pixels[y : y + 40, x : x + 40] = disc(colour=colour, radius=10)
    return pixels


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_layers(folder, captions, name="000123-layer_{}.png"):
    save(folder / name.format(0), np.dstack([texture(48, 72), np.full((48, 72), 255, np.uint8)]))
    save(folder / name.format(1), layer(2, 4, (200, 30, 30)))
    save(folder / name.format(2), layer(28, 4, (30, 30, 200)))
    if captions is not None:
        (folder / "captions.json").write_text(json.dumps(captions))


@pytest.mark.parametrize(
    "captions",
    [
        {"layer_0": "a field", "layer_1": "a red ball", "layer_2": {"caption": "a blue ball"}, "blended": "two balls"},
        {"captions": ["a field", "a red ball", "a blue ball"], "blended": "two balls"},
        {"layers": {"0": "a field", "1": "a red ball", "2": {"blip2": "a blue ball"}}, "caption": "two balls"},
        {
            "000123-layer_0.png": "a field",
            "000123-layer_1": "a red ball",
            "000123-layer_2": "a blue ball",
            "blended": "two balls",
        },
    ],
)
def test_layers_come_top_first_with_their_captions(tmp_path, captions):
    write_layers(tmp_path / "in/000123", captions)
    (item,) = make_layered_stills([tmp_path / "in"], tmp_path / "out", taking=TAKING).items
    said = {layer.name: layer.caption for layer in item.layers}
    assert said == {"foreground": "a blue ball", "foreground2": "a red ball", "background": "a field"}
    assert (item.kind, item.role, item.blended_caption, item.frames) == ("still", "layers", "two balls", 1)
    assert check_dataset(tmp_path / "out").items == (item,)
    top = read_png(tmp_path / "out" / (item.foregrounds[0].files % 1))
    assert top[..., 2][top[..., 3] == 255].mean() > 150


def test_layers_without_json_are_named_by_their_files(tmp_path):
    write_layers(tmp_path / "in/picture", None, name="cup-{}.png")
    (item,) = make_layered_stills([tmp_path / "in"], tmp_path / "out", taking=TAKING).items
    assert [layer.caption for layer in item.layers] == ["a cup", "a cup", "a background"]


def test_layers_below_those_asked_for_are_part_of_the_background(tmp_path):
    write_layers(tmp_path / "in/000123", {"captions": ["a field", "a red ball", "a blue ball"]})
    (item,) = make_layered_stills([tmp_path / "in"], tmp_path / "out", taking=TAKING, hold_out=0).items
    rng = np.random.default_rng
    (two,) = LayeredFolder(tmp_path / "out", ClipShape(num_frames=3, height=24, width=36, num_foregrounds=2)).clips(
        rng(5), 1
    )
    (one,) = LayeredFolder(tmp_path / "out", SHAPE).clips(rng(5), 1)
    assert two.captions[:3] == ("a blue ball", "a red ball", "a field")
    assert one.captions[:2] == ("a blue ball", "a field with a red ball")
    assert np.abs(one.blended - two.blended).max() < 0.01  # one picture, however it is cut
    assert np.abs(unit(one.background) - unit(two.background)).max() > 0.2
    assert (one.blended[0] == one.blended[2]).all()  # a still
    assert len(item.foregrounds) == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: save(folder / "000123-layer_3.png", disc()), "differ in size .*000123-layer_3.png 40x40"),
        (lambda folder: save(folder / "000123-layer_0.png", layer(0, 0, (1, 2, 3))), "is no background, it has holes"),
        (lambda folder: save(folder / "top.png", disc()), "top.png has no number at its end"),
        (lambda folder: save(folder / "x-layer_2.png", disc()), "two layers of one number"),
        (lambda folder: (folder / "captions.json").write_text("[]"), "is not an object of captions"),
        (lambda folder: (folder / "captions.json").write_text("{"), "correct it or take it away"),
        (lambda folder: (folder / "more.json").write_text("{}"), "keep the one with the captions"),
        (lambda folder: halve(folder / "000123-layer_1.png"), "is damaged or cut short"),
    ],
)
def test_what_is_no_layered_still_is_one_sentence(tmp_path, change, sentence):
    write_layers(tmp_path / "in/000123", {"captions": []})
    change(tmp_path / "in/000123")
    with pytest.raises(PlateError, match=sentence):
        make_layered_stills([tmp_path / "in"], tmp_path / "out", taking=TAKING)
    assert not list((tmp_path / "out/items").iterdir())


def test_a_folder_without_layers_is_one_sentence(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(PlateError, match="one folder per picture"):
        make_layered_stills([tmp_path / "in"], tmp_path / "out", taking=TAKING)


def test_the_background_may_be_called_so(tmp_path):
    paths = [tmp_path / name for name in ("l2.png", "background.png", "l10.png")]
    assert [path.name for path in z_sorted(paths)] == ["background.png", "l2.png", "l10.png"]


def write_set(root, *parts, num_frames=1):
    """A matting set of one item, `ball`, its colours spilling everywhere outside the matte."""
    background = texture(48, 72, 3)
    for number in range(1, num_frames + 1):
        cut = layer(8 + 2 * number, 4, (200, 30, 30))
        spilled = np.where(cut[..., 3:] > 0, cut[..., :3], np.array([0, 255, 0], np.uint8))
        blended = to_codes(blend([cut], background, linear=True))
        pictures = {
            "fgr": spilled,
            "pha": cut[..., 3],
            "com": blended,
            "bgr": background,
            "original": blended,
            "mask": cut[..., 3],
        }
        for part in parts:
            name = "ball" if num_frames == 1 else f"ball/ball.{number:04d}"
            save(root / part / f"{name}.png", pictures[part])
    return background


def test_colours_and_mattes_become_foregrounds_to_paste(tmp_path):
    write_set(tmp_path / "set", "fgr", "pha", num_frames=3)
    save(tmp_path / "backs/field.jpg", texture(48, 72))
    manifest = make_matting(
        [tmp_path / "set"],
        tmp_path / "out",
        TemporalInpainter(),
        taking=Taking(licence="CC0", max_side=36),
        backgrounds=[tmp_path / "backs"],
        hold_out=0,
    )
    front = next(item for item in manifest.items if item.role == "foreground")
    assert (front.kind, front.frames, front.width, front.layers[0].caption) == ("clip", 3, 36, "a ball")
    rgba = read_png(tmp_path / "out" / (front.layers[0].files % 1))
    assert rgba[..., 1][rgba[..., 3] > 16].max() < 60  # no green of the spill came in with the smaller size
    pictures, captions = LayeredFolder(tmp_path / "out", SHAPE).batch(np.random.default_rng(0), 2)
    assert pictures.shape == (2, 4, 3, 24, 36, 3) and captions[0][:2] == ("a ball", "a field")


def test_with_backgrounds_of_their_own_they_are_layers(tmp_path):
    background = write_set(tmp_path / "set", "fgr", "pha", "bgr")
    (item,) = make_matting([tmp_path / "set"], tmp_path / "out", TemporalInpainter(), taking=TAKING).items
    assert item.role == "layers" and item.background is not None
    assert np.array_equal(read_png(tmp_path / "out" / (item.background.files % 1)), background)


@pytest.mark.parametrize("parts", [("com", "pha"), ("original", "mask"), ("com", "pha", "fgr")])
def test_composites_get_their_background_painted_in(tmp_path, parts):
    background = write_set(tmp_path / "set", *parts)
    (item,) = make_matting([tmp_path / "set"], tmp_path / "out", TemporalInpainter(), taking=TAKING).items
    assert item.role == "layers" and item.background is not None
    behind = read_png(tmp_path / "out" / (item.background.files % 1))
    front = read_png(tmp_path / "out" / (item.foregrounds[0].files % 1))
    red = front[front[..., 3] == 255]
    assert np.abs(red[:, :3].astype(int).mean(axis=0) - (200, 30, 30)).max() < 4
    far = np.ones((48, 72), bool)
    far[:, 5:60] = False
    assert np.array_equal(behind[far], background[far])
    cut = layer(10, 4, (200, 30, 30))
    again = blend([front[None]], behind[None], linear=True)[0]
    error = np.abs(again - blend([cut], background, linear=True))
    assert error.mean() < 0.02
    hidden = behind[cut[..., 3] == 255].astype(int)
    assert np.abs(hidden - (200, 30, 30)).max(axis=-1).min() > 20  # nothing of the ball is left


@pytest.mark.parametrize(
    ("parts", "change", "sentence"),
    [
        (("fgr",), lambda root: None, "holds no pha/ beside"),
        (("pha",), lambda root: None, "holds no pha/ beside"),
        (
            ("fgr", "pha"),
            lambda root: (root / "fgr/ball.png").rename(root / "fgr/other.png"),
            "no colours of that name",
        ),
        (
            ("fgr", "pha"),
            lambda root: save(root / "pha/ball.png", disc()[..., 3]),
            "is 72x48 of 1 frames but its matte 40x40",
        ),
    ],
)
def test_what_is_no_matting_set_is_one_sentence(tmp_path, parts, change, sentence):
    write_set(tmp_path / "set", *parts)
    change(tmp_path / "set")
    with pytest.raises(PlateError, match=sentence):
        make_matting([tmp_path / "set"], tmp_path / "out", TemporalInpainter(), taking=TAKING)


def test_parts_are_told_by_their_names(tmp_path):
    write_set(tmp_path, "original", "mask")
    assert find_parts(tmp_path)["ball"].com == tmp_path / "original/ball.png"
