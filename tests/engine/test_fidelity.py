"""The four released quirks: each by itself, where a model folder says which are kept, and --faithful."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rendering import channels, contents, header, render, request, write_plate
from tiny import write_tiny_released
from torch import Tensor

from layerflow import shots
from layerflow.cli.app import run
from layerflow.errors import ModelError
from layerflow.layout import VARIANTS
from layerflow.models.fidelity import IMPORTED, RELEASED, Fidelity
from layerflow.models.folder import MANIFEST, Manifest, ModelFolder, open_model, write_manifest
from layerflow.models.importer import manifest_of
from layerflow.models.load import load_engine
from layerflow.models.released import RELEASED_GRID
from layerflow.models.shelf import bundled_path
from layerflow.pipeline import Clip, known_latents, pick_sampler
from layerflow.sampler import Guidance, Sampler
from layerflow.shot import Shot

pytestmark = pytest.mark.usefixtures("one_thread")

QUIRKS = ("guidance", "snapping", "posterior", "condition")
CLEAN = Fidelity(guidance=False, snapping=False, posterior=False, condition=False)
# The released weights of 50 steps, as its code prints them.
WEIGHTS = """
    2.2915 2.5435 6.9744 6.4204 2.7881 4.2719 1.0376 4.1704 1.6180 6.9831
    1.0048 2.8720 6.9768 1.6331 4.3297 2.4366 6.3773 6.0068 3.4479 3.1981
    1.6548 6.6100 1.1947 4.2953 6.9854 1.5213 1.7616 1.0579 4.1275 1.4823
    2.0026 5.9477 4.1432 6.5305 6.1398 6.9999 6.1684 1.1199 2.0975 6.6850
    6.9992 2.3432 6.2128 1.2505 6.9996 6.8644 1.0636 1.0000 1.0000 1.1234
