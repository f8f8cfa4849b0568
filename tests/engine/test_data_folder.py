"""Dataset folders: taken in from files, whole or not at all, split without leaks, read back for the trainer."""

from __future__ import annotations

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from sights import disc, save, save_animation, texture, write_sources

from layerflow.data.check import check_dataset
from layerflow.data.copy_paste import ClipShape, CopyPasteConfig
from layerflow.data.footage import find_footage, open_footage, pick_times
from layerflow.data.intake import Taking
from layerflow.data.likeness import clusters, likeness
from layerflow.data.look import write_clips
from layerflow.data.manifest import Layer, Manifest, Record, read_manifest, write_manifest
from layerflow.data.paste_maker import make_copy_paste
from layerflow.data.split import grouped, held_out_groups
from layerflow.data.supply import LayeredFolder
from layerflow.data.words import caption_of_name, read_notes
from layerflow.errors import PlateError
from layerflow.exr import read_stack
from layerflow.layers import recompose

SHAPE = ClipShape(num_frames=4, height=32, width=48)


def make(root, out, **changes):
    fronts, backs = root / "fronts", root / "backs"
    options = {"taking": Taking(), "config": CopyPasteConfig(), "hold_out": 0.25, **changes}
    return make_copy_paste([fronts], [backs], out, **options)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    write_sources(root)
    return root


@pytest.fixture(scope="module")
def dataset(sources, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "set"
    make(sources, out)
    return out


def record(name="one", **changes):
    values = {
        "id": name,
        "kind": "still",
        "role": "foreground",
        "frames": 1,
        "height": 8,
        "width": 8,
        "fps": "0",
        "layers": (Layer(name="foreground", caption="a ball", files=f"items/{name}/foreground.%04d.png"),),
        "source": "here",
        "licence": "CC0",
        "group": "",
        **changes,
    }
    return Record(**values)


def test_a_folder_holds_every_source_with_its_words(dataset):
    manifest = check_dataset(dataset)
    by_source = {item.source: item for item in manifest.items}
    ball, jumping = by_source["fronts: ball0.png"], by_source["fronts: jumping-ball.webp"]
    assert ball.layers[0].caption == "a red ball" and ball.licence == "CC0-1.0" and ball.kind == "still"
    assert (jumping.kind, jumping.frames, Fraction(jumping.fps)) == ("clip", 5, 8)
    assert jumping.layers[0].caption == "a jumping ball"
    assert {item.licence for item in manifest.items if item.role == "background"} == {"CC-BY-4.0"}
    assert manifest == read_manifest(dataset)
    assert CopyPasteConfig(**manifest.recipe) == CopyPasteConfig()


def test_batches_follow_from_the_generator_alone(dataset):
    one, other = LayeredFolder(dataset, SHAPE), LayeredFolder(dataset, SHAPE)
    other.batch(np.random.default_rng(9), 5)  # what was read before does not matter
    pictures, captions = one.batch(np.random.default_rng(1), 6)
    again, same_captions = other.batch(np.random.default_rng(1), 6)
    assert pictures.shape == (6, 4, 4, 32, 48, 3) and pictures.dtype == np.float32
    assert np.array_equal(pictures, again) and captions == same_captions
    assert -1 <= pictures.min() < pictures.max() <= 1 and all(len(row) == 3 for row in captions)


def test_a_share_is_frozen_and_kinds_can_be_picked(dataset):
    data = LayeredFolder(dataset, SHAPE, frozen=1.0)
    frozen, _ = data.batch(np.random.default_rng(0), 4)
    assert (frozen == frozen[:, :, :1]).all()
    moving, captions = data.batch(np.random.default_rng(0), 4, frozen=0.0, sprites="moving")
    assert {row[0] for row in captions} == {"a jumping ball"} and (moving != moving[:, :, :1]).any()


def test_the_parts_of_the_split_share_nothing(dataset):
    manifest = read_manifest(dataset)
    held = {item.group for item in manifest.items if item.held_out}
    assert held and not held & {item.group for item in manifest.items if not item.held_out}
    parts = [LayeredFolder(dataset, SHAPE, held_out=held_out)._pasted["any"] for held_out in (False, True)]
    files = [{source.layer.files for source in (*part.foregrounds, *part.backgrounds)} for part in parts]
    assert all(files) and not files[0] & files[1]


def test_near_duplicates_are_one_group():
    picture = texture(40, 60)[None]
    brighter = np.clip(picture.astype(int) + 12, 0, 255).astype(np.uint8)
    pictures = [picture, texture(40, 60, 1)[None], picture[:, :, ::-1], brighter, picture[:, ::2, ::2]]
    marks = clusters([likeness([each]) for each in pictures])
    assert marks[0] == marks[2] == marks[3] == marks[4] != marks[1]
    records = [record(str(n), likeness=likeness([each]), group="" if n else "mine") for n, each in enumerate(pictures)]
    records.append(record("5", likeness=likeness([texture(40, 60, 2)[None]]), group="mine"))
    groups = [each.group for each in grouped(records)]
    assert groups[0] == groups[2] == groups[3] == groups[4] == groups[5] != groups[1]


def test_holding_out_takes_whole_groups_and_leaves_some():
    records = [record(str(n), group=f"group {n // 2}") for n in range(20)]
    held = held_out_groups(records, 0.2)
    assert len(held) == 2 and held == held_out_groups(list(reversed(records)), 0.2)
    assert held_out_groups(records, 0.0) == set()
    assert held_out_groups([record("a", group="a"), record("b", group="a")], 0.5) == set()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"licence": ""}, "states no licence"),
        ({"kind": "clip"}, "a still has one frame"),
        ({"role": "layers"}, "1 foregrounds, 0 backgrounds"),
        ({"fps": "-1"}, "above 0"),
        ({"layers": (Layer(name="foreground", caption="", files="../x.%04d.png"),)}, "a path below the dataset"),
        ({"layers": (Layer(name="foreground", caption="", files="/x.%04d.png"),)}, "a path below the dataset"),
        ({"layers": (Layer(name="foreground", caption="", files="x.png"),)}, "one %04d"),
        ({"layers": ()}, "foregrounds come first"),
        ({"role": "sprite"}, "known are"),
    ],
)
def test_a_record_that_cannot_be_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        record(**changes)


