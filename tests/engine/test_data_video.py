"""Plain video taken apart by OpenCV: what moves by itself is found, what it hides is filled in."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sights import moving_disc, save, texture

from layerflow.data.apart import grown, layers_of, nearest_first
from layerflow.data.camera import carried, flow, greys, own_movement
from layerflow.data.clip import blend
from layerflow.data.copy_paste import ClipShape
from layerflow.data.filters import Limits, overlap, things
from layerflow.data.footage import open_footage
from layerflow.data.intake import Taking
from layerflow.data.light import unit
from layerflow.data.manifest import read_manifest
from layerflow.data.opencv_inpainter import TemporalInpainter
from layerflow.data.opencv_segmenter import MotionSegmenter
from layerflow.data.segmenting import GivenNames, Tools, Track
from layerflow.data.shots import pieces
from layerflow.data.supply import LayeredFolder
from layerflow.data.video_maker import VideoPlan, make_video
from layerflow.errors import PlateError

SEGMENTER = MotionSegmenter(gaps=(1, 2), rounds=2)
TOOLS = Tools(segmenter=SEGMENTER, inpainter=TemporalInpainter(), captioner=GivenNames(), name="opencv")


@pytest.fixture(scope="module")
def shot():
    return moving_disc()


@pytest.fixture(scope="module")
def found(shot):
    return SEGMENTER.tracks(shot[0])


def write_clip(folder, frames):
    for number, frame in enumerate(frames, start=1):
        save(folder / f"shot.{number:04d}.png", frame)


def test_own_movement_is_what_the_camera_does_not_explain(shot):
    frames, masks = shot
    one, other = greys(frames[:2])
    moved = flow(one, other)
    inside, outside = cv2.erode(masks[0].astype(np.uint8), np.ones((9, 9))) > 0, ~masks[0]
    assert np.median(moved[outside], axis=0) == pytest.approx([-2.0, 0.0], abs=0.2)
    own = own_movement(moved)
    assert np.median(own[outside]) < 0.3 and np.median(own[inside]) > 3.0
    assert np.abs(carried(frames[1, ..., 0].astype(np.float32), moved) - frames[0, ..., 0])[outside].mean() < 12


def test_what_moves_by_itself_is_found(shot, found):
    kept, _ = things(found)
    assert len(kept) == 1
    assert overlap(kept[0].masks, shot[1]) > 0.8


def test_the_same_shot_gives_the_same_masks(shot, found):
    again = SEGMENTER.tracks(shot[0])
    assert all(np.array_equal(a.masks, b.masks) for a, b in zip(found, again, strict=True))


def test_nothing_is_found_where_only_the_camera_moves():
    world = texture(96, 200, 3)
    panned = np.stack([world[:, 3 * time : 3 * time + 144] for time in range(6)])
    assert things(SEGMENTER.tracks(panned))[0] == []
    assert SEGMENTER.tracks(panned[:1]) == []


def masks_of(*boxes, num_frames=4, size=(40, 60)):
    masks = np.zeros((num_frames, *size), bool)
    for top, bottom, left, right in boxes:
        masks[:, top:bottom, left:right] = True
    return masks


def test_the_filter_says_why_a_track_is_no_thing():
    blinking = masks_of((5, 20, 5, 20))
    blinking[1:] = False
    jumping = np.stack([np.roll(masks_of((2, 12, 2, 12))[0], 12 * time, axis=1) for time in range(4)])
    scattered = masks_of(*((y, y + 3, x, x + 3) for y in range(2, 36, 8) for x in range(2, 56, 8)))
    thing = masks_of((5, 25, 10, 30))
    cases = {
        "in 25% of the frames only": Track(masks=blinking, score=0.9),
        "0.0% of the picture": Track(masks=masks_of((5, 6, 5, 6)), score=0.8),
        "sky is no thing": Track(masks=masks_of((1, 12, 1, 59)), score=0.7, label="sky"),
        "runs along 50% of the border": Track(masks=masks_of((20, 40, 0, 60)), score=0.6),
        "in many pieces": Track(masks=scattered, score=0.5),
        "another place in every frame": Track(masks=jumping, score=0.4),
        "the same thing as a surer one": Track(masks=np.roll(thing, 1, axis=2), score=0.1, label="dog"),
    }
    kept, reasons = things([Track(masks=thing, score=0.3, label="dog"), *cases.values()], Limits(min_area=0.001))
    assert [track.score for track in kept] == [0.3]
    assert reasons == list(cases)


def test_a_hole_is_filled_with_what_other_frames_show(shot):
    frames, masks = shot
    clean = np.stack([texture(96, 160, seed=5)[:, 2 * time : 2 * time + 144] for time in range(8)])
    holes = grown(masks)
    filled = TemporalInpainter().filled(frames, holes)
    assert np.array_equal(filled[~holes], frames[~holes])
    seen = [np.abs(filled[t].astype(int) - clean[t])[holes[t]].mean() for t in (0, 7)]  # shown at the other end
    around = [np.abs(frames[t].astype(int) - clean[t])[masks[t]].mean() for t in (0, 7)]
    assert max(seen) < 15 < min(around)


def test_a_hole_that_nothing_shows_is_painted_over():
    frames = np.full((3, 40, 60, 3), 90, np.uint8)
    frames[:, 10:30, 20:40] = 255
    holes = masks_of((8, 32, 18, 42), num_frames=3)
    assert np.abs(TemporalInpainter().filled(frames, holes).astype(int) - 90).max() <= 2


def test_the_layers_of_a_shot_are_the_shot_again(shot):
    frames, masks = shot
    found = layers_of(frames, TOOLS, 1)
    assert not isinstance(found, str)
    foregrounds, background, tracks = found
    again = blend(foregrounds, background, linear=True)
    error = np.abs(again - unit(frames))
    assert len(tracks) == 1 and error.mean() < 0.01 and np.quantile(error, 0.99) < 0.1
    assert foregrounds[0][..., 3][masks].mean() > 200


def test_nothing_moving_is_a_reason(shot):
    assert layers_of(np.repeat(shot[0][:1], 4, axis=0), TOOLS, 1) == "no thing was found (nothing moves by itself)"


def test_the_thing_that_stands_lower_is_nearer():
    far, near = (Track(masks=masks_of(box), score=1.0) for box in ((2, 20, 5, 20), (10, 35, 30, 50)))
    assert nearest_first([far, near]) == [near, far]


def test_a_cut_ends_a_piece(tmp_path):
    dark, light = texture(32, 48, 1) // 4, 192 + texture(32, 48, 2) // 4
    write_clip(tmp_path / "film", [*[dark] * 5, *[light] * 7])
    found = list(pieces(open_footage(tmp_path / "film"), Taking(), 3, 9))
    assert [piece.first for piece in found] == [0, 5, 8]
    assert all(piece.frames.std(axis=0).max() == 0 for piece in found)
    assert len(list(pieces(open_footage(tmp_path / "film"), Taking(), 3, 2))) == 2


def test_a_video_becomes_layers_and_a_copy_of_it_is_left_out(tmp_path, shot):
    films, out = tmp_path / "films", tmp_path / "out"
    write_clip(films / "yellow-ball", shot[0])
    write_clip(films / "z-again", shot[0])
    write_clip(films / "z-still", np.repeat(texture(64, 96, 8)[None], 8, axis=0))
    plan = VideoPlan(num_frames=8)
    manifest = make_video([films], out, TOOLS, taking=Taking(licence="mine"), plan=plan, hold_out=0)
    (item,) = manifest.items
    assert (item.role, item.frames, item.licence, item.source) == ("layers", 8, "mine", "films: yellow-ball")
    assert [layer.caption for layer in item.layers] == ["a yellow ball", "a background"]
    assert item.blended_caption == "a yellow ball in front of a background"
    assert item.notes == {"first frame": "0", "taken apart with": "opencv"}
    twin, still = manifest.skipped.values()
    assert twin == f"looks like {item.id}" and still.startswith("no thing was found")
    before = {path: path.stat().st_mtime_ns for path in (out / "items").rglob("*.png")}
    assert make_video([films], out, TOOLS, taking=Taking(licence="mine"), plan=plan, hold_out=0) == read_manifest(out)
    assert before == {path: path.stat().st_mtime_ns for path in (out / "items").rglob("*.png")}
    pictures, captions = LayeredFolder(out, ClipShape(num_frames=8, height=32, width=48)).batch(
        np.random.default_rng(0), 3
    )
    assert pictures.shape == (3, 4, 8, 32, 48, 3) and captions[0][0] == "a yellow ball"


def test_a_video_without_licence_is_refused_before_any_work(tmp_path, shot):
    write_clip(tmp_path / "film", shot[0][:4])
    with pytest.raises(PlateError, match="film states no licence"):
        make_video([tmp_path / "film"], tmp_path / "out", TOOLS, taking=Taking())
