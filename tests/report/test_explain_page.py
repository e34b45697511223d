"""The pages of `allmlp explain`, in a browser where there is one."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import allmlp
from allmlp.cli import main
from allmlp.interpret import Overview, overview
from allmlp.report import Gallery, Page, Section, Table, Text, explain_page, write_page
from allmlp.report.maps import draw_map, draw_strength
from allmlp.report.palette import NEGATIVE, POSITIVE

NASTY = ("<script>document.title='x'</script>", "\"'><img src=x>", "$\\frac{", "x" * 200)
CLASSES = (*NASTY, *"456789")
PYRAMID: dict[str, Any] = {"img_size": 32, "depths": (2, 1)}
KINDS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "mixer": ("mixer_digits", {"depth": 2}, ["Token mixing", "Effective receptive fields"]),
    "gmlp": ("gmlp_digits", {"depth": 1}, ["Token mixing", "Effective receptive fields"]),
    "repmlpnet": (
        "repmlpnet_t224",
        PYRAMID | {"widths": (8, 8), "share_sets": (1, 8)},
        ["Token mixing", "Effective receptive fields"],
    ),
    "cyclemlp": (
        "cyclemlp_b1",
        PYRAMID | {"widths": (8, 8), "mlp_ratios": (2, 2)},
        ["Reach of a layer", "Effective receptive fields"],
    ),
    "csmixer": (
        "csmixer_t",
        PYRAMID | {"width": 8, "heads": (2, 7), "ranks": (2, 2), "group_side": 4},
        ["Reach of a layer", "Effective receptive fields"],
    ),
    "mlp": ("mlp", {"img_size": 8, "widths": (8,)}, ["The first layer"]),
    "kan": ("kan", {"img_size": 8, "widths": (8,)}, ["The first layer"]),
    "bilinear": (
        "bilinear",
        {"img_size": 8, "hidden": 12},
        ["Eigenfeatures", "Spectrum", "What adds up to the logit", "Pairs of pixels"],
    ),
    "deep bilinear": (
        "bilinear",
        {"img_size": 4, "in_chans": 3, "hidden": 6, "depth": 2},
        ["Nested eigenfeatures", "The first layer"],
    ),
}


def look_at(kind: str, image: bool = True) -> tuple[Any, Overview, Page]:
    name, sizes, _ = KINDS[kind]
    model: Any = allmlp.create_model(name, num_classes=10, **sizes)
    for parameter in model.get_classifier().parameters():
        nn.init.normal_(parameter)
    shape = (model.config.in_chans, *model.config.img_size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    images = torch.stack([pixels / 128 - 1, torch.randn(shape)])
    found = overview(model, 2, image=images[0], images=images) if image else overview(model, 2)
    page = explain_page(
        found,
        name="a <b> & c",
        model=name,
        classes=CLASSES,
        pixels=pixels if image else None,
        source="<i>.png",
    )
    return model.eval(), found, page


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_in_a_browser(
    kind: str, tmp_path: Path, look: Callable[..., Any]
) -> None:
    _, _, page = look_at(kind)
    assert [s.title for s in page.sections] == ["This image", *KINDS[kind][2]]
    path = tmp_path / "explain.html"
    write_page(path, page)
    for width, scheme in ((390, "dark"), (1280, "light")):
        seen = look(path, width, scheme)
        assert seen.messages == []
        assert seen.requests == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert len(seen.pictures) >= 5
        for picture in seen.pictures:
            assert (picture["empty"], picture["hidden"]) == (False, False)
            assert min(picture["width"], picture["height"]) >= 20
            assert 0 <= picture["left"] <= width - picture["width"]
        assert seen.page.title() == "What a <b> & c looks at"
        answers = seen.page.locator("#s1 tbody th").all_inner_texts()
        assert {name.strip() for name in answers} <= {name.strip() for name in CLASSES}
        assert CLASSES[2] in seen.page.inner_text("#s1")


def rows(section: Section) -> dict[str, str]:
    """The last column of a section's table by the first."""
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    return {row[0].text: row[-1].text for row in table.cells}


