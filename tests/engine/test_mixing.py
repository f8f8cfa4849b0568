"""Networks with weights for more layers than a sequence holds: what is left out has no part in the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import write_tiny_model
from torch import Tensor

from layerflow.errors import ModelError
from layerflow.layout import ALL_LAYERS, LAYERS, Layout, further_layouts, task_layouts
from layerflow.models.codecs import load_linear_codec
from layerflow.models.folder import ModelFolder, open_model
from layerflow.models.load import LoadOptions, load_engine
from layerflow.training.widening import grown
from layerflow.transformer import LayerFlowTransformer

pytestmark = pytest.mark.usefixtures("one_thread")

LAYOUTS = [task_layouts(8, 2)["generate"], *(layout for _, layout in further_layouts(8, 2))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return open_model(write_tiny_model(tmp_path_factory.mktemp("all") / "model", further=True))


@pytest.fixture
def network(folder: ModelFolder) -> LayerFlowTransformer:
    """All layers, each with weights, sizes and positions of its own."""
    torch.manual_seed(5)
    plain = LayerFlowTransformer.from_pretrained(folder.path / "transformer")
    whole = grown(
        plain, load_linear_codec(folder.path / "codec" / "codec.safetensors"), prompt_tokens=6, pixel_widths=(8, 16)
    )
    for part in (whole.pixel_head, whole.layer_words):
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    whole.pixel_head.rms.uniform_(0.2, 1.0)
    whole.precondition.rms.uniform_(0.2, 1.0)
    whole.precondition.signal.copy_(torch.linspace(1, 0, 1000))
    return whole


def sample(network: LayerFlowTransformer, layout: Layout) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, layout.num_latents, network.config.latent_channels, 4, 6, generator=generator)
    text = torch.randn(2, len(layout.prompts), 6, network.config.text_width, generator=generator)
    return latents, torch.tensor([900.0, 20.0]), text, torch.arange(float(len(layout.prompts)))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{len(layout.layers)} layers, {layout.given}")
def test_a_narrowed_network_does_what_the_whole_one_does_with_those_layers(
    network: LayerFlowTransformer, folder: ModelFolder, layout: Layout
) -> None:
    slots = folder.slots(layout.layers)
    given = torch.zeros(layout.num_latents, dtype=torch.bool)
    given[:2] = True
    with torch.no_grad(), network.filling(slots):
        expected = network(*sample(network, layout), given)
    narrow = network.narrowed(slots)
    assert narrow.config.mixed_layers == len(layout.layers)
    with torch.no_grad():
        made = narrow(*sample(network, layout), given)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
    assert narrow.transformer_blocks[0].ff.net[0].proj.weight is not network.transformer_blocks[0]
    assert network.filled is None


def test_weights_of_layers_that_are_not_there_have_no_part(network: LayerFlowTransformer, folder: ModelFolder) -> None:
    layout = LAYOUTS[0]
    slots = folder.slots(layout.layers)
    with torch.no_grad(), network.filling(slots):
        before = network(*sample(network, layout))
        for name in set(ALL_LAYERS) - set(layout.layers):
            slot = ALL_LAYERS.index(name)
            network.precondition.rms[slot] = 9.0
            network.video_positions.unflatten(0, (7, -1))[slot] = 9.0
            network.layer_view.proj.weight.unflatten(1, (7, -1))[:, slot] = 9.0
            for own in (network.copy_gate.gates[slot], *network.copy_gate.gates):
                own.weight.unflatten(0, (7, -1))[slot] = 9.0
            network.layer_words.shares[slot] = 9.0
            head = network.pixel_head
            head.rms[slot] = 9.0
            head.into.weight.unflatten(1, (7, -1))[:, slot] = 9.0
            head.added.weight.unflatten(0, (7, -1))[slot] = 9.0
            gates = head.gates.weight.unflatten(0, (7, 8, -1))
            gates[slot], gates[:, slot] = 9.0, 9.0
        assert torch.equal(network(*sample(network, layout)), before)


def test_training_reaches_only_the_layers_that_are_there(network: LayerFlowTransformer, folder: ModelFolder) -> None:
    network.requires_grad_(True)
    with network.filling(folder.slots(LAYERS)):
        network(*sample(network, LAYOUTS[0])).square().mean().backward()
    moved = network.layer_view.proj.weight.grad.unflatten(1, (7, -1)).abs().sum(dim=(0, 2, 3, 4)) > 0
    assert [name for name, has_moved in zip(ALL_LAYERS, moved, strict=True) if has_moved] == list(LAYERS)
    assert network.copy_gate.gates[2].weight.grad is None and network.copy_gate.gates[0].weight.grad is not None


def test_a_folder_finds_the_layout_that_fits(folder: ModelFolder) -> None:
    guided, two, generated = (layout for _, layout in folder.manifest.further)
    assert folder.layout("decompose", guided=True) == guided and guided.is_given("guide")
    assert folder.layout("decompose", num_foregrounds=2) == two and two.num_foregrounds == 2
    assert folder.layout("generate", num_foregrounds=2) == generated and not generated.given
    own = folder.manifest.layouts["decompose"]
    assert folder.layout("decompose") == folder.layout("decompose", num_foregrounds=3) == own
    assert folder.layout("decompose", num_foregrounds=2, guided=True) == own
    assert folder.layout("background", guided=True) == folder.manifest.layouts["background"]


def test_a_folder_without_more_layouts_keeps_to_its_own(tiny_model: Path) -> None:
    folder = open_model(tiny_model)
    assert folder.layout("decompose", guided=True, num_foregrounds=2) == folder.manifest.layouts["decompose"]
    assert "further" not in folder.manifest.to_dict() and "all_layers" not in folder.manifest.to_dict()


def test_a_model_is_loaded_for_the_layers_that_are_asked_for(folder: ModelFolder) -> None:
    assert load_engine(folder, LoadOptions(backend="eager")).transformer.config.mixed_layers == 4
    two = folder.layout("decompose", num_foregrounds=2)
    engine = load_engine(folder, LoadOptions(backend="eager", layers=two.layers))
    assert engine.transformer.config.mixed_layers == 6 and len(engine.transformer.video_positions) == 12
    with pytest.raises(ModelError, match="has no layer sky"):
        folder.slots(("foreground", "sky"))


def test_layers_may_be_given_in_any_set() -> None:
    two = folder_of_two()
    assert two.giving().given == () and two.giving(*two.layers).given == ((0, 12),)
    assert two.giving("alpha", "blended", "foreground2").given == ((2, 6), (10, 12))
    assert two.giving("alpha", "blended").giving("background").given == ((8, 10),)


def folder_of_two() -> Layout:
    return next(layout for _, layout in further_layouts(8, 2) if layout.num_foregrounds == 2)


def test_layers_that_are_not_there_are_seen_and_copied_as_zeros(network: LayerFlowTransformer) -> None:
    """What is filled against a whole sequence of which the rest is zero, by the modules' own plain way."""
    filled, num_layers = (0, 1, 4, 6), len(ALL_LAYERS)
    frames = [2 * layer + frame for layer in filled for frame in range(2)]
    generator = torch.Generator().manual_seed(2)
    channels, width = network.config.latent_channels, network.video_positions.shape[-1]
    some = torch.randn(1, len(frames), channels, 4, 6, generator=generator)
    whole = torch.zeros(1, 2 * num_layers, channels, 4, 6)
    whole[:, frames] = some
    hidden = torch.randn(1, 2 * num_layers, 2, 3, width, generator=generator)
    with torch.no_grad():
        seen = network.layer_view(whole).unflatten(1, (2 * num_layers, -1))[:, frames].flatten(1, 2)
        torch.testing.assert_close(network.layer_view(some, filled), seen, atol=1e-5, rtol=1e-5)
        copied = network.copy_gate(hidden, whole)[:, frames]
        torch.testing.assert_close(network.copy_gate(hidden[:, frames], some, filled), copied, atol=1e-5, rtol=1e-5)
