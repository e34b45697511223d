"""Weights by file, run, tag and hub name; other heads and sizes."""

import hashlib
import http.server
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import nn

from allmlp.data import Preprocess
from allmlp.errors import AllmlpError
from allmlp.models.mixer import Mixer, MixerConfig
from allmlp.zoo import create_model, download, pretrained, records
from allmlp.zoo.convert.mixer import to_timm
from allmlp.zoo.records import RECORDS, WeightRecord, find_record
from allmlp.zoo.registry import ALIASES, list_models
from allmlp.zoo.stored import read_stored, write_record, write_weights


def filled(name: str = "mixer_digits", **overrides: Any) -> Mixer:
    model = create_model(name, **overrides).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    assert isinstance(model, Mixer)
    return model


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, Mixer]:
    model = filled()
    preprocess = Preprocess(img_size=(8, 8), in_chans=1, mean=(0.3,), std=(0.4,))
    write_weights(tmp_path, model.state_dict())
    write_record(tmp_path, "mixer_digits", model, preprocess, list("0123456789"))
    return tmp_path, model


def tiles(images: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    return rearrange(images, "b c (r h) (s w) -> (r s) b c h w", r=rows, s=columns)


@pytest.mark.parametrize("count", [(1, 1), (2, 1), (3, 2), (2, 2)])
def test_block_transfer_gives_the_mean_over_tiles(
    stored: tuple[Path, Mixer], count: tuple[int, int]
) -> None:
    folder, small = stored
    size = (8 * count[0], 8 * count[1])
    big = create_model("mixer_digits", pretrained=folder, img_size=size, resize="block").eval()
    assert big.config.token_hidden == 32 * count[0] * count[1]
    big, small = big.double(), small.double()
    images = torch.randn(2, 1, *size, dtype=torch.float64)
    alone = torch.stack([small(tile) for tile in tiles(images, *count)]).mean(0)
    assert (big(images) - alone).abs().max() < 1e-12


def test_interpolation_keeps_the_answer_to_enlarged_images_nearly(
    stored: tuple[Path, Mixer],
) -> None:
    folder, small = stored
    big = create_model("mixer_digits", pretrained=folder, img_size=16, resize="interpolate")
    assert big.config.token_hidden == 32
    constant = torch.full((1, 1, 8, 8), 0.7)
    with torch.no_grad():
        # constant images have equal tokens, which are read exactly and written at their mean
        expected = small.forward_features(constant)
        found = big.eval().forward_features(constant.repeat(1, 1, 2, 2))
    assert found.shape == (1, 64, 64)
    relative = (found.mean(1) - expected.mean(1)).norm() / expected.mean(1).norm()
    assert relative < 0.1


def test_the_same_size_needs_no_resize_and_changes_nothing(stored: tuple[Path, Mixer]) -> None:
    folder, small = stored
    again = create_model("mixer_digits", pretrained=folder).eval()
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(again(images), small(images))
    assert again.training is False
    assert (
        create_model("mixer_digits", pretrained=folder / "model.safetensors").config.gelu == "tanh"
    )


def test_another_size_names_both_ways(stored: tuple[Path, Mixer]) -> None:
    with pytest.raises(AllmlpError, match="made for images of 8x8, not 16x16; pass resize="):
        create_model("mixer_digits", pretrained=stored[0], img_size=16)
    with pytest.raises(AllmlpError, match="cannot fill 5x5; take a whole multiple"):
        create_model("mixer_digits", pretrained=stored[0], img_size=10, resize="block")
    with pytest.raises(AllmlpError, match="resize= moves pretrained weights"):
        create_model("mixer_digits", resize="block")


def test_another_number_of_classes_gets_a_fresh_head(stored: tuple[Path, Mixer]) -> None:
    folder, small = stored
    other = create_model("mixer_digits", pretrained=folder, num_classes=3)
    assert torch.count_nonzero(other.head.weight) == 0
    assert torch.equal(other.norm.weight, small.norm.weight)
    assert create_model("mixer_digits", pretrained=folder, num_classes=0)(
        torch.zeros(1, 1, 8, 8)
    ).shape == (1, 64)


def test_settings_that_weights_do_not_fix_can_change(stored: tuple[Path, Mixer]) -> None:
    model = create_model("mixer_digits", pretrained=stored[0], drop_path_rate=0.1, gelu="erf")
    assert (model.config.drop_path_rate, model.config.gelu) == (0.1, "erf")
    with pytest.raises(AllmlpError, match=r"does not fit this model, in 12 places .*: \+ blocks.3"):
        create_model("mixer_digits", pretrained=stored[0], depth=3)
    with pytest.raises(AllmlpError, match=r"instead of \(64, 3, 2, 2\)"):
        create_model("mixer_digits", pretrained=stored[0], in_chans=3)


def test_weights_of_another_variant(stored: tuple[Path, Mixer]) -> None:
    message = "holds a mixer with patch_size 2, mixer_nano has 4; name the variant that fits"
    with pytest.raises(AllmlpError, match=message):
        create_model("mixer_nano", pretrained=stored[0])


def test_a_run_with_changed_sizes_is_its_own_variant(tmp_path: Path) -> None:
    model = filled(width=8)
    write_weights(tmp_path, model.state_dict())
    write_record(tmp_path, "mixer_digits", model, None, None)
    assert create_model("mixer_digits", pretrained=tmp_path).config.width == 8
    assert read_stored(tmp_path).record.classes is None


def test_nothing_there() -> None:
    with pytest.raises(AllmlpError, match="no weights at some/file.pth"):
        create_model("mixer_digits", pretrained="some/file.pth")
    with pytest.raises(AllmlpError, match="no weights are published for mixer_digits"):
        create_model("mixer_digits", pretrained="google_in1k")
    with pytest.raises(AllmlpError, match="unknown weights of mixer_b16 'google_1k'; did you mean"):
        create_model("mixer_b16.google_1k")
    with pytest.raises(AllmlpError, match="names weights already"):
        create_model("mixer_b16.google_in1k", pretrained="google_in21k")


def test_records_are_labelled_and_of_known_models() -> None:
    for name, record in RECORDS.items():
        assert name == f"{record.model}.{record.tag}"
        assert record.model in list_models()
        assert record.url.startswith("https://")
        assert record.licence
        assert record.pretraining
        assert (record.top1 is None) == (record.top1_source == "")
        # only what was trained on 21k says so
        assert ("21k" in record.tag) == ("21k" in record.pretraining)


def test_timms_wrong_tags_lead_to_the_true_labels() -> None:
    record = find_record("mixer_b16", "goog_in21k_ft_in1k")
    assert record.tag == "timm_in1k"
    assert record.pretraining == "ImageNet-1k"
    assert "ImageNet-1k alone" in record.note
    assert ALIASES["mixer_b16_224"] == "mixer_b16"


# ---- the network, on this machine alone


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A file server on loopback: its address, its folder, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(folder))
    ) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder, asked
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALLMLP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ALLMLP_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def published(
    server: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> tuple[WeightRecord, Mixer]:
    """A record whose file, in timm's naming, is on the server."""
    model = filled(gelu="erf", in_chans=3)
    address, folder, _ = server
    path = folder / "weights.pth"
    torch.save(to_timm(model.state_dict()), path)
    record = WeightRecord(
        model="mixer_digits",
        tag="test",
        url=f"{address}/weights.pth",
        origin="a test",
        licence="CC0",
        pretraining="nothing",
        num_classes=10,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest()[:8],
    )
    monkeypatch.setitem(records.RECORDS, record.name, record)
    return record, model


def test_a_tag_is_fetched_once_and_its_licence_shown(
    published: tuple[WeightRecord, Mixer],
    server: tuple[str, Path, list[str]],
    cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(2):
        model = create_model("mixer_digits.test").eval()
    assert server[2] == ["/weights.pth"]
    assert "licence CC0" in capsys.readouterr().err
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(model(images), published[1](images))
    weights = pretrained.find_weights("mixer_digits", "test")
    assert weights.preprocess is not None
    assert weights.preprocess.mean == (0.5, 0.5, 0.5)
    assert (weights.preprocess.interpolation, weights.preprocess.crop) == ("bicubic", 0.875)
    assert len(list(cache.rglob("*.sha256"))) == 1


def test_a_changed_cache_and_a_wrong_file_are_noticed(
    published: tuple[WeightRecord, Mixer],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, _ = published
    monkeypatch.setitem(records.RECORDS, record.name, replace(record, sha256="00000000"))
    with pytest.raises(AllmlpError, match="its publisher states 00000000; it was not kept"):
        create_model("mixer_digits.test")
    assert not list(cache.rglob("weights.pth"))
    monkeypatch.setitem(records.RECORDS, record.name, record)
    create_model("mixer_digits.test")
    # the publisher states another one by now
    monkeypatch.setitem(records.RECORDS, record.name, replace(record, sha256="00000000"))
    with pytest.raises(AllmlpError, match="is not, or is no longer, what its publisher states"):
        create_model("mixer_digits.test")
    monkeypatch.setitem(records.RECORDS, record.name, record)
    (path,) = cache.rglob("weights.pth")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(AllmlpError, match="no longer, what its publisher states; delete it"):
        create_model("mixer_digits.test")


@pytest.mark.parametrize("reset", [False, True])
def test_a_file_that_breaks_off_is_not_kept(cache: Path, reset: bool) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x" * 100)
            if reset:  # closed without waiting for what is under way
                off = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, off)
                self.wfile.flush()
                self.connection.close()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        with pytest.raises(AllmlpError, match="ended after 100 of 100,000 bytes|broke off"):
            download.fetch_url(f"http://127.0.0.1:{running.server_port}/w.pth")
        running.shutdown()
        thread.join()
    assert not list(cache.rglob("w.pth*"))


@pytest.mark.unhooked
def test_what_pretrained_is_not() -> None:
    with pytest.raises(AllmlpError, match=r"a tag of mixer_b16 \(google_in1k, .*; got True"):
        pretrained.find_weights("mixer_b16", True)


def test_offline_is_immediate_and_uses_the_cache(
    published: tuple[WeightRecord, Mixer],
    server: tuple[str, Path, list[str]],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALLMLP_OFFLINE", "1")
    with pytest.raises(AllmlpError, match="ALLMLP_OFFLINE forbids to fetch it"):
        create_model("mixer_digits.test")
    monkeypatch.delenv("ALLMLP_OFFLINE")
    create_model("mixer_digits.test")
    monkeypatch.setenv("ALLMLP_OFFLINE", "1")
    create_model("mixer_digits.test")
    assert server[2] == ["/weights.pth"]


def test_no_connection_and_no_file(cache: Path, server: tuple[str, Path, list[str]]) -> None:
    with pytest.raises(AllmlpError, match=r"cannot fetch .*/none.pth \(File not found\)"):
        download.fetch_url(f"{server[0]}/none.pth")
    with pytest.raises(AllmlpError, match="cannot fetch http://127.0.0.1:9/x"):
        download.fetch_url("http://127.0.0.1:9/x")
    assert not list(cache.rglob("*.pth"))


class _Hub:
    """Stands in for huggingface_hub, which is reached only on the network."""

    def __init__(self, folder: Path):
        self.folder = folder

    def hf_hub_download(self, repository: str, name: str) -> str:
        path = self.folder / name
        if repository != "org/mixer" or not path.exists():
            raise OSError(f"404: {repository}/{name}")
        return str(path)


def test_hub_models(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = filled(gelu="erf")
    save_file(to_timm(model.state_dict()), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"mean": [0.1], "std": [0.2]}}')
    monkeypatch.setattr(download.importlib, "import_module", lambda _: _Hub(tmp_path))
    found = create_model("mixer_digits", pretrained="hf:org/mixer").eval()
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(found(images), model(images))
    weights = pretrained.find_weights("mixer_digits", "hf:org/mixer")
    assert weights.preprocess == Preprocess(img_size=(8, 8), in_chans=1, mean=(0.1,), std=(0.2,))
    with pytest.raises(AllmlpError, match=r"cannot get hf:org/other \(404"):
        create_model("mixer_digits", pretrained="hf:org/other")
    monkeypatch.setenv("ALLMLP_OFFLINE", "1")
    with pytest.raises(AllmlpError, match="ALLMLP_OFFLINE forbids"):
        create_model("mixer_digits", pretrained="hf:org/mixer")


def test_without_the_hub_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(download.importlib, "import_module", missing)
    with pytest.raises(AllmlpError, match=r"pip install 'allmlp\[hub\]'"):
        create_model("mixer_digits", pretrained="hf:org/mixer")


def test_block_transfer_keeps_named_sizes_apart() -> None:
    config = MixerConfig(patch_size=32)
    assert Mixer.resize_config(config, (448, 224), "block").token_hidden == 2 * 384
    assert Mixer.resize_config(config, (256, 256), "interpolate").token_hidden == 384


def test_a_file_that_does_not_convert_is_named(tmp_path: Path) -> None:
    state = to_timm(filled().state_dict())
    del state["blocks.1.norm2.bias"]
    for name, tensors, words in (
        ("foreign", {"a": torch.zeros(1)}, "no known network has these 1 tensors"),
        ("cut", state, "the file looks like timm but lacks blocks.1.norm2.bias"),
    ):
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(AllmlpError, match=rf"^{tmp_path}/{name}\.safetensors: {words}"):
            create_model("mixer_digits", pretrained=tmp_path / f"{name}.safetensors")
