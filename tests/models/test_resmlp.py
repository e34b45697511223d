import re
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import Affine, LayerScale, Mlp, TokenLinear
from allmlp.models.resmlp import ResMLP, ResMLPBlock, ResMLPConfig
from allmlp.training import decay_groups
from allmlp.zoo import create_model, model_info
from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import variant_config

TINY: dict[str, Any] = {
    "img_size": (8, 12),
    "in_chans": 2,
    "patch_size": 4,
    "width": 10,
    "depth": 3,
    "channel_hidden": 20,
    "num_classes": 4,
}


def tiny(**changes: Any) -> ResMLP:
    """A ResMLP for 8x12 images in which everything reaches the logits."""
    model = ResMLP(ResMLPConfig(**{**TINY, **changes}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def images(count: int = 2, **options: Any) -> torch.Tensor:
    return torch.randn(count, 2, 8, 12, **options)


def test_block_follows_algorithm_one() -> None:
    block = ResMLPBlock(
        width=4,
        token_linear=TokenLinear(3),
        channel_mlp=Mlp(4, 6),
        residual=partial(LayerScale, start=0.1),
    ).double()
    assert isinstance(block.token_norm, Affine)
    assert isinstance(block.token_residual, LayerScale)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(3, 4, dtype=torch.float64)
    token, mlp = block.token_linear, block.channel_mlp
    z = x.clone()
    for c in range(4):  # column by column
        column = block.token_norm.alpha[c] * x[:, c] + block.token_norm.beta[c]
        z[:, c] += block.token_residual.gamma[c] * (token.weight @ column + token.bias)
    y = z.clone()
    for n in range(3):
        row = block.channel_norm.alpha * z[n] + block.channel_norm.beta
        hidden = nn.functional.gelu(mlp.fc1.weight @ row + mlp.fc1.bias)
        y[n] += block.channel_residual.gamma * (mlp.fc2.weight @ hidden + mlp.fc2.bias)
    torch.testing.assert_close(block(x[None])[0], y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pooling", ["mean", "class_mlp"])
def test_backward_reaches_every_parameter(pooling: str) -> None:
    model = tiny(pooling=pooling)
    model(images()).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("pooling", ["mean", "class_mlp"])
def test_examples_of_a_batch_do_not_depend_on_each_other(pooling: str) -> None:
    model = tiny(pooling=pooling).double().eval()
    batch = images(3, dtype=torch.float64)
    alone = torch.cat([model(image[None]) for image in batch])
    torch.testing.assert_close(model(batch), alone, rtol=1e-10, atol=1e-10)


def test_class_token_reads_the_patches_and_leaves_them_alone() -> None:
    model = tiny(pooling="class_mlp").double()
    tokens = torch.randn(2, 6, 10, dtype=torch.float64)
    pool = model.pool
    found = pool.class_token.repeat(2, 1, 1)
    for layer in pool.layers:
        everything = layer.token_norm(torch.cat([found, tokens], 1))
        read = torch.einsum("n,bnd->bd", layer.token_linear.weight[0], everything)
        found = found + layer.token_residual.gamma * (read + layer.token_linear.bias)[:, None]
        mixed = layer.channel_mlp(layer.channel_norm(found))
        found = found + layer.channel_residual.gamma * mixed
    torch.testing.assert_close(pool(tokens), found[:, 0], rtol=1e-12, atol=1e-12)


def test_pooling_by_option_costs_what_the_paper_adds() -> None:
    plain, class_mlp = model_info("resmlp_s12"), model_info("resmlp_s12", pooling="class_mlp")
    assert class_mlp.parameters == model_info("resmlp_s12_class_mlp").parameters
    # table 3: 17.7 M instead of 15.4 M
    assert round(class_mlp.parameters / 1e6, 1) == 17.7
    assert round(plain.parameters / 1e6, 1) == 15.4


def test_scales_start_by_the_depth_of_the_net() -> None:
    starts = {name: variant_config(f"resmlp_{name}")[1].scale_start for name in ("s12", "s24")}
    assert starts == {"s12": 0.1, "s24": 1e-5}
    assert variant_config("resmlp_s36")[1].scale_start == 1e-6
    assert variant_config("resmlp_b24")[1].scale_start == 1e-6
    model = ResMLP(ResMLPConfig(**{**TINY, "depth": 19}))
    gammas = {p.item() for n, p in model.named_parameters() if "gamma" in n for p in p}
    assert gammas == {torch.tensor(1e-5).item()}


def test_initialisations() -> None:
    def stds(init: str) -> list[float]:
        model = ResMLP(ResMLPConfig(depth=1, init=init))
        assert torch.count_nonzero(model.head.weight) == 0
        block = model.blocks[0]
        weights = block.token_linear.weight, block.channel_mlp.fc1.weight, model.stem.proj.weight
        return [weight.std().item() for weight in weights]

    # 38,416 entries at least: the sample deviation is within 2 % of the true one
    # torch starts a convolution uniformly on ±1/sqrt(fan in)
    assert stds("deit") == pytest.approx([0.02, 0.02, (3 * 768) ** -0.5], rel=0.02)
    xavier = (2 / 392) ** 0.5, (2 / (384 + 1536)) ** 0.5
    assert stds("timm") == pytest.approx([*xavier, 768**-0.5], rel=0.02)


def test_scales_affines_and_class_token_do_not_decay() -> None:
    model = tiny(pooling="class_mlp")
    decayed, _ = decay_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(names[id(p)].endswith(".weight") for p in decayed["params"])
    assert "pool.class_token" in model.no_weight_decay()
    assert "blocks.0.token_residual.gamma" in model.no_weight_decay()


def test_group_matcher_covers_every_body_parameter() -> None:
    model = tiny(pooling="class_mlp")
    groups = model.group_matcher()
    patterns = [groups["stem"], *(pattern for pattern, _ in groups["blocks"])]
    for name, _ in model.named_parameters():
        assert name.startswith("head.") or any(re.match(p, name) for p in patterns), name


def moved(model: ResMLP, size: tuple[int, int], method: str) -> ResMLP:
    config = ResMLP.resize_config(model.config, size, method)
    large = ResMLP(config).double().eval()
    large.load_state_dict(large.resize_state(model.state_dict(), model.config, method))
    return large


@pytest.mark.parametrize("tiles", [(1, 1), (2, 1), (2, 3)])
def test_block_transfer_gives_the_mean_over_tiles(tiles: tuple[int, int]) -> None:
    small = tiny().double().eval()
    h, w = 8 * tiles[0], 12 * tiles[1]
    large = moved(small, (h, w), "block")
    batch = torch.randn(2, 2, h, w, dtype=torch.float64)
    parts = [p for row in batch.split(8, dim=2) for p in row.split(12, dim=3)]
    expected = torch.stack([small(part) for part in parts]).mean(0)
    torch.testing.assert_close(large(batch), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", ["block", "interpolate"])
def test_a_class_token_reads_copies_of_one_image_as_the_image(method: str) -> None:
    small = tiny(pooling="class_mlp", depth=1).double().eval()
    large = moved(small, (16, 24), method)
    tokens = torch.randn(2, 1, 10, dtype=torch.float64)  # constant over the grid
    found = large.pool(tokens.expand(-1, 24, -1))
    expected = small.pool(tokens.expand(-1, 6, -1))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_interpolation_to_the_same_size_changes_nothing() -> None:
    small = tiny(pooling="class_mlp").double().eval()
    same = moved(small, (8, 12), "interpolate")
    batch = images(dtype=torch.float64)
    torch.testing.assert_close(same(batch), small(batch), rtol=1e-10, atol=1e-10)


def test_a_size_that_is_no_multiple_names_the_way_out() -> None:
    with pytest.raises(AllmlpError, match="cannot fill 3x3; .* or resize='interpolate'"):
        ResMLP.resize_config(ResMLPConfig(**TINY), (12, 12), "block")


@pytest.mark.parametrize("pooling", ["mean", "class_mlp"])
def test_our_own_file_tells_its_config(pooling: str) -> None:
    model = tiny(pooling=pooling)
    found = convert_state(model.state_dict(), (8, 12))
    assert (found.format, found.family) == ("allmlp", "resmlp")
    assert found.config == model.config
    torch.testing.assert_close(found.state, dict(model.state_dict()), rtol=0, atol=0)


def test_files_that_lack_or_add_something_are_refused() -> None:
    state = dict(tiny().state_dict())
    gone = {k: v for k, v in state.items() if k != "blocks.1.token_residual.gamma"}
    with pytest.raises(AllmlpError, match="lacks blocks.1.token_residual.gamma; is it whole"):
        convert_state(gone, (8, 12))
    with pytest.raises(AllmlpError, match=r"1 tensors more than that \(extra\)"):
        convert_state({**state, "extra": torch.zeros(1)}, (8, 12))
    without_head = {k: v for k, v in state.items() if not k.startswith("head")}
    assert convert_state(without_head, (8, 12)).config.num_classes == 0


def test_bad_settings_are_answered() -> None:
    with pytest.raises(AllmlpError, match=r"layer_scale above 0, got 0.0; None takes"):
        ResMLPConfig(layer_scale=0.0)
    with pytest.raises(AllmlpError, match="divisible by patch_size=16"):
        ResMLPConfig(img_size=(225, 224))
    with pytest.raises(AllmlpError, match="built for 16 tokens .* got images of 12x12"):
        create_model("resmlp_digits")(torch.zeros(1, 1, 12, 12))
    with pytest.raises(AllmlpError, match="num_classes of at least 0, got -1"):
        tiny().reset_classifier(-1)


@pytest.mark.unhooked
def test_unknown_names_are_answered() -> None:
    with pytest.raises(AllmlpError, match="unknown pooling 'cls'"):
        ResMLPConfig(pooling="cls")


@pytest.mark.unhooked
def test_compiles_to_one_graph() -> None:
    model = tiny(pooling="class_mlp").eval()
    compiled = torch.compile(model, fullgraph=True)
    batch = images()
    with torch.no_grad():
        # compiled kernels sum in another order; logits are of size 100 here
        torch.testing.assert_close(compiled(batch), model(batch), rtol=1e-4, atol=1e-4)
