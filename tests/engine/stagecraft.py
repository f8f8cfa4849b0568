"""A tiny model, a small dataset and a config of the three stages, for tests of what trains on them."""

from __future__ import annotations

from pathlib import Path

from sights import write_sources
from tiny import write_tiny_model

from layerflow.data.copy_paste import CopyPasteConfig
from layerflow.data.intake import Taking
from layerflow.data.paste_maker import make_copy_paste
from layerflow.training.config import Config, read_config

TEXT = """
start = "{root}/tiny"
output = "{root}/out"
precision = "float32"
every_block = 2
save_every = 4
check_every = 0

[cache]
clips = 6
shard = 4

[sheets]
every = 0

[base]
data = "{root}/set"
steps = 4
lr = 1e-3
batch = 2

[motion-lora]
data = "{root}/set"
steps = 4
lr = 1e-2
batch = 2

[motion-lora.lora]
rank = 2
alpha = 2
targets = ["attn1.to_q", "attn1.to_out.0", "ff.net.2"]

[content-lora]
data = "{root}/set"
video = "{root}/set"
video_share = 0.4
steps = 4
lr = 1e-2
batch = 2

[content-lora.lora]
rank = 4
alpha = 4
targets = ["attn1.to_q", "attn1.to_v", "ff.net.0.proj"]
"""


def write_stage_data(root: Path) -> Path:
    """A model `tiny`, a dataset `set` and `stages.toml` in `root`; the config's file."""
    write_tiny_model(root / "tiny")
    fronts, backs = write_sources(root, num_foregrounds=5, num_backgrounds=6)
    make_copy_paste([fronts], [backs], root / "set", taking=Taking(), config=CopyPasteConfig(), hold_out=0.3)
    config = root / "stages.toml"
    config.write_text(TEXT.format(root=root.as_posix()))
    return config


def stage_config(config: Path, output: Path, *changes: str) -> Config:
    """The config in that file, with its results in `output`."""
    return read_config(str(config), changes).written_to(output)
