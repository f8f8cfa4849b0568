"""What a model takes in memory: measured against the estimate, under every plan.

`python benchmarks/memory.py` makes two models of full width with random weights and measures each part of a shot in a
process of its own: four blocks of the transformer, stored in float16, at 6168 tokens; the full-size VAE at 64 frames
of 64 x 96. `python benchmarks/memory.py released` prints the estimates for the released size, from weights without
content. Linux only. Peaks are over what the process took before the model was loaded. "private" leaves out what is
mapped from files, which the system takes back when memory is short.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from torch import nn
from transformers import T5Config, T5EncoderModel

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))
from tiny import PROMPT_TOKENS, random_linear_codec, save_linear_codec, write_text

from layerflow.denoisers import LayerDenoiser
from layerflow.layout import VARIANTS
from layerflow.models.estimate import estimate
from layerflow.models.folder import Manifest, ModelFolder, open_model, write_manifest
from layerflow.models.load import LoadOptions, load_engine
from layerflow.models.plans import PLANS
from layerflow.sampler import Sampler
from layerflow.transformer import LayerFlowTransformer

GIB = 2**30
CPU, GPU = torch.device("cpu"), torch.device("cuda")
LAYOUT = VARIANTS["gen_rgba"].layout
SIZES = {"linear": (256, 384), "cogvideox": (64, 96)}
T5_XXL = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "vocab_size": 32128}


def write_model(folder: Path, kind: Any) -> ModelFolder:
    """A model of full width with four blocks and random weights, its codec of `kind`, its T5 a tiny one."""
    torch.manual_seed(0)
    height, width = SIZES[kind]
    options = {"position_rows": height // 16, "position_columns": width // 16, "text_tokens": 3 * PROMPT_TOKENS}
    network = LayerFlowTransformer(num_blocks=4, text_width=32, **options)
    network.half().save_pretrained(folder / "transformer")
    if kind == "linear":
        save_linear_codec(random_linear_codec(16), folder / "codec")
    else:
        AutoencoderKLCogVideoX(**released_vae()).save_pretrained(folder / "codec")
    write_text(folder)
    write_manifest(folder, manifest(kind, height, width, PROMPT_TOKENS))
    return open_model(folder)


def released_vae() -> dict[str, Any]:
    """The released VAE's settings where diffusers' are others."""
    return {"sample_height": 480, "sample_width": 720}


def manifest(kind: Any, height: int, width: int, prompt_tokens: int) -> Manifest:
    return Manifest(
        name="random",
        layouts={"generate": LAYOUT},
        sampler=Sampler(),
        height=height,
        width=width,
        fps=8.0,
        codec=kind,
        prompt_tokens=prompt_tokens,
        licence="none",
    )


def status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def peaks(work: Callable[[], object]) -> tuple[int, int]:
    """The largest memory of the process while it does `work`: all of it, and the private part."""
    private, done = [0], Event()

    def watch() -> None:
        while not done.wait(0.005):
            private[0] = max(private[0], status("RssAnon"))

    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    watcher = Thread(target=watch)
    watcher.start()
    with torch.inference_mode():
        work()
    done.set()
    watcher.join()
    return status("VmHWM"), private[0]


def measure(path: str, plan: str, dtype: str) -> None:
    """Prints what each part of a shot takes."""
    folder = open_model(Path(path))
    before, private_before = status("VmRSS"), status("RssAnon")
    engine = load_engine(folder, LoadOptions(memory=plan, precision=dtype, device="cpu"))
    rows, columns = (side // 8 for side in (folder.manifest.height, folder.manifest.width))
    latents = torch.randn(1, LAYOUT.num_predicted, 16, rows, columns)
    given = torch.zeros(1, 0, 16, rows, columns)
    denoise = LayerDenoiser(network=engine.network, layout=LAYOUT, given=given, dtype=engine.dtype)
    text = torch.randn(2, len(LAYOUT.prompts), folder.manifest.prompt_tokens, 32)
    parts: dict[str, Callable[[], object]] = {
        "transformer": lambda: denoise(torch.cat([latents, latents]), torch.tensor([500.0, 500.0]), text),
        "codec": lambda: [pixels.shape for pixels in engine.codec.stream(latents[0])],
    }
    expected = asdict(estimate(folder, engine.plan, CPU, engine.dtype))
    part = "transformer" if folder.manifest.codec == "linear" else "codec"
    whole, private = peaks(parts[part])
    sizes = (whole - before, private - private_before, expected[part])
    print(f"{part:12} {plan:9} {dtype:9}" + "".join(f" {size / GIB:9.2f}" for size in sizes), flush=True)


def write_hollow(path: Path, network: nn.Module) -> None:
    """A safetensors file of the right shapes with nothing in it: the system stores no zeros."""
    header, end = {}, 0
    for name, tensor in network.named_parameters():
        size = tensor.numel() * 2
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def print_released(folder: Path) -> None:
    """The estimates for the released size, 64 frames of 480 x 720."""
    with torch.device("meta"):
        networks = {
            "transformer": LayerFlowTransformer(has_layer_embedding=True),
            "codec": AutoencoderKLCogVideoX(**released_vae()),
            "text_encoder": T5EncoderModel(T5Config(**T5_XXL, feed_forward_proj="gated-gelu")),
        }
    for part, network in networks.items():
        write_hollow(folder / part / "model.safetensors", network)
        config: Any = network.config
        values = config.to_dict() if part == "text_encoder" else dict(config)
        (folder / part / "config.json").write_text(json.dumps(values))
        print(f"{part}: {sum(parameter.numel() for parameter in network.parameters()):,} parameters")
    model = ModelFolder(folder, manifest("cogvideox", 480, 720, 226))
    print(f"{'':9} {'on':5} {'type':9}" + "".join(f"{name:>12}" for name in ("text", "transformer", "codec", "peak")))
    for device, dtype in ((GPU, torch.bfloat16), (GPU, torch.float32), (CPU, torch.bfloat16), (CPU, torch.float32)):
        for plan in PLANS:
            needs = estimate(model, plan, device, dtype)
            sizes = (*asdict(needs).values(), needs.peak)
            print(
                f"{plan.name:9} {device.type:5} {str(dtype)[6:]:9}" + "".join(f"{size / GIB:12.1f}" for size in sizes),
                flush=True,
            )


def main() -> None:
    """Measures every plan, or prints the estimates for the released size."""
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:] == ["released"]:
            print_released(Path(folder))
            return
        print(f"{'part':12} {'plan':9} {'type':9}" + "".join(f"{name:>10}" for name in ("GiB", "private", "estimate")))
        for kind in SIZES:
            path = str(write_model(Path(folder) / kind, kind).path)
            for plan in PLANS:
                for dtype in ("float32", "bfloat16"):
                    subprocess.run([sys.executable, __file__, "--one", path, plan.name, dtype], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(*sys.argv[2:])
    else:
        main()
