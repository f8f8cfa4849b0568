"""Plain CogVideoX-2B as the start of training: the same network, which knows nothing of layers yet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel
from stagecraft import stage_config, write_stage_data
from tiny import PROMPT_TOKENS, TEXT_WIDTH, tiny_vae, write_text

from layerflow.errors import ModelError
from layerflow.layout import VARIANTS
from layerflow.models.folder import open_model
from layerflow.models.network import load_transformer
from layerflow.models.plain import plain_model, plain_network
from layerflow.training.config import Variant
from layerflow.training.stages import train_stage

pytestmark = pytest.mark.usefixtures("one_thread")


def plain(**changes: object) -> CogVideoXTransformer3DModel:
    torch.manual_seed(0)
    options = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "time_embed_dim": 16,
        "text_embed_dim": TEXT_WIDTH,
        "num_layers": 2,
        "sample_width": 6,
        "sample_height": 4,
        "sample_frames": 61,
        "max_text_seq_length": PROMPT_TOKENS,
    }
    network = CogVideoXTransformer3DModel(**options | changes).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return network


def write_plain(folder: Path) -> Path:
    plain().save_pretrained(folder / "transformer")
    tiny_vae().save_pretrained(folder / "vae")
    write_text(folder)
    return folder


def test_variants_are_the_released_ones() -> None:
    assert set(Variant.__args__) == set(VARIANTS)


@pytest.mark.parametrize("variant", ["gen_rgba", "seg_rgba"])
def test_it_says_what_cogvideox_says(variant: str) -> None:
    theirs = plain()
    ours = plain_network(theirs, variant)
    assert (ours.layer_embedding is not None) == (variant == "gen_rgba")
    layout = VARIANTS[variant].layout
    torch.manual_seed(1)
    latents = torch.randn(1, layout.num_latents, 4, 4, 6)
    text = torch.randn(1, PROMPT_TOKENS, TEXT_WIDTH)
    with torch.no_grad():
        expected = theirs(latents, text, torch.tensor([500.0])).sample
        made = ours(latents, torch.tensor([500.0]), text[:, None], torch.zeros(1))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


def test_the_model_folder_is_whole_and_loads(tmp_path: Path) -> None:
    made = plain_model(write_plain(tmp_path / "CogVideoX-2b"), tmp_path / "out" / "start", "gen_rgba")
    assert not list(made.damaged()) and made.manifest.layouts == {"generate": VARIANTS["gen_rgba"].layout}
    assert (made.manifest.height, made.manifest.width, made.manifest.prompt_tokens) == (32, 48, PROMPT_TOKENS)
    ours, theirs = load_transformer(made, dtype=torch.float32).transformer_blocks[1], plain().transformer_blocks[1]
    assert torch.equal(ours.attn1.to_q.weight, theirs.attn1.to_q.weight)


def test_what_is_not_cogvideox_2b_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="starts from CogVideoX-2B and this is another CogVideoX; give with start"):
        plain_network(plain(use_rotary_positional_embeddings=True), "gen_rgba")
    folder = write_plain(tmp_path / "CogVideoX-2b")
    (folder / "transformer" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"is not the transformer of CogVideoX-2B \(.*; give with start its folder"):
        plain_model(folder, tmp_path / "start", "gen_rgba")
    assert not (tmp_path / "start").exists()


def test_base_starts_from_it(tmp_path: Path) -> None:
    write_plain(tmp_path / "CogVideoX-2b")
    config = stage_config(
        write_stage_data(tmp_path),
        tmp_path / "out",
        f"start={tmp_path}/CogVideoX-2b",
        "variant=gen_rgba",
        "cache.clips=2",
        "base.steps=2",
        "gradient_checkpointing=true",
    )
    (made,) = train_stage(config, "base")
    start, trained = (
        load_transformer(open_model(path), dtype=torch.float32) for path in (tmp_path / "out/start", made)
    )
    moved = {name for name, value in start.state_dict().items() if not torch.equal(value, trained.state_dict()[name])}
    assert "layer_embedding.norm.weight" in moved and "transformer_blocks.1.attn1.to_q.weight" in moved
    assert all(name.startswith(("transformer_blocks.1.", "layer_embedding.")) for name in moved)
