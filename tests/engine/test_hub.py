"""A release pulled from a model hub on this machine: whole, interrupted, damaged, refused, offline."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import Repo, Served, git_hash, serving
from huggingface_hub import hf_hub_download
from released_files import random_checkpoint, write_base, write_checkpoint

from layerflow.errors import ModelError, OutputError
from layerflow.layout import VARIANTS
from layerflow.models import hub as hub_module
from layerflow.models.catalogue import RELEASES
from layerflow.models.folder import ModelFolder
from layerflow.models.hub import Hub
from layerflow.models.pull import pull
from layerflow.models.released import FOLDERS, RELEASED_GRID
from layerflow.models.shelf import find_model, list_models
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")

RELEASE = RELEASES["layerflow-2b"]
SEG = f"{FOLDERS['seg_rgba']}/1000/mp_rank_00_model_states.pt"
TEXT = "text_encoder/model.safetensors"
CHUNK = 100_000  # bytes that the library writes at once


@pytest.fixture(scope="module")
def repos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Repo]:
    """Both repositories, with all eight variants of tiny weights and some files that are not wanted."""
    folder = tmp_path_factory.mktemp("repos")
    for seed, (name, variant) in enumerate(VARIANTS.items()):
        positions = RELEASED_GRID.positions(variant)
        weights = random_checkpoint(positions, has_layer_embedding=variant.layer_embedding, seed=seed)
        write_checkpoint(folder / "checkpoints", name, weights)
    write_base(folder / "base")
    (folder / "base" / "text_encoder" / "pytorch_model.bin").write_bytes(b"no weights that can run code")
    (folder / "base" / "transformer").mkdir()
    (folder / "base" / "transformer" / "config.json").write_text("{}")
    return {RELEASE.repo: Repo.of(folder / "checkpoints"), RELEASE.base: Repo.of(folder / "base", licence="apache-2.0")}


@pytest.fixture
def server(repos: dict[str, Repo], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    """A hub with its own copy of the repositories. The library does not wait before it tries again."""
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", CHUNK)
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda seconds: None))
    own = {
        name: Repo(files=dict(repo.files), licence=repo.licence, refusal=repo.refusal) for name, repo in repos.items()
    }
    with serving(own) as served:
        yield served


class Pull:
    """`pull` from the server, and what it said."""

    def __init__(self, server: Served, tmp_path: Path) -> None:
        self.hub = Hub(endpoint=server.url, cache=tmp_path / "hub")
        self.models = tmp_path / "models"
        self.events: list[Event] = []

    def __call__(self, *variants: str, **options: object) -> list[ModelFolder]:
        self.events = []
        values = {"variants": variants, "hub": self.hub, "on_event": self.events.append, **options}
        return pull("layerflow-2b", **values)

    def counts(self) -> list[tuple[int, int]]:
        return [(event.done, event.total) for event in self.events if event.kind == "download"]

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if event.kind == "warning"]

    def incomplete(self) -> list[Path]:
        return list(self.hub.cache.rglob("*.incomplete"))

    def is_empty(self) -> bool:
        """Whether no model is there, nor anything of one."""
        return not list_models()[1:] and not list(self.models.rglob("*"))


@pytest.fixture
def pulled(server: Served, tmp_path: Path) -> Pull:
    return Pull(server, tmp_path)


def test_the_whole_release(server: Served, pulled: Pull) -> None:
    models = pulled()
    assert [model.path for model in models] == [pulled.models / "layerflow-2b" / name for name in FOLDERS]
    assert all(not list(model.damaged()) for model in models)
    assert [list(model.manifest.layouts) for model in models] == [[VARIANTS[name].task] for name in FOLDERS]
    assert find_model("layerflow-2b", "decompose").path.name == "seg_rgba"
    gets = [request for request in server.requests if "/resolve/" in request]
    assert len(gets) == len(set(gets)) == 8 + len(RELEASE.base_names(server.repos[RELEASE.base].files))
    assert not any(".bin" in request or "transformer" in request for request in server.requests)
    sizes = [len(data) for name, data in server.repos[RELEASE.repo].files.items() if name.endswith(".pt")]
    assert pulled.counts()[-1][0] == pulled.counts()[-1][1] > sum(sizes)
    assert pulled.counts() == sorted(pulled.counts()) and not pulled.incomplete()


def test_the_licence_is_what_the_model_cards_say(server: Served, pulled: Pull) -> None:
    manifest = pulled("seg_rgba")[0].manifest
    assert manifest.licence == (
        "LayerFlow: not stated by its authors; text encoder and VAE of zai-org/CogVideoX-2b: apache-2.0"
    )
    server.repos[RELEASE.repo].licence = "mit"
    assert pulled("seg_rgb")[0].manifest.licence.startswith("LayerFlow: mit; ")


def test_a_second_pull_asks_for_nothing(server: Served, pulled: Pull) -> None:
    first = pulled("gen_rgb", "seg_rgba")
    server.requests.clear()
    assert pulled("seg_rgba", "gen_rgb") == first and not server.requests
    third = pulled("gen_rgb", "gen_rgba")  # the base is in the cache
    assert server.asked(".pt") == ["mp_rank_00_model_states.pt"] * 2 and not server.asked(".safetensors")
    assert [model.path.name for model in third] == ["gen_rgba", "gen_rgb"]


def test_the_library_finds_what_was_pulled_in_its_own_cache(
    server: Served, pulled: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled("seg_rgba")
    server.requests.clear()
    found = hf_hub_download(RELEASE.repo, SEG, cache_dir=pulled.hub.cache, local_files_only=True)
    assert Path(found).read_bytes() == server.repos[RELEASE.repo].files[SEG]
    again = hf_hub_download(RELEASE.base, TEXT, cache_dir=pulled.hub.cache, endpoint=server.url)
    assert Path(again).is_symlink() and not server.asked(".safetensors")


def test_what_the_library_cached_is_not_fetched_again(server: Served, pulled: Pull) -> None:
    hf_hub_download(
        RELEASE.repo, SEG, cache_dir=pulled.hub.cache, endpoint=server.url, tqdm_class=hub_module._bytes_of_file(print)
    )
    server.requests.clear()
    pulled("seg_rgba")
    assert not server.asked(".pt")


def test_a_connection_that_breaks_is_taken_up_again_at_once(server: Served, pulled: Pull) -> None:
    server.cuts[SEG] = [CHUNK + 10, 5]  # the second try brings less than the library writes at once
    assert not list(pulled("seg_rgba")[0].damaged())
    name = SEG.split("/")[-1]
    assert [request for request in server.asked(".pt") if "resolve" not in request][::2] == [
        name,
        f"{name} from {CHUNK}",
        f"{name} from {CHUNK}",
    ]
    assert len(pulled.warnings()) == 2 and all("Error while downloading" in told for told in pulled.warnings())
    assert pulled.counts() == sorted(pulled.counts())


def test_a_connection_that_keeps_breaking_leaves_what_came_and_the_next_pull_goes_on_from_there(
    server: Served, pulled: Pull
) -> None:
    server.cuts[SEG] = [2 * CHUNK + 10] + [0] * 5
    with pytest.raises(
        ModelError, match=r"the connection to \S+ failed \(.+\); run the same command again, it goes on"
    ):
        pulled("seg_rgba")
    assert pulled.is_empty()
    (part,) = pulled.incomplete()
    assert part.stat().st_size == 2 * CHUNK
    server.requests.clear()
    assert not list(pulled("seg_rgba")[0].damaged())
    assert set(server.asked(".pt")) == {f"{SEG.split('/')[-1]} from {2 * CHUNK}"}
    assert not server.asked(".safetensors") and not pulled.incomplete()
    assert pulled.counts()[0] == (2 * CHUNK, len(server.repos[RELEASE.repo].files[SEG]))


def test_a_hub_that_sends_whole_files_only(server: Served, pulled: Pull) -> None:
    server.cuts[SEG], server.without_ranges = [3 * CHUNK], True
    assert not list(pulled("seg_rgba")[0].damaged())


@pytest.mark.parametrize("name", [SEG, TEXT, "vae/config.json"])
def test_a_file_of_wrong_bytes_is_named_and_refused(server: Served, pulled: Pull, name: str) -> None:
    server.wrong.add(name)
    with pytest.raises(
        ModelError, match=f"^{name} of .* is damaged: it is not what the hub says .*; run the same comm"
    ):
        pulled("seg_rgba")
    assert pulled.is_empty() and not pulled.incomplete()
    cached = [path for path in pulled.hub.cache.rglob("*") if path.name == name.split("/")[-1] and SEG in str(path)]
    assert not cached
    server.wrong.clear()
    server.requests.clear()
    assert not list(pulled("seg_rgba")[0].damaged())
    assert name.split("/")[-1] in server.asked(name[-6:])


def test_a_file_that_rotted_in_the_cache_is_named_and_fetched_again(server: Served, pulled: Pull) -> None:
    pulled("seg_rgba")
    blob = next(pulled.hub.cache.rglob("mp_rank*")).resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    shutil.rmtree(pulled.models)
    with pytest.raises(ModelError, match=f"{SEG} of .* is damaged"):
        pulled("seg_rgba")
    assert not blob.exists() and pulled.is_empty()
    server.requests.clear()
    assert pulled("seg_rgba") and server.asked(".pt")


def test_a_damaged_model_is_made_again_from_the_cache(server: Served, pulled: Pull) -> None:
    folder = pulled("seg_rgba")[0].path
    (folder / "transformer" / "config.json").write_text("{}")
    server.requests.clear()
    assert not list(pulled("seg_rgba")[0].damaged())
    assert pulled.warnings() == [f"{folder} is damaged (transformer/config.json) and is made again"]
    assert not server.asked(".pt")
    (folder / "layerflow.json").write_text("{")
    assert not list(pulled("seg_rgba")[0].damaged())


def test_of_several_checkpoints_the_latest(server: Served, pulled: Pull) -> None:
    files = server.repos[RELEASE.repo].files
    folder = FOLDERS["seg_rgba"]
    files[f"{folder}/500/mp_rank_00_model_states.pt"] = b"an older one"
    assert not list(pulled("seg_rgba")[0].damaged())
    assert not any("/500/" in request for request in server.requests)
    for commit, latest in (("a" * 40, b"700"), ("b" * 40, b"\xff../1000")):
        files[f"{folder}/latest"], server.repos[RELEASE.repo].commit = latest, commit
        shutil.rmtree(pulled.models, ignore_errors=True)
        with pytest.raises(ModelError, match=r"has no checkpoints of seg_rgba at revision main, and one is needed"):
            pulled("seg_rgba")


def refused(status: int, code: str, repo: str = RELEASE.repo) -> Callable[[Served], None]:
    def prepare(server: Served) -> None:
        server.repos[repo].refusal = (status, code)

    return prepare


@pytest.mark.parametrize(
    ("prepare", "options", "sentence"),
    [
        (
            lambda server: server.repos.clear(),
            {},
            r"http://\S+ has no zjuJish/LayerFlow, or .*HF_ENDPOINT, or run hf auth",
        ),
        (refused(404, "RepoNotFound", RELEASE.base), {}, "has no zai-org/CogVideoX-2b, or does not show it to you"),
        (
            refused(403, "GatedRepo"),
            {},
            r"LayerFlow asks you to accept its conditions; do so at http\S+/zjuJish/LayerFl",
        ),
        (refused(401, "GatedRepo"), {}, r"LayerFlow asks you to accept its conditions; .* hf auth login"),
        (refused(403, ""), {}, r"refuses access to zjuJish/LayerFlow; run hf auth login"),
        (
            refused(500, ""),
            {},
            r"answered with error 500 for zjuJish/LayerFlow; wait a little and run the same command",
        ),
        (
            lambda server: None,
            {"revision": "v9"},
            "zjuJish/LayerFlow has no revision v9; give a branch, a tag or a com",
        ),
        (
            lambda server: None,
            {"variants": ["seg"]},
            "there is no variant seg; choose from gen_rgba, gen_rgb, seg_rgba",
        ),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    server: Served, pulled: Pull, prepare: Callable[[Served], None], options: dict[str, object], sentence: str
) -> None:
    prepare(server)
    with pytest.raises(ModelError, match=sentence) as caught:
        pulled(**{"variants": ["seg_rgba"], **options})
    assert "\n" not in str(caught.value) and pulled.is_empty()


def test_a_file_that_is_listed_and_not_there(server: Served, pulled: Pull) -> None:
    server.gone.add(SEG)
    with pytest.raises(ModelError, match=r"http\S+mp_rank_00_model_states.pt is not there; pull another --revision"):
        pulled("seg_rgba")
    assert pulled.is_empty()


def test_a_base_without_a_part(server: Served, pulled: Pull) -> None:
    files = server.repos[RELEASE.base].files
    for name in [name for name in files if name.startswith("vae/")]:
        del files[name]
    with pytest.raises(ModelError, match="zai-org/CogVideoX-2b has no vae to download"):
        pulled("seg_rgba")
    assert not any("/resolve/" in request for request in server.requests)


def test_another_name_and_a_dead_address(pulled: Pull) -> None:
    with pytest.raises(ModelError, match="nothing to pull by the name 'sora'; choose from layerflow-2b"):
        pull("sora")
    for endpoint, sentence in {
        "http://127.0.0.1:9": r"the connection to http://127.0.0.1:9 failed \(.*refused.*\); run the same",
        "not an address": "the connection to not an address failed|not an address does not answer as a model hub",
    }.items():
        with pytest.raises(ModelError, match=sentence):
            pulled("seg_rgba", hub=Hub(endpoint=endpoint, cache=pulled.hub.cache))


@pytest.mark.parametrize(
    "change",
    [
        {"rfilename": "vae/../../../../x.json"},
        {"rfilename": "/etc/x.json"},
        {"rfilename": "vae\\..\\x.json"},
        {"blobId": "../../../x"},
        {"blobId": None},
        {"size": None},
    ],
)
def test_a_listing_that_would_lead_out_of_the_cache_is_refused(
    server: Served, pulled: Pull, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    about = Repo.about
    monkeypatch.setattr(
        Repo, "about", lambda repo, name: about(repo, name) | (change if name == "vae/config.json" else {})
    )
    with pytest.raises(ModelError, match="does not answer as a model hub does; correct or unset HF_ENDPOINT"):
        pulled("seg_rgba")
    assert pulled.is_empty() and not pulled.hub.cache.exists()


def test_offline_everything_comes_from_the_cache(server: Served, pulled: Pull) -> None:
    online = pulled("seg_rgba")[0].manifest
    shutil.rmtree(pulled.models)
    server.requests.clear()
    pulled.hub = Hub(endpoint=server.url, cache=pulled.hub.cache, offline=True)
    offline = pulled("seg_rgba")[0]
    assert offline.manifest.sha256 == online.sha256 and not list(offline.damaged()) and not server.requests
    with pytest.raises(
        ModelError, match="LayerFlow gen_rgb is not in the cache and HF_HUB_OFFLINE is set; unset it and"
    ):
        pulled("gen_rgb")
    with pytest.raises(ModelError, match="LayerFlow v2 is not in the cache and HF_HUB_OFFLINE is set"):
        pulled("gen_rgb", revision="v2")
    shutil.rmtree(pulled.models)
    shutil.rmtree(next(pulled.hub.cache.rglob("vae")))
    with pytest.raises(ModelError, match="CogVideoX-2b vae is not in the cache and HF_HUB_OFFLINE is set"):
        pulled("seg_rgba")
    shutil.rmtree(pulled.hub.cache)
    with pytest.raises(ModelError, match="LayerFlow main is not in the cache and HF_HUB_OFFLINE is set"):
        pulled("seg_rgba")
    assert not server.requests


def test_a_disk_too_small_is_said_before_anything_is_fetched(
    server: Served, pulled: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerflow.models.disk.shutil.disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    with pytest.raises(
        ModelError, match=r"the disk lacks 5\.\d MB: this needs 3\.\d MB in \S+hub and 3\.\d MB in \S+, and 1"
    ):
        pulled("seg_rgba")
    assert not any("/resolve/" in request for request in server.requests) and pulled.is_empty()


def test_a_disk_that_fills_up_keeps_what_came(server: Served, pulled: Pull, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(url: str, stream: object, **options: object) -> None:
        stream.write(b"some of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        monkeypatch.context() as patch,
        pytest.raises(ModelError, match="the disk is full; free some space and run the"),
    ):
        patch.setattr("layerflow.models.hub.http_get", full)
        pulled("seg_rgba")
    assert [part.read_bytes() for part in pulled.incomplete()] == [b"some of it"]


def test_a_cache_that_cannot_be_written(pulled: Pull) -> None:
    pulled.hub.cache.write_text("in the way")
    with pytest.raises(
        ModelError, match=r"/hub\S* cannot be used \(.+\); name another folder for downloads in HF_HOME"
    ):
        pulled("seg_rgba")


def test_a_stop_keeps_what_came(server: Served, pulled: Pull) -> None:
    def stop(event: Event) -> None:
        if event.kind == "download" and event.done > 3 * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pulled("seg_rgba", on_event=stop)
    assert pulled.is_empty() and pulled.incomplete()
    server.requests.clear()
    assert pulled("seg_rgba") and " from " in "".join(server.requests)


def test_a_model_that_cannot_be_written_leaves_nothing(pulled: Pull) -> None:
    pulled.models.mkdir()
    (pulled.models / "layerflow-2b").write_text("in the way")
    with pytest.raises(OutputError):
        pulled("seg_rgba")


def test_hashes_are_those_that_git_and_the_hub_state(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"hello\n")
    assert hub_module.digest_of(file, large=False) == git_hash(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    expected = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert hub_module.digest_of(file, large=True) == expected