"""


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    """A tiny model like the released rgb checkpoints, that remembers nothing of what it should do otherwise."""
    folder = open_model(write_tiny_released(tmp_path / "model", kind="rgb"))
    return write_manifest(folder.path, replace(folder.manifest, sampler=Sampler(num_steps=3)))


def saying(model: ModelFolder, fidelity: Fidelity) -> ModelFolder:
    """The model, its manifest now saying `fidelity`."""
    return write_manifest(model.path, replace(model.manifest, fidelity=fidelity))


def test_as_released_nothing_is_changed() -> None:
    assert Fidelity() == RELEASED
    assert RELEASED.sampler(Sampler(num_steps=7)) == Sampler(num_steps=7)
    for variant in VARIANTS.values():
        assert RELEASED.layout(variant.layout) == variant.layout


@pytest.mark.parametrize("quirk", QUIRKS)
def test_each_is_switched_alone(quirk: str) -> None:
    fidelity, own, half = Fidelity(**{quirk: False}), Sampler(), VARIANTS["seg_rgb"].layout
    sampler = fidelity.sampler(own)
    assert (sampler.guidance != own.guidance) == (quirk == "guidance")
    assert sampler.snaps == (quirk != "snapping")
    assert (fidelity.layout(half) != half) == (quirk == "condition")
    assert replace(sampler, guidance=own.guidance, snaps=True) == own


def test_clean_guidance_is_the_mean_of_the_released_one() -> None:
    weights = [float(weight) for weight in WEIGHTS.split()]
    guidance = Fidelity(guidance=False).sampler(Sampler()).guidance
    assert len(weights) == 50 and guidance.power is None
    assert guidance.scale == pytest.approx(sum(weights) / 50, abs=1e-4)
    constant = Sampler(guidance=Guidance(scale=2.0, power=None))
    assert Fidelity(guidance=False).sampler(constant) == constant


def test_clean_guidance_does_not_depend_on_how_many_steps_are_asked_for(model: ModelFolder) -> None:
    clean = saying(model, Fidelity(guidance=False)).sampler("decompose")
    few, many = (pick_sampler(clean, steps=steps, guidance=None, kind=None) for steps in (2, 40))
    assert few.guidance == many.guidance and {few.num_steps, many.num_steps} == {2, 40}


def test_without_snapping_the_denoiser_counts_on_the_level_itself() -> None:
    sampler, x = Sampler(num_steps=3), torch.full((1, 1, 1, 1, 1), 0.5)
    level = float(sampler.schedule.signal(3)[1])
    assert sampler.schedule.quantised(level) != level
    told: dict[bool, Tensor] = {}
    for snaps in (True, False):
        state = replace(sampler.start(x.shape, torch.Generator()), step=1, latents=x)
        after = replace(sampler, snaps=snaps).step(state, lambda x, timestep, weight: torch.ones_like(x))
        assert after.previous is not None
        told[snaps] = after.previous
    for snaps, a in ((True, sampler.schedule.quantised(level)), (False, level)):
        torch.testing.assert_close(told[snaps], a * x - (1 - a * a) ** 0.5, atol=1e-7, rtol=0)


def test_a_whole_condition_is_all_of_every_layer_of_which_some_is_given() -> None:
    changed = {name: CLEAN.layout(variant.layout) for name, variant in VARIANTS.items()}
    assert changed["seg_rgb"].given == ((8, 12),) and changed["seg_rgb"].predicted == ((0, 8),)
    assert all(changed[name] == VARIANTS[name].layout for name in VARIANTS if name != "seg_rgb")
    two = replace(VARIANTS["gen_rgba"].layout, given=((1, 2), (6, 9)))
    assert two.with_whole_condition().given == ((0, 12),)


def test_known_latents_are_a_draw_or_the_mean(model: ModelFolder) -> None:
    engine, manifest = load_engine(model), model.manifest
    pixels = torch.rand(16, 3, manifest.height, manifest.width) * 2 - 1
    clip = Clip(
        layout=model.layout("decompose"),
        prompts={},
        given={"blended": pixels},
        seed=0,
        height=manifest.height,
        width=manifest.width,
    )

    def latents(seed: int, *, drawn: bool) -> Tensor:
        return known_latents(engine, replace(clip, drawn=drawn), torch.Generator().manual_seed(seed))

    assert not torch.equal(latents(1, drawn=True), latents(2, drawn=True))
    mean = latents(1, drawn=False)
    assert torch.equal(mean, latents(2, drawn=False))
    many = torch.stack([latents(seed, drawn=True) for seed in range(64)])
    assert float((many.mean(0) - mean).abs().mean()) < 0.25 * float((many[0] - mean).abs().mean())  # 1/8, but for luck


def test_a_model_tuned_without_the_jumps_takes_them_when_faithful() -> None:
    mini = open_model(bundled_path() / "mini")
    own, faithful = mini.sampler("decompose"), mini.sampler("decompose", faithful=True)
    assert mini.cleaned_up == ("guidance",) and not own.guidance.jumps
    assert faithful.guidance == Guidance() and replace(faithful, guidance=own.guidance) == own


def test_an_imported_checkpoint_records_what_its_release_does() -> None:
    for name, variant in VARIANTS.items():
        manifest = manifest_of(name, RELEASED_GRID, name=name)
        folder = ModelFolder(Path(), manifest)
        assert manifest.fidelity == IMPORTED
        assert folder.sampler(variant.task, faithful=True) == Sampler()
        assert folder.layout(variant.task, faithful=True) == variant.layout
        assert folder.fidelity(faithful=True).posterior


def test_what_is_as_released_goes_without_saying(model: ModelFolder) -> None:
    """So a folder written before there was a choice loads, and keeps its hash."""
    for path in (model.path, bundled_path() / "mini"):
        values = json.loads((path / MANIFEST).read_text())
        folder = open_model(path)
        assert "fidelity" not in values and "snaps" not in values["sampler"]
        assert json.loads(json.dumps(folder.manifest.to_dict())) == values and folder.manifest.fidelity == RELEASED


def test_a_choice_survives_json_and_makes_another_model(model: ModelFolder) -> None:
    hashes = {model.sha256}
    for quirk in QUIRKS:
        fidelity = Fidelity(**{quirk: False})
        changed = saying(model, fidelity)
        assert changed.manifest.fidelity == fidelity and open_model(model.path) == changed
        hashes.add(changed.sha256)
    unsnapped = replace(model.manifest, sampler=Sampler(snaps=False))
    assert Manifest.from_dict(json.loads(json.dumps(unsnapped.to_dict()))) == unsnapped
    late = replace(model.manifest, sampler=Sampler(guidance=Guidance(guided_from=200)))
    assert Manifest.from_dict(json.loads(json.dumps(late.to_dict()))) == late
    assert len(hashes) == 5 and saying(model, RELEASED).sha256 == model.sha256


@pytest.mark.parametrize("said", [{"guidance": "no"}, {"guidance": 0}, {"colour": False}, []])
def test_a_choice_that_is_none(model: ModelFolder, said: object) -> None:
    file = model.path / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | {"fidelity": said}))
    with pytest.raises(ModelError, match=r"layerflow.json is damaged .*; install the model again"):
        open_model(model.path)


def test_faithful_is_as_released_whatever_the_folder_says(model: ModelFolder, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=1)

    def layers(name: str, **changes: object) -> dict[str, bytes]:
        frame = render(model.path, tmp_path / name, plate=plate, **changes).frames[0]
        return {key: plane.tobytes() for key, plane in channels(frame).items()}

    made = {"released": layers("released")}
    for quirk in QUIRKS:
        saying(model, Fidelity(**{quirk: False}))
        made[quirk] = layers(quirk)
        assert layers(f"{quirk}-faithful", faithful=True) == made["released"]
    assert all(made[one] != made[other] for one in made for other in made if one < other)


def test_what_the_request_says_wins_over_faithful(model: ModelFolder, tmp_path: Path) -> None:
    folder, plate = saying(model, CLEAN), write_plate(tmp_path / "plate", count=1)

    def sampler(**changes: object) -> Sampler:
        asked = request(folder.path, tmp_path, task="decompose", plate=plate, faithful=True, **changes)
        return Shot.prepare(asked, lambda event: None, lambda: False).sampler

    assert sampler() == Sampler(num_steps=3)
    asked = sampler(steps=5, guidance=2.5, sampler="ode")
    assert (asked.num_steps, asked.kind, asked.guidance.power, asked.guidance.scale) == (5, "ode", None, 2.5)
    assert asked.snaps


def test_a_faithful_shot_can_be_made_again(model: ModelFolder, tmp_path: Path) -> None:
    saying(model, CLEAN)
    plate = write_plate(tmp_path / "plate", count=1)
    made = render(model.path, tmp_path / "first", plate=plate, faithful=True)
    assert json.loads(header(made.frames[0])["layerflow:request"])["faithful"] is True
    shots.rerun(str(made.frames[0]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert contents(tmp_path / "again") == contents(tmp_path / "first")


def test_what_is_cleaned_up_is_told(model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for fidelity, told in ((RELEASED, "nothing"), (replace(CLEAN, snapping=True), "guidance, posterior, condition")):
        saying(model, fidelity)
        assert run(["models", "info", str(model.path)]) == 0
        assert f"\ncleaned_up: {told}\n" in capsys.readouterr().out