def test_what_is_listed_adds_up() -> None:
    model, found, page = look_at("bilinear")
    by_title = {section.title: section for section in page.sections}
    told = rows(by_title["What adds up to the logit"])
    assert found.answer is not None
    logit = model(found.answer.image[None])[0, 2].item()
    assert told["sum"] == told["the model's logit"] == f"{logit:+.4f}"
    parts = [float(v) for k, v in told.items() if k not in ("sum", "the model's logit")]
    assert sum(parts) == pytest.approx(logit, abs=5e-5 * len(parts))
    listed = [float(value) for value in rows(by_title["Pairs of pixels"]).values()]
    assert listed[:5] == sorted(listed[:5], reverse=True)
    assert listed[0] > 0 > listed[-1]
    # and the integrated gradients are half of every pair of a pixel, as the page says
    assert found.answer.pairs is not None
    pairs = found.answer.pairs.pair_matrix(2)
    shares = pairs[:64, :64].sum(1) + 2 * pairs[:64, 64]  # the last one is the constant 1
    torch.testing.assert_close(
        found.answer.gradients.double().flatten(), shares, rtol=1e-4, atol=1e-5
    )


def test_without_an_image_the_weights_are_shown() -> None:
    for kind, title in (("bilinear", "Eigenfeatures"), ("mixer", "Token mixing")):
        page = look_at(kind, image=False)[2]
        assert page.lead.endswith("No image was given: this is what it looks for in any.")
        assert page.sections[0].title == title
    model = allmlp.create_model("convmixer_256_8", width=8, depth=1, num_classes=10)
    page = explain_page(overview(model), name="run", model="convmixer_256_8", classes=CLASSES)
    (section,) = page.sections
    assert section.title == "Nothing to draw from the weights alone"
    assert isinstance(section.blocks[0], Text)
    assert "Name an image with --image" in section.blocks[0].text


def levels(source: str | None) -> np.ndarray:
    assert source is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))


def test_maps_are_hue_and_depth() -> None:
    values = torch.tensor([[2.0, -1.0], [0.0, 0.5]])
    drawn = levels(draw_map(values, alt="A map.").source)
    hues = [tuple(bytes.fromhex(colour[1:])) for colour in (POSITIVE, NEGATIVE)]
    assert drawn[..., 3].tolist() == [[255, 128], [0, 64]]
    assert [tuple(drawn[0, 0, :3]), tuple(drawn[0, 1, :3])] == hues
    assert levels(draw_strength(values.abs(), alt="A map.").source)[..., 3].tolist() == [
        [255, 128],
        [0, 64],
    ]
    assert not levels(draw_map(torch.zeros(2, 2), alt="Nothing.").source)[..., 3].any()
    spread = torch.linspace(0, 1, 1000).reshape(20, 50)
    spread[0, 0] = -50  # a single pixel does not hide the others
    assert levels(draw_map(spread, alt="A map.").source)[..., 3][10, 0] == 128
    large = draw_map(values, alt="A map.", large=True)
    assert levels(large.source).shape == (240, 240, 4)
    assert large.width == 240


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explained") / "run"
    settings = {
        "data": {"img_size": 8},
        "model": {"overrides": {"hidden": 8}},
        "train": {"warmup": 0.0},
        "run": {"device": "cpu"},
    }
    allmlp.train(settings, data="digits", model="bilinear", epochs=1, run=str(path), progress=False)
    return path


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = 0
    try:
        main(["explain", *map(str, arguments)])
    except SystemExit as ended:
        code = int(ended.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, run) == (0, f"{run / 'explain.html'}\n", "")
    text = (run / "explain.html").read_text()
    assert "takes 0.png for" in text  # the first sample
    page = tmp_path / "seven.html"
    assert call(capsys, run, "--class", "7", "--to", page)[0] == 0
    text = page.read_text()
    assert "takes 7.png for" in text  # the sample of that class
    assert "The logit of 7 is exactly" in text
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((30, 50, 3), 200, dtype=np.uint8)).save(photo)
    assert call(capsys, run, "--image", photo, "--to", page)[0] == 0
    assert "takes photo.png for" in page.read_text()


