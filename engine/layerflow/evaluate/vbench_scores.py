"""VBench's four dimensions that the LayerFlow paper reports, by the `vbench` package where that is installed.

VBench 0.1.5 wants numpy before 2 and transformers 4.33, which no environment with this package has: its home is one of
its own, on the movies that `--page` writes. Where it is installed here with its weights on disk, it is called here.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DIMENSIONS = ("subject_consistency", "aesthetic_quality", "overall_consistency", "dynamic_degree")
WEIGHTS = (  # below its cache folder
    "dino_model/dino_vitbase16_pretrain.pth",
    "aesthetic_model/emb_reader",
    "clip_model/ViT-L-14.pt",
    "ViCLIP/ViClip-InternVid-10M-FLT.pth",
    "raft_model/models/raft-things.pth",
)
NAME = "layerflow"


def why_absent() -> str | None:
    """Why VBench cannot run here, and what to do, in a sentence; None where it can."""
    try:
        found = version("vbench")
    except PackageNotFoundError:
        return (
            "VBench is not installed; on the movies that --page PAGE writes, and in an environment of its own: "
            "pip install vbench, then vbench evaluate --mode=custom_input --videos_path PAGE/movies/foreground "
            f"--prompt_file PAGE/movies/foreground.json --dimension each of {', '.join(DIMENSIONS)}"
        )
    if missing := [name for name in WEIGHTS if not (cache_folder() / name).exists()]:
        return f"VBench {found} lacks weights in {cache_folder()}: {', '.join(missing)}; it fetches them when it is run"
    return None


def cache_folder() -> Path:
    """Where VBench keeps its weights."""
    return Path(os.environ.get("VBENCH_CACHE_DIR") or Path.home() / ".cache" / "vbench")


def vbench_scores(movies: Path, prompts: Mapping[str, str], output: Path, *, device: str) -> dict[str, float]:
    """VBench's score of each of DIMENSIONS for all `movies` (a folder of MP4), by its name.

    `prompts` are by file name; `output` is a folder for what VBench writes. To be called where `why_absent` is None.
    """
    module = importlib.import_module("vbench")
    info = Path(str(module.__file__)).parent / "VBench_full_info.json"
    bench = module.VBench(device, str(info), str(output))
    bench.evaluate(
        videos_path=str(movies),
        name=NAME,
        prompt_list=dict(prompts),
        dimension_list=list(DIMENSIONS),
        local=True,
        mode="custom_input",
    )
    told = json.loads((output / f"{NAME}_eval_results.json").read_text(encoding="utf-8"))
    return {dimension: float(told[dimension][0]) for dimension in DIMENSIONS}
