"""Dotted flags: `--train.warmup 5` becomes `--set train.warmup=5`."""

from collections.abc import Sequence

from allmlp.errors import AllmlpError

__all__ = ["rewrite_dotted"]


def rewrite_dotted(tokens: Sequence[str]) -> list[str]:
    """Rewrite every `--section.field value` or `--section.field=value` of `allmlp train`.

    The config tree alone knows which paths exist and what they hold, for files and flags alike.

    Raises:
        AllmlpError: a flag without a value.

    Example:
        >>> rewrite_dotted(["train", "--train.warmup", "5", "--augment.shift=0", "--lr", "1e-3"])
        ['train', '--set', 'train.warmup=5', '--set', 'augment.shift=0', '--lr', '1e-3']
    """
    if not tokens or tokens[0] != "train":
        return list(tokens)
    rewritten: list[str] = []
    rest = iter(tokens)
    for token in rest:
        name, equals, value = token.partition("=")
        if not name.startswith("--") or "." not in name:
            rewritten.append(token)
            continue
        if not equals:
            value = next(rest, "--")
            if value.startswith("--"):
                raise AllmlpError(f"{name} needs a value, as in {name} VALUE")
        rewritten += ["--set", f"{name.removeprefix('--')}={value}"]
    return rewritten
