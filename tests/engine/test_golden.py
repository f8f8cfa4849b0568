"""Parity with recorded runs of the official code. `LAYERFLOW_GOLDEN` names another set than tests/golden.

Every size, step count and name is read from the set itself; a test runs once for each file of its kind that is there.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from released_files import write_base, write_checkpoint, write_sat_base
from safetensors.torch import load_file
from torch import Tensor

from layerflow.cli.app import run
from layerflow.codec import VideoVAE
from layerflow.denoisers import LayerDenoiser, eager, given_mask, splice
from layerflow.layout import VARIANTS
from layerflow.models.base import vae_config
from layerflow.models.folder import open_model
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.models.released import PREFIX
from layerflow.models.sat import vae_state
from layerflow.pipeline import Clip, sequence_pixels
from layerflow.preprocess import cover_crop, signed_foreground
from layerflow.sampler import Guidance, NoiseSchedule, Sampler, SamplerState, guided
from layerflow.text import layer_index, layer_prompts
from layerflow.training.objective import v_loss
from layerflow.transformer import LayerFlowTransformer, sincos_positions

GOLDEN = Path(os.environ.get("LAYERFLOW_GOLDEN") or Path(__file__).parents[1] / "golden")
TIGHT = 5e-6
ULP = 1.2e-7  # float32 rounding of values in [-1, 1]


def names(prefix: str) -> list[str]:
    return sorted(path.stem.removeprefix(prefix) for path in GOLDEN.glob(f"{prefix}*.json"))


@cache
def record(stem: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{stem}.json").read_text())


@cache
def tensors(stem: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{stem}.safetensors")


def worst(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape
    return float((got.double() - expected.double()).abs().max())


def spread(expected: Tensor) -> float:
    return float(expected.max() - expected.min())


@cache
def folder() -> Path:
    """A place for imported models that lasts as long as the process."""
    place = tempfile.TemporaryDirectory(prefix="layerflow-golden-")
    atexit.register(place.cleanup)
    return Path(place.name)


@cache
def imported(variant: str) -> Path:
    """The recorded checkpoint of `variant`, imported from files in the released layout through the public command.

    In turn: wrapped with all that a training run leaves or bare, beside a base in the authors' form or in diffusers'.
    """
    about = record(f"layerflow-{variant}")["tiny_config"]
    weights = {key: value for key, value in tensors(f"layerflow-{variant}").items() if key.startswith(PREFIX)}
    odd = bool(list(VARIANTS).index(variant) % 2)
    source = write_checkpoint(folder() / "download", variant, weights, whole_run=odd)
    size = ("--height", 8 * about["lat_h"], "--width", 8 * about["lat_w"], "--prompt-tokens", about["L"])
    named = () if odd else ("--variant", variant)  # else the name of its folder tells it from others of its shapes
    target = folder() / "models" / variant
    command = ("models", "import", source, "--base", base(about["text_hidden"], sat=odd), *named, *size, "-o", target)
    assert run([str(part) for part in command]) == 0
    return target


@cache
def base(text_width: int, *, sat: bool) -> Path:
    """CogVideoX-2B with the recorded VAE in one of its two forms."""
    weights = {key.removeprefix("vae."): value for key, value in tensors("vae-weights").items()}
    if sat:
        return write_sat_base(folder() / f"sat-{text_width}", weights, text_width=text_width)
    vae = AutoencoderKLCogVideoX(**vae_config(weights))
    vae.load_state_dict(vae_state(weights))
    return write_base(folder() / f"diffusers-{text_width}", vae, text_width=text_width)


@cache
def engine(variant: str, motion: float = 0.0) -> Engine:
    """The imported model, loaded as a shot would load it."""
    options = LoadOptions(device="cpu", precision="float32", memory="full", motion=motion)
    return load_engine(open_model(imported(variant)), options)


def transformer(variant: str, motion: float = 0.0) -> LayerFlowTransformer:
    return engine(variant, motion).transformer


def recorded_codec() -> VideoVAE:
    """The recorded VAE, out of any imported model."""
    found = engine(names("layerflow-")[0]).codec
    assert isinstance(found, VideoVAE)
    return found


@cache
def schedule() -> NoiseSchedule:
    about = record("sampler")["schedule"]
    return NoiseSchedule(linear_start=about["linear_start"], linear_end=about["linear_end"], shift=about["shift_scale"])


NETWORK_CASES = [(variant, case) for variant in names("layerflow-") for case in record(f"layerflow-{variant}")["cases"]]


@pytest.mark.parametrize("variant", names("layerflow-"))
def test_layout_is_the_recorded_one(variant: str) -> None:
    layout, recorded = VARIANTS[variant].layout, record(f"layerflow-{variant}")
    given = recorded["cond_range_in_sequence"]
    assert layout.num_latents == recorded["latent_frames_in_sequence"]
    assert layout.given == ((tuple(given),) if given else ())
    assert len(layout.prompts) == recorded["n_prompts"]
    assert VARIANTS[variant].position_frames == recorded["pos_embed_latent_frames"]


@pytest.mark.parametrize(("variant", "case"), NETWORK_CASES)
def test_network_output(variant: str, case: str) -> None:
    layout, stored = VARIANTS[variant].layout, tensors(f"layerflow-{variant}")
    x, timesteps = stored[f"{case}.x"], stored[f"{case}.timesteps"]
    given = stored.get(f"{case}.cond_input", x.new_zeros(len(x), 0, *x.shape[2:]))
    whole = splice(layout, x, given)
    text = stored[f"{case}.text"].unflatten(0, (len(x), -1))
    scale = record(f"layerflow-{variant}")["cases"][case]["scale"]
    scales = scale if isinstance(scale, list) else [scale] * len(x)
    with torch.inference_mode():
        rows = [  # the motion LoRA's scale belongs to a sample, and is merged into the weights here
            transformer(variant, float(motion))(whole[[i]], timesteps[[i]], text[[i]], layer_index(layout))
            for i, motion in enumerate(scales)
        ]
    assert worst(torch.cat(rows)[:, ~given_mask(layout)], stored[f"{case}.output"]) < TIGHT


def test_schedule_tables() -> None:
    stored = tensors("sampler")
    assert worst(schedule().alphas_cumprod, stored["alphas_cumprod_shifted_1000_f64"]) < TIGHT
    assert worst(schedule().training_signal, stored["alphas_cumprod_sqrt_1000"]) < TIGHT


def step_counts() -> list[int]:
    return sorted(int(key.removeprefix("traj").removesuffix(".final")) for key in tensors("sampler") if ".final" in key)


@pytest.mark.parametrize("num_steps", step_counts())
def test_step_tables(num_steps: int) -> None:
    stored, guidance = tensors("sampler"), Guidance()
    timesteps = schedule().timesteps(num_steps)
    assert timesteps == sorted(stored[f"timesteps_{num_steps}"].tolist(), reverse=True)
    assert worst(schedule().signal(num_steps), stored[f"alphas_cumprod_sqrt_{num_steps}"]) < TIGHT
    weights = torch.tensor([guidance.weight(t, num_steps) for t in timesteps], dtype=torch.float64)
    assert worst(weights, stored[f"traj{num_steps}.guidance"]) < TIGHT
    told = torch.tensor([schedule().quantised(float(a)) for a in schedule().signal(num_steps)], dtype=torch.float64)
    assert worst(told, stored[f"traj{num_steps}.alpha_quantised"]) < TIGHT


@pytest.mark.parametrize("num_steps", step_counts())
def test_trajectory(num_steps: int) -> None:
    stored, numbers = tensors("sampler"), record("sampler")["network"]["params"]

    def network(latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        half = torch.tensor([0.0, 1.0])[-len(latents) :].view(-1, 1, 1, 1, 1)  # 0 for the unconditional row
        wave = torch.sin(timestep / numbers["t_period"]).view(-1, 1, 1, 1, 1)
        return torch.tanh(numbers["x_scale"] * latents + numbers["sin_scale"] * half * wave)

    # The release computes both halves even where the weight is 1.0005; the product's shortcut has a test of its own.
    sampler = Sampler(num_steps=num_steps, schedule=schedule(), guidance=Guidance(skip_within=0.0))
    guided_v = guided(network, torch.ones(1, 1, 1, 1), sampler.guidance)
    draws = iter(stored[f"traj{num_steps}.noise_all"])
    state = SamplerState(step=0, latents=stored[f"traj{num_steps}.x0"])
    for index in range(num_steps):
        state = sampler.step(state, guided_v, lambda: next(draws))
        assert worst(state.latents, stored[f"traj{num_steps}.x_after"][index]) < TIGHT
        assert state.previous is not None
        assert worst(state.previous, stored[f"traj{num_steps}.denoised"][index]) < TIGHT
    assert next(draws, None) is None
    assert worst(state.latents, stored[f"traj{num_steps}.final"]) < TIGHT


@pytest.mark.parametrize("case", sorted(key.split(".")[1] for key in tensors("preprocess") if key.endswith(".in")))
def test_resize(case: str) -> None:
    stored = tensors("preprocess")
    expected = stored[f"resize.{case}.out"]
    got = cover_crop(stored[f"resize.{case}.in"], *expected.shape[-2:])
    assert worst(got.reshape(expected.shape), expected) == 0.0


def test_foreground_over_grey() -> None:
    rgba = tensors("preprocess")["ips.rgba"].permute(2, 0, 1) / 255.0
    assert worst(signed_foreground(rgba[:3], rgba[3:]), tensors("preprocess")["ips.out"]) <= ULP


@pytest.mark.parametrize("item", sorted(key.split(".")[1] for key in tensors("preprocess") if key.startswith("item.")))
def test_data_item(item: str) -> None:
    stored, about = tensors("preprocess"), record("preprocess")["items"][item]
    expected, picks = stored[f"item.{item}.mp4"], about["source_frame_indices"]
    picture, background = (stored[f"frames.{name}"].movedim(-1, 1) for name in ("img", "bg"))
    mask = stored["frames.mask_half" if "half" in item else "frames.mask"].numpy()
    fitted = np.stack([cv2.resize(frame, picture.shape[:1:-1]) for frame in mask])
    alpha = torch.from_numpy(fitted)[:, None]
    video = picture / 127.5 - 1.0
    clips = {
        "fg(rgb*alpha)": video * (alpha / 255.0),
        "alpha(as rgb)": (alpha / 127.5 - 1.0).expand_as(video),
        "bg": video if about["layout"] == "DAVIS" else background / 127.5 - 1.0,
        "blended": video,
    }
    order = [name for name in clips if "rgba" in item or not name.startswith("alpha")]
    got = torch.cat([cover_crop(clips[name][picks], *expected.shape[-2:]) for name in order])
    assert worst(got, expected) <= ULP


@pytest.mark.parametrize("table", [name for name in record("preprocess") if name.startswith("posembed.")])
def test_positions(table: str) -> None:
    about, expected = record("preprocess")[table], tensors("preprocess")[table]
    if "index" not in about:
        size = about["hidden"], about["t"], about["grid_h"], about["grid_w"]
        assert worst(sincos_positions(*size, scale=about["h_interp"]).flatten(0, 2), expected) < TIGHT
        return
    frames, tokens = (eval_ints(part) for part in re.findall(r"in \(([^)]*)\)", about["index"]))
    rows, columns, hidden = map(int, re.search(r"grid (\d+)x(\d+), hidden (\d+)", about["index"]).groups())  # type: ignore[union-attr]
    whole = sincos_positions(hidden, max(frames) + 1, rows, columns, scale=1.875).flatten(1, 2)
    assert worst(whole[frames][:, tokens], expected) < TIGHT


def eval_ints(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number.strip()]


def test_vae_keys() -> None:
    mapping = record("vae")["diffusers_mapping"]
    state = {key: torch.empty(0) for key in mapping}
    assert dict(zip(mapping, vae_state(state), strict=True)) == mapping


@pytest.mark.parametrize("clip", sorted(record("vae")["clips"]))
def test_vae_clip(clip: str) -> None:
    stored, codec = tensors("vae-clips"), recorded_codec()
    pixels = stored[f"{clip}.input"][0].float().movedim(0, 1)
    mean, std = codec.posterior(pixels)
    sample = mean + std * stored[f"{clip}.sample_noise"]
    assert worst(sample, stored[f"{clip}.latent"]) < 1e-4 * spread(stored[f"{clip}.latent"])
    if f"{clip}.decoded" in stored:
        latents = codec.scaled(stored[f"{clip}.latent"])
        expected = stored[f"{clip}.decoded"][0].movedim(0, 1)
        assert worst(torch.cat(list(codec.stream(latents))), expected) < 1e-4 * spread(expected)


@pytest.mark.parametrize("variant", names("e2e-"))
def test_end_to_end(variant: str) -> None:
    about, stored, layout = record(f"e2e-{variant}"), tensors(f"e2e-{variant}"), VARIANTS[variant].layout
    codec = engine(variant).codec
    assert isinstance(codec, VideoVAE)
    assert codec.scale == about["scale_factor"]

    sent = about["texts_as_sent_to_T5"][0]
    prompts = {name: prompt.split(", ", 1)[1] for name, prompt in zip(layout.prompts, sent, strict=True)}
    assert layer_prompts(layout, prompts) == sent

    pictures = stored["mp4"][0].float().split(layout.num_frames)
    given = dict(zip(layout.layers, pictures, strict=True))
    clip = Clip(layout=layout, prompts={}, given=given, seed=0, height=0, width=0)
    mean, std = codec.posterior(sequence_pixels(clip))
    encoded = codec.scaled(mean + std * stored["encode_noise"])
    assert_near(encoded[None], stored["z_encoded"])
    condition = encoded[given_mask(layout)][None]
    if "cond_input" in stored:
        assert_near(condition, stored["cond_input"])

    denoiser = LayerDenoiser(network=eager(transformer(variant)), layout=layout, given=condition)
    text = stored["text_cond"][None]
    assert not stored["text_uncond"].any()
    both = torch.cat([torch.zeros_like(text), text])
    assert_near(denoiser(stored["step0.x"], stored["step0.t"], both), stored["step0.out"])

    sampler = Sampler(num_steps=about["num_steps"], schedule=schedule())
    draws = iter(stored["sampler_noise_all"])
    state = SamplerState(step=0, latents=stored["x_T"])
    while state.step < sampler.num_steps:
        state = sampler.step(state, guided(denoiser, text, sampler.guidance), lambda: next(draws))
    final = splice(layout, state.latents, condition)
    assert_near(final, stored["final_latents"])

    decoded = torch.cat(list(codec.stream(final[0])))[about["decoded_frames_saved"]]
    assert_near(decoded[None], stored["decoded_pick"])


def assert_near(got: Tensor, expected: Tensor) -> None:
    assert worst(got, expected) < 1e-4 * spread(expected)


@pytest.mark.parametrize("variant", sorted(record("loss").keys() & set(names("layerflow-"))))
def test_training_loss(variant: str) -> None:
    stored, layout = tensors("loss"), VARIANTS[variant].layout
    get = {name: stored[f"{variant}.{name}"] for name in ("z", "noise", "text", "idx", "scale", "loss")}
    text = get["text"].unflatten(0, (len(get["z"]), -1))
    losses = []
    with torch.inference_mode():
        for i, motion in enumerate(get["scale"]):
            rows = get["z"][[i]], get["noise"][[i]], text[[i]], get["idx"][[i]]
            losses.append(v_loss(transformer(variant, float(motion)), *rows, layout, schedule()))
    assert math.isclose(float(torch.stack(losses).mean()), float(get["loss"]), abs_tol=TIGHT)
