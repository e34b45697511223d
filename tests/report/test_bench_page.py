"""The page of models side by side."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allmlp.bench import Benchmark, BenchRow, Timing, TokenCost, describe_machine, find_models
from allmlp.report import bench_page, render_page, write_page
from allmlp.report.bench_charts import draw_tokens
from allmlp.zoo import model_info


@pytest.fixture(scope="module")
def found() -> Benchmark:
    """Three models with times that follow from their products, and one that failed."""
    rows = []
    for contestant in find_models(["gmlp_s16", "cyclemlp_b1", "mixer_b16"]):
        info = model_info(contestant.name)
        seconds = info.macs / 1e11
        rows.append(
            BenchRow(
                contestant.name,
                "allmlp",
                "fp32",
                False,
                8,
                contestant.input_shape,
                contestant.published,
                info.parameters,
                info.macs,
                Timing((seconds, 2 * seconds)),
                Timing((8 * seconds,)),
                Timing((30 * seconds,)),
                4 * info.parameters,
                16 * info.parameters,
            )
        )
    rows.append(
        BenchRow("mixer_h14", "allmlp", "bf16", True, 8, (3, 224, 224), error="SIGKILL <b>")
    )
    tokens = tuple(
        TokenCost(block, n, n * (n if block == "attention" else 9), Timing((n / 1e3,)))
        for n in (49, 196, 784)
        for block in ("mixer", "attention")
    )
    return Benchmark(describe_machine(), 1.5, 2, {"fp32": 4e11}, tuple(rows), tokens)


def test_the_page_says_what_was_measured(found: Benchmark) -> None:
    page = bench_page(found)
    assert [section.title for section in page.sections] == [
        "Speed and memory", "Accuracy and cost", "Tokens", "What failed", "How it was measured",
    ]  # fmt: skip
    text = render_page(page)
    gmlp, _, mixer, _ = found.rows
    assert mixer.macs is not None
    assert gmlp.macs is not None
    # one image in MACs / 1e11 s at its fastest: half of 4e11 FLOP/s
    assert "50.0\N{NO-BREAK SPACE}%" in text
    assert f"{1.5 * mixer.macs / 1e8:.3g} ms" in text
    assert f"{1 / (gmlp.macs / 1e11):.3g}" in text
    for piece in ("240 MB", "400 GFLOP/s", "arXiv:2105.01601, table 3", "SIGKILL &lt;b&gt;"):
        assert piece in text, piece
    assert "1 gmlp_s16, 2 cyclemlp_b1, 3 mixer_b16" in text


def test_a_short_or_interrupted_measurement_has_a_page(found: Benchmark) -> None:
    rows = tuple(
        replace(row, latency=None, forward=None, train=None, published=None) for row in found.rows
    )
    page = bench_page(replace(found, rows=rows, tokens=(), peaks={}, interrupted=True))
    assert "interrupted" in page.lead
    assert "Tokens" not in render_page(page)


def test_tokens_are_described(found: Benchmark) -> None:
    products, times = draw_tokens(found.tokens)
    # 784 tokens: 784 x 9 MACs and 784 x 784
    assert "at 784 tokens 7.06e-06 for Mixer, 0.000615 for ViT (attention)" in products.alt
    assert "784 for Mixer, 784 for ViT" in times.alt


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_on_a_screen(
    found: Benchmark, tmp_path: Path, width: int, scheme: str, look: Callable[..., Any]
) -> None:
    write_page(tmp_path / "bench.html", bench_page(found))
    seen = look(tmp_path / "bench.html", width, scheme)
    assert len(seen.sound(width)) == 3
    table = seen.page.locator("section").filter(has_text="Forward passes of one image")
    table.get_by_role("button", name="one image").click()
    assert "mixer_b16" in table.locator("tbody tr").first.inner_text()  # the slowest
