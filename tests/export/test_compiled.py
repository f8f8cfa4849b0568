"""One compilation for all blocks and all prompts, and nothing compiled where nothing may be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import inputs_of, network_of
from torch._dynamo.utils import counters
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from layerflow.denoisers import Network, interruptible
from layerflow.errors import Interrupted, RequestError
from layerflow.models.folder import open_model
from layerflow.models.load import load_engine
from layerflow.models.offload import offload_blocks
from layerflow.pipeline import Clip, make_clip
from layerflow.step_cache import Reuse, reusing
from layerflow.transformer import LayerFlowTransformer
from layerflow_export import compiled as module
from layerflow_export.compiled import code_folder, compiled, network_key, why_not

pytestmark = pytest.mark.usefixtures("one_thread")
ONE, TWO, OTHER = (1, 8, 4, 6, 3, 8), (2, 8, 4, 6, 3, 8), (1, 8, 2, 6, 3, 8)


@pytest.fixture(autouse=True)
def nothing_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a new machine."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch._dynamo.reset()
    counters.clear()
    with torch._dynamo.config.patch(recompile_limit=8):
        yield


@pytest.fixture
def transformer(tiny_model: Path) -> LayerFlowTransformer:
    return network_of(tiny_model)


def num_compiled() -> int:
    return int(counters["stats"]["unique_graphs"])


def traced(transformer: LayerFlowTransformer, **options: Any) -> Network:
    """As `compiled`, but for the code: what torch traced runs as it is."""
    return compiled(transformer, compiler="eager", **options)


@torch.inference_mode()
def check(transformer: LayerFlowTransformer, network: Network, shape: tuple[int, ...]) -> None:
    inputs = inputs_of(transformer, shape)
    eager = transformer(**inputs)
    assert (network(**inputs) - eager).abs().max() <= 2e-6 * eager.std()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_v_is_the_eager_one_within_rounding(transformer: LayerFlowTransformer) -> None:
    network = compiled(transformer)
    for _ in range(2):
        check(transformer, network, TWO)
    assert num_compiled() == 1
    inputs = inputs_of(transformer, TWO)
    with torch.inference_mode():
        assert not torch.equal(network(**inputs), transformer(**inputs))  # or it was not compiled code that ran


def test_one_compilation_does_for_all_blocks_and_again_for_every_size(transformer: LayerFlowTransformer) -> None:
    network = traced(transformer)
    for num, shape in enumerate((ONE, TWO, OTHER), start=1):
        for _ in range(2):
            check(transformer, network, shape)
            assert num_compiled() == num


def test_another_prompt_or_clip_or_set_of_weights_compiles_nothing(tiny_model: Path) -> None:
    engine, clips = load_engine(open_model(tiny_model)), 0
    for network in (traced(engine.transformer), traced(network_of(tiny_model))):
        for prompt in ("", "a dog", "a red dog in the garden at night, " * 9):
            clip = Clip(
                layout=engine.folder.layout("generate"),
                prompts={"foreground": prompt},
                given={},
                seed=(clips := clips + 1),
                height=32,
                width=48,
            )
            make_clip(replace(engine, network=network), clip, engine.folder.sampler("generate"))
    assert num_compiled() == 1


def test_a_wish_to_stop_is_heard_between_two_blocks(transformer: LayerFlowTransformer) -> None:
    network = traced(transformer)
    check(transformer, network, ONE)
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) == 4  # eager runs both of the blocks, compiled one

    with interruptible(transformer, stopped), pytest.raises(Interrupted):
        check(transformer, network, ONE)
    check(transformer, network, ONE)
    assert num_compiled() == 1


@torch.inference_mode()
def test_steps_that_reuse_each_other_compile_nothing_more(transformer: LayerFlowTransformer, tiny_model: Path) -> None:
    layout = open_model(tiny_model).layout("generate")
    inputs = inputs_of(transformer, (1, layout.num_latents, 4, 6, 3, 8))
    network = traced(transformer)
    v = network(**inputs)
    with reusing(transformer, layout, Reuse(limit=1.0, alpha_limit=1.0)) as begin:
        for step in range(3):
            begin(step)
            torch.testing.assert_close(network(**inputs), v)
    assert num_compiled() == 1


def test_prepared_takes_only_what_was_compiled_before(transformer: LayerFlowTransformer, tiny_model: Path) -> None:
    with pytest.raises(RequestError, match="was not compiled here before; --backend compiled does it"):
        traced(transformer, prepared=True)
    check(transformer, traced(transformer), ONE)
    assert num_compiled() == 1
    other = network_of(tiny_model)
    network = traced(other, prepared=True)
    for shape in (TWO, OTHER):
        check(other, network, shape)
    assert num_compiled() == 1
    torch._dynamo.reset()
    check(other, network, ONE)
    assert num_compiled() == 2


def test_code_is_kept_in_our_cache_unless_another_folder_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())  # torch names it as it looks for it
    assert str(code_folder()) == os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    assert str(code_folder()) == os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    assert code_folder() == Path("elsewhere")


def test_what_a_compilation_is_for(transformer: LayerFlowTransformer) -> None:
    assert network_key(transformer) != network_key(transformer.to(torch.bfloat16))


def test_more_sizes_than_torch_keeps_run_eager(transformer: LayerFlowTransformer, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_SIZES", 2)
    with torch._dynamo.config.patch(recompile_limit=2):
        network = traced(transformer)
        for shape in (ONE, TWO, OTHER, OTHER, ONE):
            check(transformer, network, shape)
    assert num_compiled() == 2


def test_what_cannot_be_compiled_is_a_sentence(transformer: LayerFlowTransformer) -> None:
    def broken(*told: object) -> None:
        raise OSError("no compiler")

    network = compiled(transformer, compiler=broken)
    with pytest.raises(RequestError, match=r"^torch cannot compile .*no compiler.*; use --backend eager$"):
        network(**inputs_of(transformer, ONE))


def test_blocks_that_come_and_go_are_refused(transformer: LayerFlowTransformer) -> None:
    offload_blocks(transformer, torch.device("cpu"), torch.float32)
    with pytest.raises(RequestError, match="the backend compiled needs the whole transformer"):
        traced(transformer)


def test_what_it_needs(transformer: LayerFlowTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "needs Triton; install it" in str(why_not())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert why_not() is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RequestError, match="needs a C\\+\\+ compiler and no-such-compiler is not there; install it"):
        compiled(transformer)


@pytest.mark.gpu
def test_v_on_a_gpu_is_the_eager_one_within_rounding(transformer: LayerFlowTransformer) -> None:
    transformer.cuda()
    network = compiled(transformer)
    for shape in (ONE, TWO, ONE, TWO, ONE, TWO):  # compiled, recorded, replayed
        inputs = {name: value.cuda() for name, value in inputs_of(transformer, shape).items()}
        with torch.inference_mode():
            eager = transformer(**inputs)
            assert (network(**inputs) - eager).abs().max() <= 2e-6 * eager.std()
