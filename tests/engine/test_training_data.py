"""The packed data, the layered clips made of it, the codec's basis and the text table."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertConfig, BertModel, T5EncoderModel

from layerflow import evaluate
from layerflow.training import codec_fit, text_table
from layerflow.training.captions import background_caption, clean_label, colour_words, foreground_caption, with_article
from layerflow.training.clips import (
    LayeredClips,
    Source,
    compose,
    draw_clips,
    encode_srgb,
    linear_table,
    read_group,
    read_pack,
)
from layerflow.training.heldout import heldout_clips, read_heldout, write_heldout
from layerflow.training.init import caption_words, make_init
from layerflow.training.pack import Archives, pack
from layerflow.training.photos import PhotoRecord, held_out_photos, is_public_domain, land_statements, photo_clusters
from layerflow.training.render import RenderConfig, place

COPYRIGHT = """Files: images/land/*
Copyright: Various
License: public-domain
 From a collection.

Files: images/land/*-sfiera*
Copyright: Somebody
License: CC-BY-SA-4.0

Files:
 images/land/lava5*
Copyright: Somebody Else
License: CC-BY-SA-4.0

Files:
 images/land/snow10*
Copyright: Various
License: public-domain
"""
NAMES = {"1f98a": ("fox", "animal-mammal"), "1f99c": ("parrot", "animal-bird"), "1f4a1": ("light bulb", "light-video")}
PHOTOS = ["beach0", "beach1", "lava5", "snow10-sfiera", "snow10", *(f"city{i}" for i in range(9))]
CONFIG = RenderConfig(num_frames=8, height=32, width=48)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    write_names(folder / "emojibase-data-17.0.0.tgz")
    moving = {"1f98a": webp(72), "1f99c": webp(30), "1f4a1": webp(1), "1f98a-1f3fb": webp(72)}
    write_tgz(folder / "lobehub-fluent-emoji-anim-1-1.0.0.tgz", moving)
    write_tgz(folder / "lobehub-fluent-emoji-3d-1.1.0.tgz", {code: webp(1, 90 + i) for i, code in enumerate(NAMES)})
    write_deb(folder)
    write_clipart(folder)
    return folder


@pytest.fixture(scope="module")
def packed(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    pack(Archives.in_folder(archives), folder)
    return folder


def write_names(path: Path) -> None:
    groups = sorted({subgroup for _, subgroup in NAMES.values()})
    entries = [
        {"hexcode": code.upper(), "label": label, "tags": ["shiny"], "subgroup": groups.index(subgroup)}
        for code, (label, subgroup) in NAMES.items()
    ]
    messages = {"subgroups": [{"order": i, "key": key} for i, key in enumerate(groups)]}
    with tarfile.open(path, "w:gz") as archive:
        for name, value in (("data", entries), ("messages", messages)):
            add(archive, f"package/en/{name}.json", json.dumps(value).encode())


def write_tgz(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for code, data in files.items():
            add(archive, f"package/assets/{code}.webp", data)


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def webp(num_frames: int, green: int = 60) -> bytes:
    """A disc whose size and colour change from frame to frame."""
    y, x = np.mgrid[:128, :128] - 63.5
    frames = []
    for i in range(num_frames):
        pixels = np.zeros((128, 128, 4), np.uint8)
        pixels[...] = (250 - 3 * i, green, 2 * i, 255)
        pixels[np.hypot(x, y) > 40 + 10 * np.sin(2 * np.pi * i / num_frames), 3] = 0
        frames.append(Image.fromarray(pixels))
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=42, lossless=True)
    return buffer.getvalue()


def write_deb(folder: Path) -> None:
    root = folder / "root"
    land = root / "usr/share/games/endless-sky/images/land"
    for sub in (land, root / "usr/share/doc/endless-sky-data"):
        sub.mkdir(parents=True)
    (root / "usr/share/doc/endless-sky-data/copyright").write_text(COPYRIGHT)
    rng = np.random.default_rng(0)
    for name in PHOTOS:
        small = Image.fromarray(rng.integers(0, 256, (6, 12, 3), np.uint8))
        small.resize((720, 360), Image.Resampling.BICUBIC).save(land / f"{name}.jpg")
    build_deb(root, "endless-sky-data", folder)


def write_clipart(folder: Path) -> None:
    """Two drawings of things, one of them 2 pixels high; a sign, a picture without transparency, a huge one, a link."""
    root = folder / "clipart"
    drawings = root / "usr/share/openclipart/png"
    for sub in ("animals/cats", "food", "signs_and_symbols"):
        (drawings / sub).mkdir(parents=True)
    (drawings / "animals/cats/tom_cat_ann_01.png").write_bytes(disc(100, 80))
    (drawings / "food/flat-bread.png").write_bytes(disc(100, 2))
    (drawings / "food/pear.png").write_bytes(disc(70, 90))
    (drawings / "signs_and_symbols/stop.png").write_bytes(disc(100, 100))
    Image.new("RGB", (90, 90), "red").save(drawings / "food/red.png")
    huge = bytearray(disc(80, 80))
    huge[16:24] = (30000).to_bytes(4, "big") * 2
    (drawings / "food/huge.png").write_bytes(huge)
    (drawings / "food/link.png").symlink_to("pear.png")
    build_deb(root, "openclipart-png", folder)


def disc(width: int, height: int) -> bytes:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    pixels = np.full((height + 20, width + 20, 4), (200, 90, 10, 0), np.uint8)
    pixels[10:-10, 10:-10, 3] = 255 * (np.hypot(x, y) < 0.8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def build_deb(root: Path, name: str, folder: Path) -> None:
    (root / "DEBIAN").mkdir()
    control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: pictures\n"
    (root / "DEBIAN/control").write_text(control)
    target = folder / f"{name}_1_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(root), str(target)], check=True, capture_output=True
    )


def clips_of(packed: Path, seed: int, num_clips: int = 6) -> LayeredClips:
    sprites, stills, photos = read_pack(packed, held_out=False)
    return draw_clips([*sprites, *stills], photos, np.random.default_rng(seed), num_clips, config=CONFIG)


def test_pack_keeps_drawings_of_things(packed: Path) -> None:
    cat, pear = read_group(packed, "cutouts", held_out=False)
    assert (cat.label, cat.tags, pear.label) == ("tom cat", ("animals",), "pear")
    seen = cat.pixels[0, ..., 3] > 0
    assert cat.pixels.shape == (1, 64, 64, 4)
    assert seen.any(axis=0).all() and 48 <= seen.any(axis=1).sum() <= 54  # 100 x 80, cropped to what is seen of it
    assert not seen[0].any() and not seen[-1].any()
    assert read_group(packed, "cutouts", held_out=True) == []


def test_pack_keeps_loops_and_drops_stills_and_skin_tones(packed: Path) -> None:
    records = json.loads((packed / "captions.json").read_text())
    sprites = np.load(packed / "sprites.npy")
    assert [(r["label"], r["num_frames"]) for r in records["sprites"]] == [("fox", 24), ("parrot", 10)]
    assert sprites.shape == (2, 24, 64, 64, 4)
    np.testing.assert_array_equal(sprites[1, :10], sprites[1, 10:20])
    assert (sprites[0, 0] != sprites[0, 6]).any()
    assert len(records["stills"]) == 3


def test_pack_takes_only_photos_in_the_public_domain(packed: Path) -> None:
    records = json.loads((packed / "captions.json").read_text())
    taken = {record["id"] for record in records["photos"]}
    assert taken == set(PHOTOS) - {"lava5", "snow10-sfiera"}
    assert "MIT" in (packed / "LICENSE-data.md").read_text()


def test_public_domain_needs_every_statement_to_agree() -> None:
    statements = land_statements(COPYRIGHT)
    assert is_public_domain("snow10.jpg", statements)
    assert not is_public_domain("snow10-sfiera.jpg", statements)  # its last statement alone would let it in
    assert not is_public_domain("lava5.jpg", statements)
    assert not is_public_domain("beach0.jpg", [])


def test_packing_twice_gives_the_same_bytes(packed: Path, archives: Path, tmp_path: Path) -> None:
    pack(Archives.in_folder(archives), tmp_path)
    for path in packed.iterdir():
        assert digest(path) == digest(tmp_path / path.name), path.name


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_split_parts_share_nothing(packed: Path) -> None:
    records = json.loads((packed / "captions.json").read_text())
    split = json.loads((packed / "split.json").read_text())
    assert split["sprites"] == split["stills"] == ["1f99c"]
    kept, held = (read_pack(packed, held_out=held) for held in (False, True))
    for name, one, two in zip(("sprites", "stills", "photos"), kept, held, strict=True):
        assert len(one) + len(two) == len(records[name])
        assert not {s.pixels.tobytes() for s in one} & {s.pixels.tobytes() for s in two}
    clusters = {record["id"]: record["cluster"] for record in records["photos"]}
    held_clusters = {clusters[i] for i in split["photos"]}
    assert split["photos"]
    assert not held_clusters & {cluster for i, cluster in clusters.items() if i not in split["photos"]}


def test_mirrored_photos_and_numbered_series_are_one_cluster() -> None:
    rng = np.random.default_rng(1)
    photos = rng.integers(0, 256, (5, 12, 24, 3), np.uint8)
    photos[3] = photos[0, :, ::-1]
    clusters = photo_clusters(["a0", "canyon01", "canyon02", "a1", "b"], photos)
    assert clusters[0] == clusters[3]
    assert clusters[1] == clusters[2]
    assert len(set(clusters)) == 3


def test_a_cluster_is_held_out_whole_or_not_at_all() -> None:
    records = [PhotoRecord(id=f"p{i}", label=f"class{i // 2}", cluster=i // 2) for i in range(40)]
    held = held_out_photos(records)
    assert len(held) == 4
    assert all((f"p{i}" in held) == (f"p{i + 1}" in held) for i in range(0, 40, 2))


def analytic_linear(code: np.ndarray) -> np.ndarray:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


@given(st.integers(0, 2**32 - 1))
def test_linear_over_of_the_layers_is_the_blended_picture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    foreground = rng.integers(0, 256, (1, 2, 3, 4, 4), np.uint8)
    foreground[0, 0, 0, :, 3] = (0, 255, 1, 254)
    background = rng.integers(0, 256, (1, 2, 3, 4, 3), np.uint8)
    clips = compose(foreground, background, [("", "", "")])
    front, behind = (analytic_linear(layer / 255) for layer in (clips.foreground, clips.background))
    alpha = clips.alpha / 255
    over = alpha * front + (1 - alpha) * behind
    np.testing.assert_allclose(analytic_linear(clips.blended.astype(np.float64)), over, atol=1e-4)
    np.testing.assert_array_equal(clips.blended[0, 0, 0, 0], (background[0, 0, 0, 0] / 255).astype(np.float32))


def test_shipped_clips_are_composed_to_the_bits_they_always_had() -> None:
    """One foreground, as it was written out before several went the same way: bits that evaluations are compared on."""
    clips = heldout_clips(3)
    weight = (clips.alpha / 255).astype(np.float32)
    front, behind = (linear_table()[layer] for layer in (clips.foreground, clips.background))
    as_it_is, mixed = (clips.background / 255).astype(np.float32), encode_srgb(behind + weight * (front - behind))
    np.testing.assert_array_equal(clips.blended, np.where(weight > 0, mixed, as_it_is))


def test_encoding_every_code_gives_it_back() -> None:
    np.testing.assert_allclose(encode_srgb(linear_table()), np.arange(256) / 255, atol=2e-4)
    np.testing.assert_allclose(linear_table(), analytic_linear(np.arange(256) / 255), atol=1e-7)


def test_tensors_hold_foreground_over_grey_and_matte() -> None:
    foreground = np.array([[200, 100, 0, 0], [200, 100, 0, 255]], np.uint8).reshape(1, 1, 1, 2, 4)
    tensors = compose(foreground, np.full((1, 1, 1, 2, 3), 255, np.uint8), [("", "", "")]).tensors()
    assert tensors.shape == (1, 4, 1, 1, 2, 3)
    np.testing.assert_allclose(tensors[0, 0, 0, 0, 0], 0, atol=1e-6)
    np.testing.assert_allclose(tensors[0, 0, 0, 0, 1], np.array([200, 100, 0]) / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(tensors[0, 1, 0, 0], [[-1] * 3, [1] * 3], atol=1e-6)
    np.testing.assert_allclose(tensors[0, 2], 1, atol=1e-6)


def test_a_seed_fixes_the_data(packed: Path) -> None:
    one, two = (clips_of(packed, 3).batch(np.random.default_rng(4), 5) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])
    assert one[1] == two[1]
    assert (clips_of(packed, 5).batch(np.random.default_rng(4), 5)[0] != one[0]).any()
    assert one[0].dtype == np.float32
    assert one[0].shape == (5, 4, 8, 32, 48, 3)
    assert np.abs(one[0]).max() <= 1


def test_frozen_clips_show_one_frame_and_others_move(packed: Path) -> None:
    clips = clips_of(packed, 3)
    frozen, _ = clips.batch(np.random.default_rng(0), 8, frozen=1.0)
    assert (frozen == frozen[:, :, :1]).all()
    moving, _ = clips.batch(np.random.default_rng(0), 8, frozen=0.0, sprites="moving")
    assert (moving[:, 1, 0] != moving[:, 1, 5]).any(axis=(1, 2, 3)).all()


@given(st.floats(-12, 12), st.floats(-8, 8), st.booleans())
def test_a_sprite_lands_where_it_is_put(x: float, y: float, mirrored: bool) -> None:
    sprite = np.ones((1, 10, 10, 4), np.float32)
    placed = place(sprite, (10, 10), np.array([[x, y]], np.float32), 0.0, mirrored, CONFIG)
    matte = placed[0, ..., 3]
    rows, columns = np.indices(matte.shape)
    centre = [(matte * (columns - 23.5)).sum() / matte.sum(), (matte * (rows - 15.5)).sum() / matte.sum()]
    np.testing.assert_allclose(centre, [x, y], atol=0.01)


def test_background_clips_have_no_empty_border() -> None:
    photo = Source(label="sea", pixels=np.full((144, 288, 3), 200, np.uint8))
    sprite = Source(label="fox", pixels=np.full((8, 64, 64, 4), 255, np.uint8))
    clips = draw_clips([sprite], [photo], np.random.default_rng(0), 20, config=CONFIG, procedural=0.0)
    assert np.ptp(clips.backgrounds.reshape(20, -1, 3), axis=1).max() <= 1


def test_captions_say_what_is_there() -> None:
    rng = np.random.default_rng(0)
    assert clean_label("family: man, woman’s “cat”") == "family man woman's cat"
    assert with_article("owl") == "an owl"
    assert colour_words(np.full((4, 4, 3), (10, 20, 60), np.uint8)) == "dark blue"
    assert colour_words(np.full((4, 4, 3), 230, np.uint8)) == "bright grey"
    assert {foreground_caption("fox", [], rng) for _ in range(50)} == {"a fox", "fox"}
    green = np.full((2, 2, 3), (60, 140, 60), np.uint8)
    assert {background_caption("fields", green, rng) for _ in range(50)} == {"fields", "green fields"}


def test_fitted_codec_is_orthonormal_and_beats_its_own_first_channels(packed: Path) -> None:
    clips = clips_of(packed, 0)
    tensors = codec_fit.fit_codec(clips, np.random.default_rng(0), num_batches=2)
    torch.testing.assert_close(tensors["basis"] @ tensors["basis"].T, torch.eye(96), atol=1e-4, rtol=0)
    pictures, _ = clips.batch(np.random.default_rng(1), 8)
    codec = codec_fit.make_codec(tensors)
    latents = codec.to_latents(torch.from_numpy(pictures).movedim(-1, -3))
    assert latents.square().mean().item() == pytest.approx(1, abs=0.3)
    short = codec_fit.make_codec({name: t if name == "mean" else t[:16] for name, t in tensors.items()})
    full, cut = codec_fit.codec_psnr(codec, pictures), codec_fit.codec_psnr(short, pictures)
    assert all(full[name] > cut[name] + 3 for name in full)


def test_codec_blocks_are_in_the_order_of_the_engine(packed: Path) -> None:
    clips, _ = clips_of(packed, 0).batch(np.random.default_rng(0), 2)
    identity = {"basis": torch.eye(codec_fit.BLOCK), "mean": torch.zeros(768), "scale": torch.ones(768)}
    latents = codec_fit.make_codec(identity).to_latents(torch.from_numpy(clips).movedim(-1, -3))
    np.testing.assert_array_equal(codec_fit.to_blocks(clips), latents.movedim(-3, -1).reshape(-1, 768).numpy())


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text encoder and tokenizer distilled from a tiny random BERT."""
    folder = tmp_path_factory.mktemp("text")
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    continued = [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789"]
    words = [f"word{i}" for i in range(60)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *continued, "the", "par", "##rot", "中", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=128,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    text_table.make_text_folders(folder, folder / "out", ["parrot", "word59"], num_pieces=150)
    return folder / "out"


@pytest.fixture(scope="module")
def tokenizer(text_folder: Path) -> AutoTokenizer:
    return AutoTokenizer.from_pretrained(text_folder / "tokenizer")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_ascii_text_is_never_unknown(tokenizer: AutoTokenizer, text: str) -> None:
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
    assert text_table.UNKNOWN not in pieces
    assert "".join(piece.removeprefix("##") for piece in pieces) == "".join(text.lower().split())


def test_text_folders_load_and_an_empty_prompt_is_zero(text_folder: Path, tokenizer: AutoTokenizer) -> None:
    encoder = T5EncoderModel.from_pretrained(text_folder / "text_encoder")
    assert encoder.config.vocab_size == len(tokenizer) == 150
    assert (tokenizer.pad_token_id, tokenizer.model_max_length) == (0, 16)
    assert tokenizer.tokenize("Parrot word59") == ["par", "##rot", "word59"]  # asked for, however rare
    tokens = tokenizer(["", "the parrot"], padding="max_length", return_tensors="pt").input_ids
    with torch.inference_mode():
        empty, said = encoder(tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
    assert (empty == 0).all()
    assert said.square().mean() > 0.1
    assert "Apache" in (text_folder / "text_encoder" / "NOTICE").read_text()


def test_a_fresh_start_is_made_from_the_pack(packed: Path, text_folder: Path, tmp_path: Path) -> None:
    assert {"fox", "parrot", "light", "bulb", "shiny", "beach", "snowy", "mountains"} <= caption_words(packed)
    make_init(packed, text_folder.parent, tmp_path, num_clips=4, num_batches=2, looks_steps=2)
    codec = codec_fit.make_codec(load_file(tmp_path / "codec" / "codec.safetensors"))
    assert codec.basis.shape == (96, codec_fit.BLOCK)
    fox = AutoTokenizer.from_pretrained(tmp_path / "tokenizer").tokenize("a fox 中")
    assert fox == ["a", "f", "##o", "##x", text_table.UNKNOWN]


def test_heldout_set_survives_writing_and_reading(packed: Path, tmp_path: Path) -> None:
    write_heldout(packed, tmp_path)
    sprites, photos = read_heldout(tmp_path)
    truth, _, true_photos = read_pack(packed, held_out=True)
    assert [s.label for s in sprites] == ["parrot"]
    np.testing.assert_array_equal(sprites[0].pixels[..., 3], truth[0].pixels[:8, ..., 3])
    assert len(photos) == len(true_photos)
    assert np.abs(photos[0].pixels.astype(int) - true_photos[0].pixels).mean() < 6


def test_shipped_sprites_are_read_straight() -> None:
    folder = Path(evaluate.__file__).parent / "heldout"
    sprites, _ = read_heldout(folder)
    sheet = np.asarray(Image.open(folder / "sprites.webp"))
    np.testing.assert_array_equal(np.concatenate(list(sprites[3].pixels), axis=1), sheet[3 * 64 : 4 * 64])
    assert ((sheet[..., 3] > 0) & (sheet[..., 3] < 255)).any()


def test_shipped_heldout_clips_are_fixed() -> None:
    clips, fewer = heldout_clips(64), heldout_clips(5)
    assert clips.tensors().shape == (64, 4, 8, 64, 96, 3)
    np.testing.assert_array_equal(clips.blended[:5], fewer.blended)
    assert clips.captions[:5] == fewer.captions
    assert clips.captions[0] == ("a dragon", "a red canyon", "a dragon in front of a red canyon")
    seen = (clips.alpha > 127).mean(axis=(1, 2, 3, 4))
    assert seen.min() > 0.005
    assert seen.mean() == pytest.approx(0.1446, abs=2e-3)
    frozen = (clips.blended == clips.blended[:, :1]).all(axis=(1, 2, 3, 4)).sum()
    assert 20 <= frozen <= 44
