import pytest

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates, unknown_name


def test_unknown_name_lists_everything_when_nothing_is_near() -> None:
    message = unknown_name("model", "zzz", ["b", "a"])
    assert message == "unknown model 'zzz'; choose one of: a, b"


def test_unknown_name_cuts_long_lists() -> None:
    message = unknown_name("model", "zzz", [f"name{i:02}" for i in range(30)])
    assert message.endswith("name19, …")


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", True, None])
def test_check_integers_refuses(value: object) -> None:
    with pytest.raises(AllmlpError, match="Net needs an integer depth of at least 1, got"):
        check_integers("Net", minimum=1, depth=value)


@pytest.mark.parametrize("value", [1, 1.5, -0.1, "0.1", True, float("nan")])
def test_check_rates_refuses(value: object) -> None:
    with pytest.raises(AllmlpError, match=r"Net needs dropout_rate in \[0, 1\), got"):
        check_rates("Net", dropout_rate=value)


def test_checks_accept_the_edges() -> None:
    check_integers("Net", minimum=0, num_classes=0)
    check_rates("Net", dropout_rate=0, drop_path_rate=0.999)
    check_choice("init", "flax", ["flax", "timm"])
