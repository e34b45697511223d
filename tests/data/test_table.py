import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from allmlp.data import TableEncoder, fit_encoder, quantile_edges, read_table, to_table
from allmlp.errors import AllmlpError


def columns(values: object) -> list[list[object]]:
    return [column.tolist() for column in to_table(values).columns]


def test_numbers_and_texts_are_told_apart() -> None:
    table = to_table([[1, "a", True, 2], [2.5, None, False, "x"], [None, "b", None, 2.0]])
    assert table.names == ("x0", "x1", "x2", "x3")
    assert table.columns[0][:2].tolist() == [1.0, 2.5]
    assert np.isnan(table.columns[0][2])
    assert table.columns[1].tolist() == ["a", None, "b"]
    assert table.columns[2].tolist() == ["True", "False", None]
    # one text makes the column texts; 2 and 2.0 are one of them
    assert table.columns[3].tolist() == ["2", "x", "2"]
    assert len(table) == 3
    assert table.drop("x1").names == ("x0", "x2", "x3")
    with pytest.raises(AllmlpError, match="no column 'y'; it has x0, x1, x2, x3"):
        table["y"]


def test_frames_say_the_same_as_lists() -> None:
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    data = {"n": [1, None, 3], "t": ["a", None, "b"], "b": [True, False, None]}
    wanted = ("n", "t", "b")
    frame = pandas.DataFrame(
        {
            "n": pandas.array([1, None, 3], dtype="Int64"),
            "t": pandas.Categorical(["a", None, "b"]),
            "b": pandas.array([True, False, None], dtype="boolean"),
        }
    )
    frames = [frame, polars.DataFrame(data), polars.DataFrame(data).to_arrow()]
    frames.append(polars.DataFrame(data).with_columns(polars.col("t").cast(polars.Categorical)))
    for table in map(to_table, frames):
        assert table.names == wanted
        np.testing.assert_array_equal(table["n"], [1, np.nan, 3])
        assert table["t"].tolist() == ["a", None, "b"]
        assert table["b"].tolist() == ["True", "False", None]
    numbered = frame.assign(t=pandas.Categorical([3, None, 1]))
    assert to_table(numbered)["t"].tolist() == ["3", None, "1"]


def test_bad_columns_are_named() -> None:
    pandas = pytest.importorskip("pandas")
    twice = pandas.DataFrame(np.ones((2, 2)), columns=["a", "a"])
    with pytest.raises(AllmlpError, match="names of their own, 'a' is there twice"):
        to_table(twice)
    dates = pandas.DataFrame({"when": pandas.to_datetime(["2024-01-01", "2024-01-02"])})
    with pytest.raises(AllmlpError, match="column 'when' holds dates or times"):
        to_table(dates)
    with pytest.raises(AllmlpError, match="column 'x0' holds dates or times"):
        to_table([[datetime.date(2024, 1, 1)], [None]])
    with pytest.raises(AllmlpError, match="column 'x0' must hold numbers or texts, got dict"):
        to_table(np.array([[{}], [1]], dtype=object))
    with pytest.raises(AllmlpError, match="Complex data not supported"):
        to_table(np.array([[1j]]))
    with pytest.raises(AllmlpError, match="two axes, rows and columns, got 1D array"):
        to_table([1.0, 2.0])


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("age; job ;pay\n 39; clerk ;1e3\n?;;2\n40;none;NaN\n")
    table = read_table(path)
    assert table.names == ("age", "job", "pay")
    np.testing.assert_array_equal(table["age"], [39, np.nan, 40])
    assert table["job"].tolist() == ["clerk", None, None]
    np.testing.assert_array_equal(table["pay"], [1000, 2, np.nan])


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [1.5, None], "t": ["x", None], "c": ["u", "v"]})
    frame["c"] = frame["c"].astype("category")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    for one, other in zip(
        read_table(tmp_path / "t.parquet").columns,
        read_table(tmp_path / "t.csv").columns,
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "a,b\n", "a line of names and at least one row"),
        ("a.csv", "a,b\n1,2\n1\n", "names 2 columns, but row 3 has 1 values"),
        ("a.csv", "a,a\n1,2\n", "'a' is there twice"),
        ("a.xlsx", "", "is a .csv, .tsv or .parquet file, got a.xlsx"),
        ("a.csv", "\udcff", "must be UTF-8 text"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(AllmlpError, match=says):
        read_table(tmp_path / name)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(AllmlpError, match="no table at"):
        read_table(tmp_path / "a.csv")


def test_quantiles_become_normal() -> None:
    generator = np.random.default_rng(0)
    values = np.exp(generator.normal(size=(4000, 1)))
    rows = fit_encoder(to_table(values)).encode(to_table(values))[:, 0]
    # quantile by quantile, to the resolution of 4000 // 30 quantiles
    ranks = (np.arange(4000) + 0.5) / 4000
    error = np.abs(np.sort(rows) - ndtri(ranks))
    assert error[40:-40].max() < 0.05
    far = fit_encoder(to_table(values)).encode(to_table([[1e9], [-1e9]]))[:, 0]
    assert far.tolist() == pytest.approx([ndtri(1 - 1e-7), ndtri(1e-7)], rel=1e-5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=40))
