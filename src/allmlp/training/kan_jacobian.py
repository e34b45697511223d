"""A KAN's outputs differentiated by its parameters, sample by sample.

An edge is linear in its weights, so the derivative of an output by a weight is the derivative of
the output by the edge's sum, times the function that the weight multiplies. One backward pass for
every output and one evaluation of each layer's functions give the whole matrix.

Axes: n samples, o outputs, p trained parameters, s sums, i inputs of a layer, m functions per edge,
e symbolic edges.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.kan import KANLinear
from allmlp.layers.kan_layer import KANLayer
from allmlp.layers.kan_symbolic import SymbolicEdges
from allmlp.models.kan import KAN

__all__ = ["kan_jacobian", "trained_parameters"]


def trained_parameters(model: KAN) -> dict[str, nn.Parameter]:
    """The parameters that a Jacobian is taken by, by name.

    Raises:
        AllmlpError: nothing is trained, or something beside edges and biases is.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    known = {id(p) for layer in model.layers for p in _parts(cast(KANLayer, layer)).values()}
    other = [name for name, p in trained.items() if id(p) not in known]
    if other:
        raise AllmlpError(
            "Gauss-Newton steps know the derivatives of edges and biases, and this KAN trains "
            f"{other[0]} as well; freeze it (requires_grad_(False)), or train by lbfgs"
        )
    if not trained:
        raise AllmlpError("the model has no parameter to train; are all of them frozen?")
    return trained


def kan_jacobian(
    model: KAN, x: Float[Tensor, "n c"]
) -> tuple[Float[Tensor, "n o"], Float[Tensor, "n o p"]]:
    """Outputs, and their derivatives by all trained parameters, flattened one after the other.

    Args:
        model: without trained parts but edges and biases (`trained_parameters`).
        x: inputs; memory is n times o times p.

    Example:
        >>> model = KAN([2, 1], grid=3)
        >>> outputs, jacobian = kan_jacobian(model, torch.rand(5, 2))
        >>> jacobian.shape, model.count_parameters()
        (torch.Size([5, 1, 14]), 14)
    """
    names = {id(p): name for name, p in trained_parameters(model).items()}
    with torch.enable_grad():
        # a gradient flows to the sums of a layer even where nothing of it is trained
        found = model.forward_intermediates(x.detach().requires_grad_())
        layers = [cast(KANLayer, layer) for layer in model.layers]
        sums = [found[f"layers.{number}.sums"] for number in range(len(layers))]
        outputs = found[f"layers.{len(layers) - 1}.nodes"]
        # samples do not meet, so a gradient of their sum holds that of each
        slopes = [
            torch.autograd.grad(outputs[:, o].sum(), sums, retain_graph=True)
            for o in range(outputs.shape[1])
        ]
    columns: dict[str, Tensor] = {}
    for number, layer in enumerate(layers):
        slope = torch.stack([own[number] for own in slopes], dim=1)  # (n, o, s)
        seen = found[f"layers.{number}.input"].detach()
        parts = {key: p for key, p in _parts(layer).items() if id(p) in names}
        with torch.no_grad():
            derivatives = _by_weights(layer.numeric, seen, slope, parts)
            if "affine" in parts and layer.symbolic is not None:
                derivatives["affine"] = _by_affine(layer.symbolic, seen, slope)
        columns |= {names[id(parts[key])]: value for key, value in derivatives.items()}
    flat = [columns[name].flatten(2) for name in trained_parameters(model)]
    return outputs.detach(), torch.cat(flat, dim=2)


def _parts(layer: KANLayer) -> dict[str, nn.Parameter]:
    numeric = layer.numeric
    found = {
        "spline": numeric.spline_weight,
        "base": numeric.base_weight,
        "scale": numeric.scale,
        "bias": numeric.bias,
        "affine": None if layer.symbolic is None else layer.symbolic.affine,
    }
    return {name: p for name, p in found.items() if p is not None}


def _by_weights(
    numeric: KANLinear,
    x: Float[Tensor, "n i"],
    slope: Float[Tensor, "n o s"],
    parts: dict[str, nn.Parameter],
) -> dict[str, Tensor]:
    functions = numeric.edge_functions(x)
    m = numeric.basis.size
    masked = slope[..., None].expand(*slope.shape, numeric.in_features)  # (n, o, s, i)
    if numeric.mask is not None:
        masked = masked * numeric.mask
    scaled = masked if numeric.scale is None else masked * numeric.scale
    found: dict[str, Tensor] = {}
    if "spline" in parts:
        spline = functions[..., :m].transpose(1, 2)[:, None, None]  # (n, 1, 1, m, i)
        found["spline"] = scaled[..., None, :] * spline
    if "base" in parts:
        found["base"] = masked * functions[:, None, None, :, m]
    if "scale" in parts:
        values = torch.einsum("nif,sfi->nsi", functions[..., :m], numeric.spline_weight)
        found["scale"] = masked * values[:, None]
    if "bias" in parts:
        found["bias"] = slope
    return found


def _by_affine(
    symbolic: SymbolicEdges, x: Float[Tensor, "n i"], slope: Float[Tensor, "n o s"]
) -> Float[Tensor, "n o e 4"]:
    value, inner = symbolic.functions_and_slopes(x)
    c = symbolic.affine[:, 2]
    along = c * inner
    columns = [along * x[:, symbolic.inputs], along, value, torch.ones_like(value)]
    return slope[:, :, symbolic.outputs, None] * torch.stack(columns, dim=-1)[:, None]
