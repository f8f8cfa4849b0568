"""The models behind the seams of plain video, on tiny random weights in transformers' own classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sights import moving_disc, texture
from tiny_sights import write_florence, write_grounding_dino, write_qwen, write_sam2

from layerflow.data.pretrained import Weights
from layerflow.data.qwen_captions import QwenCaptioner
from layerflow.data.sam2 import Sam2Segmenter
from layerflow.data.segmenting import Tag
from layerflow.data.taggers import FlorenceTagger, GroundingTagger, tagger_of
from layerflow.errors import ModelError

PICTURE = texture(48, 72)


def weights(path):
    return Weights(name=str(path), local_files_only=True)


class Told:
    """A detector that sees what it is told."""

    def __init__(self, *tags):
        self.given, self.seen = list(tags), []

    def tags(self, picture):
        self.seen.append(picture)
        return self.given


@pytest.fixture(scope="module")
def sam2(tmp_path_factory):
    return write_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def florence(tmp_path_factory):
    return write_florence(tmp_path_factory.mktemp("florence"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return QwenCaptioner(weights(write_qwen(tmp_path_factory.mktemp("qwen"))))


def test_sam2_follows_every_box_through_the_shot(sam2):
    frames, _ = moving_disc(num_frames=5, height=48, width=72)
    told = Told(Tag(label="cat", box=(20, 10, 50, 40), score=0.5), Tag(label="dog", box=(5, 5, 30, 30), score=0.9))
    found = Sam2Segmenter(weights(sam2), told).tracks(frames)
    assert [(track.label, track.score) for track in found] == [("dog", 0.9), ("cat", 0.5)]
    assert all(track.masks.shape == (5, 48, 72) and track.masks.dtype == bool for track in found)
    assert np.array_equal(told.seen[0], frames[2])  # the middle one
    assert not np.array_equal(found[0].masks, found[1].masks)
    assert Sam2Segmenter(weights(sam2), Told()).tracks(frames) == []


def test_sam2_is_told_the_corners_of_a_box_in_its_own_pixels(sam2):
    frames = np.repeat(texture(32, 128)[None], 2, axis=0)
    segmenter = Sam2Segmenter(weights(sam2), Told())
    session = segmenter._session(frames, [Tag(label="dog", box=(64, 8, 128, 32))], 1)
    given = session.point_inputs_per_obj[0][1]
    assert given["point_coords"].tolist() == [[[[32, 16], [64, 64]]]]
    assert given["point_labels"].tolist() == [[[2, 3]]]
    grey = session.get_frame(0) * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1) + torch.tensor(
        [0.485, 0.456, 0.406]
    ).view(3, 1, 1)
    assert session.get_frame(0).shape == (3, 64, 64)
    assert grey.mean().item() == pytest.approx(frames.mean() / 255, abs=0.01)


def test_grounding_dino_gives_boxes_inside_the_picture(tmp_path):
    folder = write_grounding_dino(tmp_path)
    tagger = tagger_of(weights(folder), ["dog", "cat"])
    assert isinstance(tagger, GroundingTagger)
    tags = GroundingTagger(weights(folder), names=["dog", "cat"], threshold=0.0).tags(PICTURE)
    assert tags and [tag.score for tag in tags] == sorted((tag.score for tag in tags), reverse=True)
    for tag in tags:
        left, top, right, bottom = tag.box
        assert 0 <= left < right <= 72 and 0 <= top < bottom <= 48
        assert "[SEP]" not in tag.label and "." not in tag.label
    assert GroundingTagger(weights(folder), names=["dog"], threshold=1.0).tags(PICTURE) == []


def test_florence_answers_become_tags(florence, monkeypatch):
    tagger = tagger_of(weights(florence))
    assert isinstance(tagger, FlorenceTagger)
    assert isinstance(tagger.tags(PICTURE), list)  # random weights say nothing in particular
    said = "dog<loc_100><loc_250><loc_500><loc_750>cat<loc_0><loc_0><loc_999><loc_999>red<loc_5><loc_5><loc_5><loc_5>"
    ids = tagger._processor.tokenizer(said, add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(tagger._model, "generate", lambda **inputs: torch.tensor([ids]))
    dog, cat = tagger.tags(PICTURE)  # what has no area is left out
    assert (dog.label, cat.label) == ("dog", "cat") and dog.score > cat.score
    assert dog.box == pytest.approx((7.2, 12, 36, 36), abs=0.5)


def test_qwen_says_the_same_of_the_same_picture(qwen):
    said = qwen.caption(PICTURE[None], "foreground", "a dog")
    assert said and said == qwen.caption(np.stack([PICTURE] * 3), "foreground", "a dog")
    assert said == said.strip(" .")


def test_qwen_sees_the_picture_where_the_prompt_says(qwen, monkeypatch):
    asked = {}

    def generate(**inputs):
        asked.update(inputs)
        answer = qwen._tokens("a red dog .", return_tensors="pt")["input_ids"]
        return torch.cat([inputs["input_ids"], answer], dim=1)

    monkeypatch.setattr(qwen._model, "generate", generate)
    said = qwen.caption(PICTURE[None], "background", "a hint")
    assert said.replace(" ", "") == "areddog"
    patches = asked["pixel_values"].shape[0]
    assert patches == asked["image_grid_thw"].prod() and asked["mm_token_type_ids"].sum() == patches // 4
    monkeypatch.setattr(qwen._model, "generate", lambda **inputs: inputs["input_ids"])
    assert qwen.caption(PICTURE[None], "background", "a hint") == "a hint"


@pytest.mark.parametrize(
    "load", [QwenCaptioner, FlorenceTagger, GroundingTagger, tagger_of, lambda w: Sam2Segmenter(w, Told())]
)
def test_weights_that_are_not_there_are_one_sentence(tmp_path, load):
    with pytest.raises(ModelError, match=r"cannot be loaded \(.*\); download it with .*, or give the folder") as error:
        load(weights(tmp_path / "nothing"))
    assert "\n" not in str(error.value)


def test_pickled_weights_are_refused(tmp_path):
    write_sam2(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="segmentation model"):
        Sam2Segmenter(weights(tmp_path), Told())


def test_a_detector_of_another_kind_is_one_sentence(sam2):
    with pytest.raises(ModelError, match="is a sam2_video; give a Grounding DINO or a Florence-2"):
        tagger_of(weights(sam2))