def test_samples_may_be_gone(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.yaml", "model.json", "model.safetensors"):
        (bare / name).write_bytes((run / name).read_bytes())
    assert call(capsys, bare)[0] == 0
    assert "No image was given" in (bare / "explain.html").read_text()


def test_mistakes_are_one_line(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    for arguments, expected in (
        ((run, "--class", "seven"), "unknown class 'seven'"),
        ((run, "--image", text), "cannot read the image"),
        ((run, "--image", tmp_path / "nothing.png"), "no image at"),
        ((tmp_path / "nothing",), "is no run: it has no config.yaml"),
        ((run, "--to", tmp_path / "no" / "folder.html"), "No such file or directory"),
        ((run, "--device", "abacus"), "abacus"),
    ):
        code, out, err = call(capsys, *arguments)
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert expected in err
    assert call(capsys)[0] == 2  # a command line that cannot be read
    assert call(capsys, run, "--klass", "7")[0] == 2

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("allmlp.interpret.overview", interrupt)
    assert call(capsys, run) == (130, "", "allmlp: interrupted\n")


@pytest.fixture(scope="module", params=["classes", "values"])
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    colours = rng.choice(["red", "<b>green</b>"], 200)
    sizes = rng.normal(size=200)
    values = sizes + (colours == "red") + 0.1 * rng.normal(size=200)
    target = (
        np.where(values > 0.5, "<i>large</i>", "small") if request.param == "classes" else values
    )
    lines = [
        "colour,size,y",
        *(f"{c},{s},{t}" for c, s, t in zip(colours, sizes, target, strict=True)),
    ]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    main(["train", str(folder / "rows.csv"), "--target", "y", "--run", str(folder / "run"),
          "--table.max_epochs", "5"])  # fmt: skip
    return folder / "run"


def test_a_table(table: Path, look: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    classes = "accuracy" in (table / "eval" / "scores.json").read_text()
    arguments = ["--class", "<i>large</i>"] if classes else []
    capsys.readouterr()
    assert call(capsys, table, *arguments) == (0, f"{table / 'explain.html'}\n", "")
    for width, scheme in ((390, "light"), (1280, "dark")):
        seen = look(table / "explain.html", width, scheme)
        assert (seen.messages, seen.requests) == ([], [])
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert len(seen.pictures) == 1  # of the column of numbers
        assert not any(p["empty"] or p["hidden"] for p in seen.pictures)
        assert seen.page.locator("#s1 tbody tr").count() == 2
        names = seen.page.locator("#s2 tbody th").all_inner_texts()
        assert sorted(name.strip() for name in names) == ["<b>green</b>", "red"]
    wrong = ("--class", "red") if classes else ("--class", "large")
    expected = "unknown class 'red'" if classes else "is a number and has no classes"
    code, _, err = call(capsys, table, *wrong)
    assert (code, expected in err) == (1, True)
    code, _, err = call(capsys, table, "--image", "a.png")
    assert (code, "reads no images; leave out --image" in err) == (1, True)
    (table / "eval" / "scores.json").unlink()  # last: nothing else reads this run
    code, _, err = call(capsys, table)
    assert (code, "was not scored to its end; train again" in err) == (1, True)


def test_every_picture_says_what_it_shows() -> None:
    for kind in ("mixer", "csmixer", "bilinear"):
        for section in look_at(kind)[2].sections:
            for block in section.blocks:
                if isinstance(block, Gallery):
                    alts = [picture.alt for picture in block.pictures]
                    assert len(set(alts)) == len(alts)
