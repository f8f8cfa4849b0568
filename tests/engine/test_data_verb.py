"""`layerflow data`: options become a dataset folder, results and errors are said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from sights import disc, moving_disc, save, texture, write_sources

from layerflow.cli.app import layerflow_command, run
from layerflow.data.copy_paste import CopyPasteConfig
from layerflow.data.manifest import read_manifest

SMALL = ["--write-size", "48x32", "--write-frames", "3"]


def said(capsys, *arguments):
    code = run(["data", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def pasting(tmp_path, *more):
    fronts, backs = write_sources(tmp_path)
    return ["copy-paste", "--foregrounds", fronts, "--backgrounds", backs, "-o", tmp_path / "out", *more]


def test_copy_paste_says_what_there_is_and_writes_clips_to_look_at(tmp_path, capsys):
    options = ["--write", 2, "--foregrounds-per-clip", 2, *SMALL, "--shadows", "none", "--no-linear", "--json"]
    code, out, err = said(capsys, *pasting(tmp_path, *options))
    result = json.loads(out.splitlines()[-1])
    assert code == 0 and err == ""
    assert result["items"]["foreground: clips"] == 1 and result["items"]["background: stills"] == 3
    assert [path.rpartition("/")[2] for path in result["written"]] == ["clip.0001.png", "clip.0002.png"]
    manifest = read_manifest(tmp_path / "out")
    assert not manifest.linear and CopyPasteConfig(**manifest.recipe).shadows == "none"


def test_written_clips_follow_from_the_seed(tmp_path, capsys):
    files = []
    for seed in (1, 1, 2):
        said(capsys, *pasting(tmp_path, "--write", 1, "--seed", seed, *SMALL))
        files.append((tmp_path / "out/look/clip.0001.png").read_bytes())
    assert files[0] == files[1] != files[2]


def test_check_goes_through_every_picture(tmp_path, capsys):
    said(capsys, *pasting(tmp_path))
    code, out, _ = said(capsys, "check", tmp_path / "out")
    assert code == 0 and "foreground: stills: 3" in out
    next((tmp_path / "out/items").glob("f-*/foreground.0001.png")).unlink()
    code, _, err = said(capsys, "check", tmp_path / "out")
    assert code == 3 and "cannot be read" in err


def test_video_without_models_uses_opencv(tmp_path, capsys):
    for number, frame in enumerate(moving_disc()[0]):
        save(tmp_path / f"films/yellow-ball/f.{number:04d}.png", frame)
    arguments = ["video", tmp_path / "films", "-o", tmp_path / "out", "--licence", "mine", "--piece-frames", 8]
    code, out, err = said(capsys, *arguments, "--write", 1, "--write-as", "exr", *SMALL, "--hold-out", 0)
    assert code == 0 and "layers: clips: 1" in out and "looking at yellow-ball" in err
    assert len(list((tmp_path / "out/look/clip.0001").glob("*.exr"))) == 3


def test_stills_and_mattes_are_taken_in(tmp_path, capsys):
    save(tmp_path / "in/one/layer_0.png", texture(40, 40))
    save(tmp_path / "in/one/ball_1.png", disc())
    code, out, _ = said(capsys, "stills", tmp_path / "in", "-o", tmp_path / "stills", "--licence", "CC0")
    assert code == 0 and "layers: stills: 1" in out
    save(tmp_path / "set/fgr/ball.png", disc()[..., :3])
    save(tmp_path / "set/pha/ball.png", disc()[..., 3])
    save(tmp_path / "backs/field.png", texture(40, 40))
    mattes = ["mattes", tmp_path / "set", "-o", tmp_path / "mattes", "--licence", "CC0"]
    code, out, _ = said(capsys, *mattes, "--backgrounds", tmp_path / "backs", "--write", 1, *SMALL)
    assert code == 0 and "foreground: stills: 1" in out and "to look at" in out


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (["--min-scale", 2], 2, "scales must rise"),
        (["--write", 1, "--write-size", "wide"], 2, "--write-size is WIDTHxHEIGHT"),
        (["--shadows", "elsewhere"], 2, "is not one of"),
        (["--captions", "none.csv"], 3, "none.csv cannot be read"),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path, capsys, more, code, sentence):
    found, _, err = said(capsys, *pasting(tmp_path, *more))
    assert found == code and sentence in err and len(err.strip().splitlines()) == 1


def test_models_are_asked_for_together_and_have_to_be_there(tmp_path, capsys):
    save(tmp_path / "film/f.0001.png", texture(32, 32))
    video = ["video", tmp_path / "film", "-o", tmp_path / "out", "--licence", "mine", "--local-files-only"]
    code, _, err = said(capsys, *video, "--segmenter", tmp_path / "sam2")
    assert code == 2 and "give --segmenter and --detector together" in err
    code, _, err = said(capsys, *video, "--captioner", tmp_path / "qwen")
    assert code == 5 and "the captioner" in err and "or give the folder" in err


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path, capsys):
    for verb in ("video", "stills", "mattes"):
        code, _, err = said(capsys, verb, tmp_path / "nowhere", "-o", tmp_path / "out")
        assert code == 3 and "nowhere" in err


def test_help_lists_every_maker():
    result = CliRunner().invoke(layerflow_command, ["data", "--help"])
    assert result.exit_code == 0
    assert all(verb in result.output for verb in ("copy-paste", "video", "stills", "mattes", "check"))


def test_frames_are_kept_at_the_rate_and_size_that_was_asked_for(tmp_path, capsys):
    said(capsys, *pasting(tmp_path, "--fps", 4, "--max-side", 20))
    clip = next(item for item in read_manifest(tmp_path / "out").items if item.kind == "clip")
    assert (clip.frames, clip.fps, clip.width) == (3, "4", 20)
    assert np.prod([clip.height, clip.width]) == 400