def test_scaling_keeps_the_order(values: list[float]) -> None:
    if len({*values}) < 2:
        return
    table = to_table([[v] for v in values])
    for scaling in ("quantile", "robust", "standard", "range"):
        rows = fit_encoder(table, scaling=scaling).encode(table)[:, 0]
        assert np.isfinite(rows).all()
        assert (np.diff(rows[np.argsort(values, kind="stable")]) >= -1e-6).all()


def test_tiny_and_huge_spreads_stay_finite() -> None:
    for values in ([0.0, 5e-324, 1e6], [0.0] * 6 + [1e-310, 1e6], [-1e300, 0.0, 1e300]):
        table = to_table([[v] for v in values])
        for scaling in ("robust", "standard", "range"):
            with np.errstate(over="ignore"):  # the deviation of the last one is beyond float64
                rows = fit_encoder(table, scaling=scaling).encode(table)
            assert np.isfinite(rows).all()


def test_range_scaling_in_float64() -> None:
    table = to_table([[3.0], [4.0], [7.0]])
    encoder = fit_encoder(table, scaling="range", dtype="float64")
    again = TableEncoder.from_state(*encoder.state())
    for one in (encoder, again):
        rows = one.encode(to_table([[3.0], [5.0], [7.0], [11.0 + 1e-12]]))
        assert rows.dtype == np.float64
        np.testing.assert_allclose(rows[:, 0], [-1, 0, 1, 3 + 5e-13], rtol=1e-15)
    assert fit_encoder(table).encode(table).dtype == np.float32


def test_robust_scaling_is_its_formula() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    table = to_table(values[:, None])
    scaled = (values - 3) / 2  # the quartiles are 2 and 4
    expected = scaled / np.sqrt(1 + (scaled / 3) ** 2)
    rows = fit_encoder(table, scaling="robust").encode(table)
    np.testing.assert_allclose(rows[:, 0], expected, rtol=1e-6)
    # where the quartiles are one, half of the range divides
    even = to_table([[0.0]] * 9 + [[4.0]])
    assert fit_encoder(even, scaling="robust").numbers[0].numbers.tolist() == [0.0, 2.0]


def test_missing_numbers() -> None:
    table = to_table([[1.0, 5.0], [np.nan, 6.0], [3.0, 7.0], [2.0, 8.0]])
    encoder = fit_encoder(table, scaling="standard")
    assert encoder.num_flags == 1
    rows = encoder.encode(table)
    assert rows[:, 2].tolist() == [0, 1, 0, 0]
    assert rows[1, 0] == pytest.approx(0.0)  # the median is the mean here
    with pytest.warns(UserWarning, match="missing in x1, where none was in training"):
        surprised = encoder.encode(to_table([[1.0, np.nan]]))
    assert surprised[0, 1] == pytest.approx(0.0)


def test_categories() -> None:
    rows = [["b"], ["a"], [None], ["a"], ["b"], ["rare"]]
    encoder = fit_encoder(to_table(rows))
    assert encoder.categories[0].levels == ("a", "b")
    assert encoder.encode(to_table(rows))[:, 0].tolist() == [2, 1, 3, 1, 2, 0]
    assert encoder.encode(to_table([["new"]])).tolist() == [[0]]
    assert encoder.levels == (3,)


def test_levels_do_not_depend_on_what_holds_them() -> None:
    pandas = pytest.importorskip("pandas")
    as_category = pandas.DataFrame({"c": pandas.Categorical([1, 2, 1, 2])})
    encoder = fit_encoder(to_table(as_category))
    for same in ([1, 2], [1.0, 2.0], ["1", "2"], pandas.array([1, 2], dtype="Int64")):
        assert encoder.encode(to_table(pandas.DataFrame({"c": same}))).tolist() == [[1], [2]]
    numbers = fit_encoder(to_table(pandas.DataFrame({"c": [1.0, 2.0, 4.0]})), scaling="standard")
    texts = to_table(pandas.DataFrame({"c": ["1", "4"]}))
    plain = to_table(pandas.DataFrame({"c": [1, 4]}))
    assert numbers.encode(texts).tolist() == numbers.encode(plain).tolist()
    with pytest.raises(AllmlpError, match="column 'c' held numbers in training, got 'high'"):
        numbers.encode(to_table(pandas.DataFrame({"c": ["high"]})))


