"""`allmlp models`."""

from allmlp.errors import AllmlpError

__all__ = ["models"]


def models(pattern: str = "*", /) -> None:
    """List models with their size, cost and published accuracy.

    Parameters
    ----------
    pattern:
        Shell pattern, for example 'mixer_b*'.
    """
    from rich.console import Console
    from rich.table import Table

    from allmlp.zoo import list_models, model_info

    names = list_models(pattern)
    if not names:
        raise AllmlpError(f"no model matches {pattern!r}; `allmlp models` lists all")
    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    for header in ("parameters", "GMACs", "input"):
        table.add_column(header, justify="right")
    table.add_column("published top-1 (pre-training)")
    for name in names:
        found = model_info(name)
        # the best number without its pre-training would mislead: the plainest one comes first
        first = found.published[:1]
        table.add_row(
            name,
            f"{found.parameters:,}",
            f"{found.macs / 1e9:.3f}",
            "×".join(map(str, found.input_shape)),
            "".join(f"{p.top1:.2f} {p.data} ({p.pretraining})" for p in first),
        )
    Console().print(table)
