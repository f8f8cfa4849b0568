"""The network on small random weights: its positions, and what each of its additions does and does not touch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import PROMPT_TOKENS, TEXT_WIDTH, tiny_transformer
from torch import Tensor

from layerflow.layout import task_layouts
from layerflow.sampler import NoiseSchedule
from layerflow.transformer import (
    NORM_OUT_EPS,
    CopyGate,
    LayerFlowTransformer,
    LayerView,
    Preconditioner,
    sincos_positions,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CHANNELS, FRAMES, ROWS, COLUMNS = 4, 8, 2, 3  # rows and columns of tokens; a token is 2 x 2 latents
LAYOUTS = task_layouts(8, 2)


def network(seed: int = 0, **options: Any) -> LayerFlowTransformer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return tiny_transformer(CHANNELS, LAYOUTS, **options)


def inputs(batch: int = 1, frames: int = FRAMES, rows: int = ROWS, prompts: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        "latents": torch.randn(batch, frames, CHANNELS, 2 * rows, 2 * COLUMNS, generator=generator),
        "timestep": torch.linspace(700, 100, batch),
        "text": torch.randn(batch, prompts, PROMPT_TOKENS, TEXT_WIDTH, generator=generator),
        "layer_index": torch.arange(float(prompts)),
    }


def reference_positions(width: int, frames: int, rows: int, columns: int, scale: float) -> np.ndarray:
    """Channels: first quarter time, then columns, then rows; each sines, then cosines. One token after another."""

    def one(position: float, channels: int) -> list[float]:
        angles = [position / 10000 ** (i / (channels // 2)) for i in range(channels // 2)]
        return [math.sin(x) for x in angles] + [math.cos(x) for x in angles]

    quarter, rest = width // 4, 3 * width // 8
    return np.array(
        [
            [
                [one(f, quarter) + one(c / scale, rest) + one(r / scale, rest) for c in range(columns)]
                for r in range(rows)
            ]
            for f in range(frames)
        ],
        np.float32,
    )


def test_positions_are_the_released_table() -> None:
    table = sincos_positions(32, 5, 3, 4, scale=1.875)
    np.testing.assert_allclose(table.numpy(), reference_positions(32, 5, 3, 4, 1.875), atol=1e-6)


def test_stored_positions_are_used_where_they_fit() -> None:
    net = network()
    text, video = net.positions(20, 5, ROWS, COLUMNS)
    assert torch.equal(text, net.text_positions[:20]) and torch.equal(video, net.video_positions[:5])


def test_another_grid_takes_the_stored_positions_from_between() -> None:
    """Twice as fine, a token lies a quarter of the way from one stored place to the next."""
    net = network(trained_positions=True)
    stored = net.video_positions.detach()
    _, video = net.positions(20, 3, 2 * ROWS, COLUMNS)
    expected = 0.75 * stored[:3, 0] + 0.25 * stored[:3, 1]
    torch.testing.assert_close(video[:, 1], expected, atol=1e-6, rtol=0)
    assert torch.equal(video[:, 0], stored[:3, 0]) and torch.equal(video[:, -1], stored[:3, -1])
    assert net.positions(20, 3, COLUMNS, ROWS)[1].shape == (3, COLUMNS, ROWS, stored.shape[-1])
    assert net.bfloat16().positions(20, 3, 1, 1)[1].dtype == torch.bfloat16


def test_more_frames_take_the_table_that_training_started_from() -> None:
    net = network()
    for frames, rows, columns in ((FRAMES + 1, ROWS, COLUMNS), (FRAMES + 1, ROWS + 1, COLUMNS)):
        _, video = net.positions(20, frames, rows, columns)
        np.testing.assert_allclose(
            video.numpy(), reference_positions(32, frames, rows, columns, net.config.position_scale), atol=1e-6
        )


def test_more_prompts_than_stored_have_no_position() -> None:
    net = network()
    text, _ = net.positions(3 * PROMPT_TOKENS + 5, 1, ROWS, COLUMNS)
    assert torch.equal(text[: 3 * PROMPT_TOKENS], net.text_positions) and (text[3 * PROMPT_TOKENS :] == 0).all()


@pytest.mark.parametrize(("frames", "rows", "prompts"), [(1, 1, 1), (8, 2, 3), (20, 5, 3), (8, 2, 7), (17, 3, 2)])
def test_any_number_of_frames_rows_and_prompts(frames: int, rows: int, prompts: int) -> None:
    given = inputs(frames=frames, rows=rows, prompts=prompts)
    v = network()(**given)
    assert v.shape == given["latents"].shape and v.isfinite().all()


def test_a_batch_is_its_items_alone() -> None:
    net, both = network(has_given_embedding=True, mixed_layers=4), inputs(batch=2)
    whole = net(**both)
    for item in range(2):
        alone = {name: value[item : item + 1] for name, value in both.items() if name != "layer_index"}
        torch.testing.assert_close(whole[item : item + 1], net(**alone, layer_index=both["layer_index"]))


@pytest.mark.parametrize("name", ["latents", "timestep", "text", "layer_index"])
def test_everything_it_is_told_matters(name: str) -> None:
    net, told = network(), inputs()
    assert not torch.allclose(net(**told), net(**{**told, name: told[name] + 1.0}), atol=1e-4)


def test_the_order_of_layers_in_time_matters() -> None:
    net, told = network(), inputs()
    rolled = net(**{**told, "latents": told["latents"].roll(2, dims=1)}).roll(-2, dims=1)
    assert not torch.allclose(net(**told), rolled, atol=1e-4)


def tokens_of(net: LayerFlowTransformer, told: dict[str, Tensor], given: Tensor | None = None) -> Tensor:
    """Video tokens as the first block sees them, [F, rows, columns, D]."""
    seen: list[Tensor] = []
    hook = net.transformer_blocks[0].register_forward_pre_hook(lambda block, args: seen.append(args[0]))
    net(**told, given=given)
    hook.remove()
    return seen[0].unflatten(1, (-1, ROWS, COLUMNS))[0]


def test_the_given_embedding_touches_given_frames_only() -> None:
    net, told = network(has_given_embedding=True), inputs()
    given = torch.zeros(FRAMES, dtype=torch.bool)
    given[[1, 6]] = True
    added = tokens_of(net, told, given) - tokens_of(net, told)
    assert (added[~given] == 0).all()
    torch.testing.assert_close(added[given], net.given_embedding.expand(2, ROWS, COLUMNS, -1), atol=1e-6, rtol=1e-5)


def test_without_its_embedding_what_is_given_changes_nothing() -> None:
    net, told = network(), inputs()
    assert torch.equal(net(**told), net(**told, given=torch.ones(FRAMES, dtype=torch.bool)))


def test_a_layer_view_shows_all_layers_the_same() -> None:
    view, latents = LayerView(32, 4, CHANNELS, 2), inputs()["latents"]
    seen = view(latents).unflatten(1, (4, 2, ROWS * COLUMNS))  # layer, frame, place
    assert all(torch.equal(seen[:, 0], seen[:, layer]) for layer in range(4))
    latents[:, 3] += 1.0  # the second frame of the second layer
    moved = (view(latents).unflatten(1, (4, 2, ROWS * COLUMNS)) != seen).any(-1)
    assert moved[:, :, 1].all() and not moved[:, :, 0].any()


def test_a_fresh_copy_gate_changes_nothing() -> None:
    with torch.random.fork_rng(devices=[]):
        net = LayerFlowTransformer(
            num_attention_heads=2,
            attention_head_dim=16,
            num_blocks=1,
            latent_channels=CHANNELS,
            text_width=TEXT_WIDTH,
            time_width=16,
            mixed_layers=4,
        ).eval()
    with_gate = net(**inputs())
    net.copy_gate = None
    assert torch.equal(net(**inputs()), with_gate)


def test_a_copy_gate_copies_one_layer_into_another() -> None:
    gate, latents = CopyGate(32, 4, 2), inputs()["latents"]
    hidden = torch.randn(1, FRAMES, ROWS, COLUMNS, 32)
    with torch.no_grad():
        gate.gates[2].bias.unflatten(0, (4, 2, 2))[3] = 1.0  # all of layer 3 goes into layer 2
    copied = gate(hidden, latents).unflatten(1, (4, 2))
    assert torch.equal(copied[:, 2], latents.unflatten(1, (4, 2))[:, 3])
    assert (copied[:, [0, 1, 3]] == 0).all()


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("timestep", [0, 300, 700, 999])
def test_preconditioning_is_the_best_linear_guess(spread: float, timestep: int) -> None:
    """Held against a least-squares fit of v to x_t on drawn data, and the spread of what it leaves."""
    scaling = Preconditioner(1, 1)
    scaling.rms.fill_(spread)
    scaling.signal.copy_(NoiseSchedule().training_signal)
    a = float(scaling.signal[timestep])
    data, noise = torch.randn(2, 400_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    data = data * spread
    x, v = a * data + math.sqrt(1 - a * a) * noise, a * noise - math.sqrt(1 - a * a) * data
    c_in, c_skip, c_out = (float(c) for c in scaling(torch.zeros(1, 1, 1, 1, 1), torch.tensor([float(timestep)]), None))
    assert c_in * spread == pytest.approx(float((x * data).sum() / (x * x).sum()), abs=0.01)
    assert c_skip == pytest.approx(float((x * v).sum() / (x * x).sum()), abs=0.01)
    assert c_out == pytest.approx(float((v - c_skip * x).std()), rel=0.01)


def test_preconditioning_takes_given_latents_as_noiseless() -> None:
    scaling = Preconditioner(2, CHANNELS)
    scaling.rms.copy_(torch.arange(1.0, 9.0).reshape(2, CHANNELS))
    scaling.signal.copy_(NoiseSchedule().training_signal)
    given = torch.tensor([False, False, True, True])
    c_in, c_skip, c_out = scaling(torch.zeros(1, 4, CHANNELS, 1, 1), torch.tensor([999.0]), given)
    torch.testing.assert_close(c_in[0, 2:, :, 0, 0], (1 / scaling.rms[1]).expand(2, -1))
    assert (c_skip == 0).all() and torch.equal(c_out[0, 0, :, 0, 0], scaling.rms[0])  # of pure noise nothing is kept


LOW = (torch.bfloat16, torch.float16)


def in_low_precision(net: LayerFlowTransformer, folder: Path, dtype: torch.dtype) -> list[LayerFlowTransformer]:
    """The network cast, and the network loaded so."""
    net.save_pretrained(folder)
    return [net.to(dtype), LayerFlowTransformer.from_pretrained(folder, torch_dtype=dtype).eval()]


@pytest.mark.parametrize("dtype", LOW)
def test_scaling_stays_float32_in_any_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    net = network(mixed_layers=4)
    net.precondition.rms.uniform_(0.1, 1.0)
    net.precondition.signal.copy_(NoiseSchedule().training_signal)
    exact = {name: value.clone() for name, value in net.precondition.state_dict().items()}
    for low in in_low_precision(net, tmp_path, dtype):
        assert low.dtype == low.copy_gate.gates[0].weight.dtype == dtype
        for name, value in low.precondition.state_dict().items():
            assert value.dtype == torch.float32 and torch.equal(value, exact[name])


@pytest.mark.parametrize("dtype", LOW)
def test_what_a_silent_network_leaves_of_v_is_exact_in_any_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    """With nothing from the network proper, v is the linear guess, to the last bit of float32."""
    net, told = network(mixed_layers=4), inputs()
    with torch.no_grad():
        for layer in (net.proj_out, *net.copy_gate.gates):
            layer.weight.zero_()
            layer.bias.zero_()
        net.precondition.rms.uniform_(0.1, 1.0)
        net.precondition.signal.copy_(NoiseSchedule().training_signal)
    v = net(**told)
    for low in in_low_precision(net, tmp_path, dtype):
        assert torch.equal(low(**{**told, "text": told["text"].to(dtype)}), v)


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("mixed_layers", [0, 4])
def test_v_is_float32_and_near_in_any_precision(tmp_path: Path, dtype: torch.dtype, mixed_layers: int) -> None:
    net, told = network(mixed_layers=mixed_layers), inputs()
    v = net(**told)
    for low in in_low_precision(net, tmp_path, dtype):
        near = low(**{**told, "text": told["text"].to(dtype)})
        assert near.dtype == torch.float32 and not torch.equal(near, v)
        assert (near - v).abs().max() < 0.1 * v.std()


def test_norms_have_the_released_epsilons() -> None:
    net = network()
    assert net.norm_out.norm.eps == NORM_OUT_EPS == 1e-6
    assert net.norm_final.eps == 1e-5 and net.transformer_blocks[0].attn1.norm_q.eps == 1e-6
    assert net.layer_embedding.norm.eps == 1e-5


def test_text_is_left_out_after_the_blocks_without_a_trace() -> None:
    """The final norm works on each token alone: over text and video, as released, it gives the same video."""
    net, told = network(), inputs()
    seen: list[tuple[Tensor, Tensor]] = []
    net.transformer_blocks[-1].register_forward_hook(lambda block, args, out: seen.append(out))
    v = net(**told)
    video, text = seen[0]
    both = net.norm_final(torch.cat([text, video], dim=1))[:, text.shape[1] :]
    temb = net.time_embedding(net.time_proj(told["timestep"]))
    torch.testing.assert_close(net._to_latents(net.norm_out(both, temb=temb), told["latents"]), v)


def test_weights_on_disk_are_the_same_network(tmp_path: Path) -> None:
    net, told = network(mixed_layers=4, has_given_embedding=True, trained_positions=True), inputs()
    with torch.no_grad():
        net.precondition.rms.fill_(0.3)
    net.save_pretrained(tmp_path)
    again = LayerFlowTransformer.from_pretrained(tmp_path).eval()
    assert torch.equal(again(**told), net(**told)) and again.video_positions.requires_grad


def test_checkpointed_gradients_are_those_of_all_activations_kept() -> None:
    plain, spared = network().train(), network().train()
    spared.enable_gradient_checkpointing()
    calls = []
    remembered = spared._gradient_checkpointing_func
    spared._gradient_checkpointing_func = lambda block, *args: calls.append(block) or remembered(block, *args)
    for each in (plain, spared):
        each(**inputs()).square().mean().backward()
    assert calls == list(spared.transformer_blocks)
    for mine, other in zip(plain.parameters(), spared.parameters(), strict=True):
        assert (mine.grad is None) == (other.grad is None)
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, other.grad, rtol=0, atol=0)