def test_columns_that_say_nothing_are_left_out() -> None:
    nothing = [[1.0, 1.0, None, "a", 7.0], [2.0, 1.0, None, "a", None]] * 3
    encoder = fit_encoder(to_table(nothing))
    assert encoder.dropped == ("x1", "x2", "x3")
    # one value or none: that it is there says something
    assert [c.name for c in encoder.numbers] == ["x0", "x4"]
    assert encoder.encode(to_table(nothing)).shape == (6, 3)
    with pytest.raises(AllmlpError, match="a column that varies, but each of x0 holds one"):
        fit_encoder(to_table([[1.0], [1.0]]))
    with pytest.raises(AllmlpError, match="at least one row to learn from, got 0"):
        fit_encoder(to_table(np.empty((0, 2))))


def test_infinity_and_other_columns_are_refused() -> None:
    table = to_table([[1.0, 2.0], [3.0, 4.0]])
    encoder = fit_encoder(table)
    with pytest.raises(AllmlpError, match="column 'x1' holds infinity"):
        encoder.encode(to_table([[1.0, np.inf]]))
    with pytest.raises(AllmlpError, match="lacks x1"):
        encoder.encode(table.drop("x1"))
    with pytest.raises(AllmlpError, match="has x2 besides"):
        encoder.encode(to_table([[1.0, 2.0, 3.0]]))


def test_many_levels_keep_the_most_frequent() -> None:
    count = 10**5
    texts = np.array([f"id{i}" for i in range(count)] + ["often"] * 5, dtype=object)[:, None]
    encoder = fit_encoder(to_table(texts), min_frequency=1)
    assert encoder.levels == (10_000,)
    assert "often" in encoder.categories[0].levels
    assert fit_encoder(to_table(texts)).categories[0].levels == ("often",)


def test_only_training_rows_are_learned_from() -> None:
    table = to_table([[0.0, "a"], [2.0, "a"], [1000.0, "b"], [1000.0, "b"], [1.0, "c"]])
    encoder = fit_encoder(table, rows=np.array([0, 1, 4]), min_frequency=1, scaling="standard")
    assert encoder.numbers[0].median == 1.0
    assert encoder.categories[0].levels == ("a", "c")


def test_state_is_everything() -> None:
    table = to_table([[1.0, "a", None], [None, "b", 2.0], [3.0, None, 5.0], [4.0, "a", 1.0]])
    encoder = fit_encoder(table, min_frequency=1)
    again = TableEncoder.from_state(*encoder.state())
    np.testing.assert_array_equal(again.encode(table), encoder.encode(table))
    assert again.names == encoder.names


def test_frequent_values_take_no_bins_of_others() -> None:
    generator = np.random.default_rng(0)
    smooth = generator.normal(size=1000).astype(np.float32)
    mostly_zero = np.where(np.arange(1000) < 900, 0, np.arange(1000)).astype(np.float32)
    few = generator.integers(0, 3, 1000).astype(np.float32)
    edges = quantile_edges(np.column_stack([smooth, mostly_zero, few]), 48)
    quantiles = np.quantile(smooth, np.linspace(0, 1, 49)).astype(np.float32)
    np.testing.assert_array_equal(edges[0], quantiles)
    # 47 bins for the hundred rows that are not 0
    assert edges[1][0] == 0
    np.testing.assert_allclose(edges[1][1:], np.linspace(900, 999, 48), rtol=1e-6)
    np.testing.assert_array_equal(edges[2], [0, 1, 2])


@given(st.lists(st.floats(-100, 100, width=16), min_size=1, max_size=50), st.integers(1, 9))
def test_edges_ascend(values: list[float], bins: int) -> None:
    (edges,) = quantile_edges(np.array(values, dtype=np.float32)[:, None], bins)
    assert 2 <= len(edges) <= bins + 1
    assert (np.diff(edges) > 0).all()
    if len({*values}) > 1:
        assert (edges[0], edges[-1]) == (min(values), max(values))


