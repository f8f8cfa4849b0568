"""Which steps reuse which, on paper and on tiny networks; and that no clip, window or guidance half sees another's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_transformer
from torch import Tensor

from layerflow.denoisers import eager
from layerflow.errors import Interrupted, RequestError
from layerflow.layout import Layout, task_layouts
from layerflow.models.backends import Guarded
from layerflow.models.folder import open_model
from layerflow.models.load import Engine, load_engine
from layerflow.pipeline import Clip, make_clip
from layerflow.sampler import Sampler, SamplerState, with_constant_guidance
from layerflow.step_cache import Reuse, layer_changes, reusing
from layerflow.transformer import LayerFlowTransformer

pytestmark = pytest.mark.usefixtures("one_thread")
LAYOUTS = task_layouts(8, 2)
EVERYTHING = Reuse(limit=1e9, alpha_limit=1e9, every=4)
NOTHING = Reuse(limit=0.0, alpha_limit=0.0, every=4)


def network() -> LayerFlowTransformer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny_transformer(4, LAYOUTS)


def told(seed: int, rows: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
    generator = torch.Generator().manual_seed(seed)
    latents, text = torch.randn(rows, 8, 4, 4, 6, generator=generator), torch.randn(rows, 3, 8, 32, generator=generator)
    return latents, torch.full((rows,), 500.0 - seed), text, torch.arange(3.0), None


def watched(transformer: LayerFlowTransformer) -> list[int]:
    """Grows by one number, the batch size, with every call that runs the last block."""
    ran: list[int] = []
    transformer.transformer_blocks[-1].attn1.register_forward_pre_hook(
        lambda module, args, kwargs: ran.append(len(kwargs["hidden_states"])), with_kwargs=True
    )
    return ran


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Engine:
    return load_engine(open_model(tiny_model))


def clip(layout: Layout, seed: int = 0) -> Clip:
    prompts = {"foreground": "a red dog", "background": "the garden"}
    return Clip(layout=layout, prompts=prompts, given={}, seed=seed, height=32, width=48)


def made(
    engine: Engine,
    reuse: Reuse | None,
    *,
    seed: int = 0,
    sampler: Sampler | None = None,
    state: SamplerState | None = None,
    on_state: Callable[[SamplerState], None] = lambda state: None,
) -> Tensor:
    sampler = sampler or replace(engine.folder.sampler("generate"), num_steps=10)
    own = clip(engine.folder.layout("generate"), seed)
    layers = make_clip(engine, own, sampler, reuse=reuse, state=state, on_state=on_state)
    return torch.stack([*layers.values()])


def test_a_layer_s_change_is_relative_and_of_the_row_that_changed_most() -> None:
    before = torch.ones(2, 8 * 3, 5)
    now = before.clone()
    now[0, 0 * 6 : 1 * 6] = 1.5  # foreground, latent frames 0 and 1 of 3 tokens each
    now[1, 0 * 6 : 1 * 6] = 1.25
    now[1, 1 * 6 : 2 * 6, 0] = -4.0  # one of five channels of the alpha
    now[:, 3 * 6 :] = 9.0  # blended
    assert layer_changes(now, before, LAYOUTS["generate"]) == pytest.approx(
        {"foreground": 0.5, "alpha": 1.0, "background": 0.0, "blended": 8.0}
    )
    assert "blended" not in layer_changes(now, before, LAYOUTS["decompose"])  # it is given


def test_the_alpha_has_a_limit_of_its_own() -> None:
    reuse = Reuse(limit=0.3, alpha_limit=0.1)
    assert reuse.allows({"foreground": 0.3, "alpha": 0.1, "background": 0.0})
    assert not reuse.allows({"foreground": 0.0, "alpha": 0.11})
    assert not reuse.allows({"foreground": 0.31, "alpha": 0.0})
    assert not reuse.allows({"foreground": float("nan"), "alpha": 0.0})


@pytest.mark.parametrize("broken", [{"limit": -0.1}, {"alpha_limit": float("nan")}, {"every": 0}])
def test_impossible_limits_are_refused(broken: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="limits must not be below 0 nor every below 1"):
        Reuse(**{"limit": 0.1, "alpha_limit": 0.1, **broken})


def test_a_reused_step_is_its_own_first_block_and_what_the_others_added_before() -> None:
    transformer = network()
    first, last = transformer.transformer_blocks
    ran, seen = watched(transformer), dict[str, Tensor]()
    with torch.inference_mode(), reusing(transformer, LAYOUTS["generate"], EVERYTHING) as begin:
        begin(0)
        whole = transformer(*told(1))
        begin(1)
        watch = transformer.norm_final.register_forward_pre_hook(lambda _, args: seen.update(reused=args[0]))
        reused = transformer(*told(2))
        watch.remove()
    assert ran == [1] and not torch.equal(whole, reused)
    inputs = list[tuple[Tensor, ...]]()
    for block in (first, last):
        block.register_forward_hook(lambda _, args, out: inputs.append((args[0], out[0])))
    with torch.inference_mode():
        transformer(*told(1))
        transformer(*told(2))
    (_, head_1), (_, tail_1), (_, head_2), _ = inputs
    torch.testing.assert_close(seen["reused"], head_2 + (tail_1 - head_1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("every", "whole"), [(1, 10), (4, 3), (5, 2), (20, 1)])
def test_every_so_many_steps_are_whole(engine: Engine, every: int, whole: int) -> None:
    ran = watched(engine.transformer)
    made(engine, replace(EVERYTHING, every=every))
    assert len(ran) == whole


def test_where_nothing_may_change_nothing_is_reused(engine: Engine) -> None:
    assert torch.equal(made(engine, NOTHING), made(engine, None))


def test_the_alpha_alone_can_forbid_it(engine: Engine) -> None:
    ran = watched(engine.transformer)
    made(engine, replace(EVERYTHING, alpha_limit=0.0))
    assert len(ran) == 10


def test_the_error_falls_with_the_limit(engine: Engine) -> None:
    exact = made(engine, None)
    errors = [float((made(engine, Reuse(limit=x, alpha_limit=x)) - exact).abs().mean()) for x in (0.0, 0.6, 1e9)]
    assert errors[0] == 0.0 < errors[1] < errors[2] < 0.2


def test_nothing_is_left_on_the_network(engine: Engine) -> None:
    before = made(engine, None)
    transformer = engine.transformer
    made(engine, EVERYTHING)
    assert torch.equal(made(engine, None), before)
    with pytest.raises(Interrupted), reusing(transformer, LAYOUTS["generate"], EVERYTHING):
        raise Interrupted("stopped")
    assert torch.equal(made(engine, None), before)
    assert all(not block._diffusers_hook.hooks for block in transformer.transformer_blocks)


def test_no_clip_sees_another_s_steps(engine: Engine) -> None:
    alone = made(engine, EVERYTHING, seed=1)
    made(engine, EVERYTHING, seed=2)
    assert torch.equal(made(engine, EVERYTHING, seed=1), alone)


def test_one_half_of_a_guidance_batch_is_never_the_other(engine: Engine) -> None:
    """Guidance ends after five steps: the first step without it has nothing to reuse, though all would be allowed."""
    own = with_constant_guidance(replace(engine.folder.sampler("generate"), num_steps=10), 3.0)
    sampler = replace(own, guidance=replace(own.guidance, guided_from=own.timesteps[4]))
    ran = watched(engine.transformer)
    made(engine, replace(EVERYTHING, every=20), sampler=sampler)
    assert ran == [2, 1]


def test_a_run_goes_on_from_any_step_that_begins_anew_to_the_same_bits(engine: Engine) -> None:
    reuse, states = Reuse(limit=1e9, alpha_limit=1e9, every=4), dict[int, SamplerState]()
    undisturbed = made(engine, reuse, on_state=lambda state: states.update({state.step: state}))
    for step in (4, 8):
        assert torch.equal(made(engine, reuse, state=states[step]), undisturbed)
    with pytest.raises(ValueError, match="no run can go on from step 5"):
        made(engine, reuse, state=states[5])


def test_a_network_of_one_block_is_left_as_it_is() -> None:
    transformer = network()
    del transformer.transformer_blocks[1]
    with torch.inference_mode(), reusing(transformer, LAYOUTS["generate"], EVERYTHING) as begin:
        begin(0)
        assert torch.equal(eager(transformer)(*told(1)), eager(transformer)(*told(1)))
        assert not hasattr(transformer.transformer_blocks[0], "_diffusers_hook")


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_a_backend_s_check_does_not_touch_what_steps_reuse(engine: Engine, factor: float) -> None:
    """A backend that runs the blocks, right, or on other latents and found wrong: either way eager's own result."""
    reuse, eager = Reuse(limit=0.5, alpha_limit=0.5), engine.transformer
    said: list[str] = []

    def network(latents: Tensor, *others: Any) -> Tensor:
        v: Tensor = eager(factor * latents, *others)
        return v

    guarded = Guarded(name="near", network=network, eager=eager, tolerance=1e-4, warn=said.append)
    with_check, plain = (made(replace(engine, network=each), reuse) for each in (guarded, eager))
    assert torch.equal(with_check, plain) and not torch.equal(plain, made(engine, None))
    assert bool(said) is (factor != 1.0)


def test_a_backend_in_one_piece_is_refused_though_its_check_runs_the_blocks(engine: Engine) -> None:
    apart = copy.deepcopy(engine.transformer)
    guarded = Guarded(name="whole", network=apart, eager=engine.transformer, tolerance=1e-4, warn=print)
    with pytest.raises(RequestError, match="has no blocks to leave out"):
        made(replace(engine, network=guarded), Reuse(limit=0.5, alpha_limit=0.5))
