"""`allmlp info`."""

from dataclasses import asdict

__all__ = ["info"]


def info(model: str, /) -> None:
    """Show a model's sizes, costs, published accuracies and settings.

    Parameters
    ----------
    model:
        As `allmlp models` lists them.
    """
    from allmlp.zoo import model_info

    found = model_info(model)
    channels, height, width = found.input_shape
    print(f"{found.name}  ({found.family}, {found.paper})")
    if found.experimental:
        print("  experimental: the sizes were inferred and could not be verified")
    print(f"  parameters  {found.parameters:,}")
    print(f"              {found.parameters_without_head:,} without the head")
    print(f"  MACs        {found.macs:,} for one image")
    print(f"  input       {channels} channels, {height}×{width} pixels")
    print(f"  classes     {found.num_classes}")
    for result in found.published:
        print(
            f"  published   {result.top1:.2f} % {result.data}, {result.img_size} px, "
            f"pre-training: {result.pretraining}; {result.source}"
        )
    for record in found.weights:
        print(
            f"  weights     {record.tag}: {record.pretraining}; {record.licence}"
            + (f"; {record.top1:.2f} % ({record.top1_source})" if record.top1 else "")
        )
    print("  config      change any with --model.overrides.NAME VALUE")
    for name, value in asdict(found.config).items():
        print(f"    {name}: {value}")