def test_csv_keeps_what_quotes_hold(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('n,t\n1,"x\ny"\n2,"x y"\n3,x\u2028y\n4,x\x0cy\n', encoding="utf-8")
    assert read_table(path)["t"].tolist() == ["x\ny", "x y", "x\u2028y", "x\x0cy"]
    path.write_text("n\n1_1\n11\n", encoding="utf-8")  # to Python both are eleven
    assert read_table(path)["n"].tolist() == ["1_1", "11"]
    path.write_text('n\n"' + "1\n" * 100_000, encoding="utf-8")
    with pytest.raises(AllmlpError, match="no intact csv .* a quote without its pair"):
        read_table(path)


def test_damaged_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1" + b"no table" * 9 + b"PAR1")
    with pytest.raises(AllmlpError, match="no readable parquet file"):
        read_table(path)


@pytest.mark.parametrize("scaling", ["quantile", "standard", "robust", "range"])
def test_one_value_and_gaps_scale_by_one(scaling: str) -> None:
    table = to_table([[0.1]] * 7 + [[None]])
    encoder = fit_encoder(table, scaling=scaling)
    encoded = encoder.encode(to_table([[0.1], [0.2], [None]]))
    assert encoded[:, 0] == pytest.approx([0, 0.1, 0], abs=1e-4)


@pytest.mark.parametrize("scaling", ["quantile", "standard", "robust", "range"])
def test_values_whose_square_is_too_large(scaling: str) -> None:
    rows = [[value * 1e200] for value in range(60)]
    encoded = fit_encoder(to_table(rows), scaling=scaling).encode(to_table(rows))
    assert np.isfinite(encoded).all()
    assert (np.diff(encoded[:, 0]) > 0).all()


def test_large_integers_stay_apart() -> None:
    pandas = pytest.importorskip("pandas")
    ids = pandas.Categorical([1234567890123456789, 1234567890123456790])
    assert to_table(pandas.DataFrame({"id": ids})).columns[0].tolist() == [
        "1234567890123456789",
        "1234567890123456790",
    ]


def test_decimals_are_numbers() -> None:
    rows = [[Decimal("1.50"), "a"], [None, Decimal("2.0")]]
    table = to_table(rows)
    np.testing.assert_array_equal(table.columns[0], [1.5, np.nan])
    assert table.columns[1].tolist() == ["a", "2"]


def test_columns_of_numbers_stay_arrays() -> None:
    """Through Python's numbers a million of them takes a second."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    values = np.array([[1.0, 2.0], [np.nan, 4.0]])
    frames = [
        pandas.DataFrame(values),
        pandas.DataFrame(values).astype("Float64"),
        polars.DataFrame({"a": [1.0, None], "b": [2, 4]}),
        pyarrow.table({"a": [1.0, None], "b": [2, 4]}),
        pyarrow.record_batch({"a": pyarrow.array([1.0, None]), "b": pyarrow.array([2, 4])}),
    ]
    for frame in frames:
        np.testing.assert_array_equal(np.stack(to_table(frame).columns, axis=1), values)
    with pytest.raises(AllmlpError, match=r"give what its \.collect\(\) returns"):
        to_table(frames[2].lazy())
    with pytest.raises(AllmlpError, match="'a' is there twice"):
        to_table(pyarrow.table([[1], [2]], names=["a", "a"]))


def test_dates_where_they_are_asked_for() -> None:
    pandas = pytest.importorskip("pandas")
    days = pandas.to_datetime(["2024-05-02", None, "2024-05-01T12:30"], format="ISO8601")
    frame = pandas.DataFrame({"when": days, "n": [1, 2, 3]})
    with pytest.raises(AllmlpError, match="'when' holds dates or times"):
        to_table(frame)
    found = to_table(frame, dates=["when", "n"])["when"].tolist()
    assert found == ["2024-05-02T00:00:00", None, "2024-05-01T12:30:00"]
    spans = pandas.DataFrame({"when": days - days[0]})
    with pytest.raises(AllmlpError, match="'when' holds dates or times"):
        to_table(spans, dates=["when"])


def test_numbers_that_are_names() -> None:
    table = to_table([[7, 1.0], [8, 2.0], [7, 3.0], [9, 4.0], [9, 5.0]])
    encoder = fit_encoder(table, categories=["x0"])
    assert encoder.categories[0].levels == ("7", "9")
    assert encoder.encode(table)[:, -1].tolist() == [1, 0, 1, 2, 2]
    with pytest.raises(AllmlpError, match="no column 'zip'; it has x0, x1"):
        fit_encoder(table, categories=["zip"])


def test_levels_in_other_types() -> None:
    halves = fit_encoder(to_table([["0.1"], ["0.2"], ["0.1"], ["0.2"]]))
    kept_in_less = np.array([[0.2], [0.1]], dtype=np.float32)
    assert halves.encode(to_table(kept_in_less)).tolist() == [[2], [1]]
    flags = fit_encoder(to_table([[0], [1], [1]]), scaling="standard")
    truths = to_table([[False], [True], [True]])
    np.testing.assert_array_equal(flags.encode(truths), flags.encode(to_table([[0], [1], [1]])))


def test_nothing_at_all_is_no_surprise(recwarn: pytest.WarningsRecorder) -> None:
    encoder = fit_encoder(to_table([["red", 1], [None, 2], ["red", 3], [None, 4]]))
    assert encoder.encode(to_table([[None, 2.0]]))[0, -1] == 2
    assert not recwarn