def test_a_manifest_whose_split_leaks_is_refused():
    one, other = record("one", group="g"), record("two", group="g", held_out=True)
    with pytest.raises(ValueError, match="group g is in both parts"):
        Manifest(items=(one, other))
    with pytest.raises(ValueError, match="one is there twice"):
        Manifest(items=(one, one))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read"),
        ("[]", "is not the manifest of a dataset"),
        ('{"format": "layerflow-data", "version": 7}', "is of version 7, this LayerFlow reads 1"),
        ('{"format": "layerflow-data", "version": 1, "items": [{}]}', "is damaged"),
        ('{"format": "layerflow-data", "version": 1, "items": []}', "is damaged"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(tmp_path, text, sentence):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(PlateError, match=sentence):
        read_manifest(tmp_path)


def test_a_manifest_survives_the_disk(tmp_path):
    manifest = Manifest(items=(record(),), linear=False, recipe={"still": 0.5}, skipped={"two": "broken"})
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_without_a_licence_an_item_is_refused_and_a_stated_one_counts(tmp_path):
    write_sources(tmp_path)
    (tmp_path / "fronts/LICENCE.txt").unlink()
    with pytest.raises(PlateError, match=r"ball0.png states no licence; .* pass --licence"):
        make(tmp_path, tmp_path / "out")
    manifest = make(tmp_path, tmp_path / "out", taking=Taking(licence="mine"))
    assert {item.licence for item in manifest.items} == {"mine", "CC-BY-4.0"}


def test_a_stopped_run_goes_on_and_gives_the_same_manifest(tmp_path, sources, dataset, monkeypatch):
    out, opened = tmp_path / "out", []
    from layerflow.data import intake

    def stopping(path, **options):
        opened.append(path.name)
        if len(opened) == 4:
            raise KeyboardInterrupt
        return open_footage(path, **options)

    monkeypatch.setattr(intake, "open_footage", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(sources, out)
    assert not (out / "manifest.json").exists() and not list(out.rglob(".*"))
    manifest = make(sources, out)
    assert len(opened) == 8  # three were kept, the fourth and the other four were opened
    assert manifest == read_manifest(dataset)


def test_what_a_killed_run_left_is_taken_away(tmp_path, sources):
    left = tmp_path / "out/items/.f-ball.part"
    left.mkdir(parents=True)
    (left / "foreground.0001.png").write_bytes(b"half")
    make(sources, tmp_path / "out")
    assert not left.exists()


def test_a_source_that_changed_is_taken_again(tmp_path):
    fronts, _ = write_sources(tmp_path)
    before = make(tmp_path, tmp_path / "out")
    save(fronts / "ball1.png", disc(radius=5, colour=(1, 2, 3)))
    (fronts / "ball0.txt").write_text("a scarlet ball")
    after = make(tmp_path, tmp_path / "out")
    changed = {a.source for a, b in zip(after.items, before.items, strict=True) if a.made_of != b.made_of}
    assert changed == {"fronts: ball0.png", "fronts: ball1.png"}


def test_a_broken_file_is_a_sentence_or_left_out(tmp_path):
    fronts, backs = write_sources(tmp_path)
    (backs / "meadow1.jpg").write_bytes((backs / "meadow1.jpg").read_bytes()[:300])
    (fronts / "jumping-ball.webp").write_bytes(b"RIFF")
    with pytest.raises(PlateError, match=r"jumping-ball.webp is damaged or no picture .*; save or copy it again"):
        make(tmp_path, tmp_path / "out")
    said = []
    taking = Taking(skip_broken=True)
    manifest = make(tmp_path, tmp_path / "out", taking=taking, report=lambda e: said.append((e.kind, e.message)))
    assert len(manifest.items) == 5 and len(manifest.skipped) == 2
    assert sum(kind == "warning" and "left out" in message for kind, message in said) == 2


def test_a_foreground_without_alpha_is_refused_and_an_empty_one_left_out(tmp_path):
    fronts, _ = write_sources(tmp_path)
    save(fronts / "nothing.png", np.zeros((8, 8, 4), np.uint8))
    manifest = make(tmp_path, tmp_path / "out")
    assert list(manifest.skipped.values()) == ["its alpha is 0 everywhere"]
    save(fronts / "photo.png", texture(20, 20))
    with pytest.raises(PlateError, match=r"photo\.png has no alpha"):
        make(tmp_path, tmp_path / "out")


def test_a_dataset_without_backgrounds_cannot_be_drawn_from(tmp_path, dataset):
    shutil.copytree(dataset, tmp_path / "set")
    manifest = read_manifest(dataset)
    fronts = tuple(item for item in manifest.items if item.role == "foreground")
    write_manifest(tmp_path / "set", dataclasses.replace(manifest, items=fronts))
    with pytest.raises(PlateError, match="no foregrounds with backgrounds"):
        LayeredFolder(tmp_path / "set", SHAPE)
    both = LayeredFolder([tmp_path / "set", dataset], SHAPE)  # backgrounds of another folder will do
    assert both.batch(np.random.default_rng(0), 1)[0].shape[0] == 1


def test_a_picture_that_went_away_or_changed_is_found(tmp_path, dataset):
    shutil.copytree(dataset, tmp_path / "set")
    path = next((tmp_path / "set/items").glob("b-*/background.0001.png"))
    save(path, texture(9, 9))
    with pytest.raises(PlateError, match="is 9x9 of 3 channels, the manifest says 72x48"):
        check_dataset(tmp_path / "set")
    path.write_bytes(b"no picture")
    with pytest.raises(PlateError, match="is damaged; take its folder away"):
        check_dataset(tmp_path / "set")
    path.unlink()
    with pytest.raises(PlateError, match="cannot be read"):
        check_dataset(tmp_path / "set")


def test_clips_to_look_at_are_sheets_or_layered_exr(tmp_path, dataset):
    data = LayeredFolder(dataset, dataclasses.replace(SHAPE, num_foregrounds=2), frozen=0.0)
    (sheet,) = write_clips(data, tmp_path, 1, seed=3)
    assert open_footage(sheet).width > 4 * 48
    frames = write_clips(data, tmp_path, 1, seed=3, form="exr")
    stack = read_stack(frames)
    assert len(frames) == 4 and stack.foregrounds == ("foreground", "foreground2")
    assert np.abs(recompose(stack) - stack.layers["blended"][..., :3]).max() < 4e-3


def test_movies_with_alpha_and_animations_are_footage(tmp_path):
    path = tmp_path / "ball.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("prores_ks", rate=12, options={"profile": "4444"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva444p10le"
        for x in range(4):
            pixels = np.zeros((48, 64, 4), np.uint8)
            pixels[4:44, 10:50] = disc(x=x)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode(None))
    movie = open_footage(path)
    assert (movie.num_frames, movie.fps, movie.has_alpha, movie.width) == (4, 12, True, 64)
    assert movie.read(2)[24, 30, 3] == 255 and movie.read(2)[0, 0, 3] == 0
    for name in ("ball.webp", "ball.png", "ball.gif"):
        animation = open_footage(save_animation(tmp_path / name, [disc(x=x) for x in range(3)]))
        assert (animation.num_frames, animation.has_alpha) == (3, True)
    assert np.array_equal(open_footage(tmp_path / "ball.png").read(1)[..., 3], disc(x=1)[..., 3])


def test_folders_of_frames_are_clips_and_other_pictures_stills(tmp_path):
    for number in range(3):
        save(tmp_path / f"walk/walk.{number:04d}.png", disc(x=number))
        save(tmp_path / f"animals/{'abc'[number]}.png", disc())
    save(tmp_path / "tree.png", disc())
    assert [path.name for path in find_footage(tmp_path)] == ["a.png", "b.png", "c.png", "tree.png", "walk"]
    assert open_footage(tmp_path / "walk").num_frames == 3
    assert len(find_footage(tmp_path, stills=True)) == 7
    (tmp_path / "empty").mkdir()
    with pytest.raises(PlateError, match="holds no pictures"):
        find_footage(tmp_path / "empty")
    with pytest.raises(PlateError, match="there is no folder"):
        find_footage(tmp_path / "nowhere")


def test_frames_are_picked_by_rate():
    assert pick_times(10, Fraction(24), Fraction(8), 100) == [0, 3, 6, 9]
    assert pick_times(10, Fraction(24), None, 4) == [0, 1, 2, 3]
    assert pick_times(3, Fraction(8), Fraction(24), 9) == [0, 1, 2]
    assert pick_times(5, Fraction(30), Fraction(24), 9) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("stem", "caption"),
    [
        ("red-fox_03", "a red fox"),
        ("OldTree", "an old tree"),
        ("mountains2", "mountains"),
        ("0001", "an object"),
        ("the_sea", "the sea"),
    ],
)
def test_a_name_makes_a_caption(stem, caption):
    assert caption_of_name(stem) == caption


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.csv", "file,caption,license,group\nx/dog.png,a dog,CC0,dogs\n"),
        ("captions.json", '{"dog": {"caption": "a dog", "licence": "CC0", "group": "dogs"}}'),
        ("captions.json", '[{"file": "dog.png", "caption": "a dog", "licence": "CC0", "group": "dogs"}]'),
        ("captions.jsonl", '{"file": "dog.png", "caption": "a dog", "licence": "CC0", "group": "dogs"}\n'),
    ],
)
def test_tables_name_files_by_path_name_or_stem(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    words = read_notes(tmp_path).of(tmp_path / "x/dog.png", tmp_path)
    assert (words.caption, words.licence, words.group) == ("a dog", "CC0", "dogs")


@pytest.mark.parametrize(
    ("name", "text"), [("captions.json", "{"), ("captions.json", "3"), ("captions.csv", "name\nx\n")]
)
def test_a_damaged_table_is_one_sentence(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(PlateError, match=name):
        read_notes(tmp_path)


def test_item_json_is_the_manifests_record(dataset):
    manifest = json.loads((dataset / "manifest.json").read_text())
    for item in manifest["items"]:
        stored = json.loads((dataset / "items" / item["id"] / "item.json").read_text())
        split = {"group", "held_out"}
        assert {k: v for k, v in stored.items() if k not in split} == {k: v for k, v in item.items() if k not in split}
        assert all(not Path(layer["files"]).is_absolute() for layer in item["layers"])
