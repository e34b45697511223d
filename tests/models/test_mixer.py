import itertools
from typing import Any

import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import Mlp, TokenMlp
from allmlp.models.mixer import Mixer, MixerBlock, MixerConfig
from allmlp.zoo import model_info

TINY: dict[str, Any] = {
    "img_size": (8, 12),
    "in_chans": 2,
    "patch_size": 4,
    "width": 10,
    "depth": 3,
    "token_hidden": 5,
    "channel_hidden": 20,
    "num_classes": 4,
}


def tiny(**changes: Any) -> Mixer:
    """A Mixer for 8x12 images whose head is not zero, so that everything reaches the logits."""
    model = Mixer(MixerConfig(**{**TINY, **changes}))
    for parameter in model.head.parameters():
        nn.init.normal_(parameter)
    return model


def images(count: int = 2, **options: Any) -> torch.Tensor:
    return torch.randn(count, 2, 8, 12, **options)


@pytest.mark.parametrize("mlp", ["gelu", "kan", "grkan"])
def test_channel_mlps_are_swappable(mlp: str) -> None:
    model = tiny(mlp=mlp, width=16, channel_hidden=24)
    model(images()).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.blocks.parameters())
    # two products of 16 x 24, each KAN edge with eight splines and a base; coefficients and biases
    extra = {"gelu": 40, "kan": 8 * 2 * 16 * 24, "grkan": 40 + 2 * (6 + 8 * 4)}[mlp]
    channel_mlp = model.blocks[0].channel_mlp
    assert sum(p.numel() for p in channel_mlp.parameters()) == 2 * 16 * 24 + extra


def test_costs_of_swapped_mlps() -> None:
    plain, kan, grkan = (model_info("mixer_s32", mlp=mlp) for mlp in ("gelu", "kan", "grkan"))
    products = 8 * 2 * 512 * 2048  # blocks, both layers
    biases = 8 * (512 + 2048)
    assert kan.parameters - plain.parameters == 8 * products - biases
    assert grkan.parameters - plain.parameters == 8 * 2 * (6 + 8 * 4)
    assert kan.macs - plain.macs == 8 * products * 49  # tokens
    assert grkan.macs == plain.macs


def test_coefficients_of_rational_functions_do_not_decay() -> None:
    model = tiny(mlp="grkan", width=16, channel_hidden=24, depth=1)
    mlp = "blocks.0.channel_mlp"
    assert model.no_weight_decay() == {
        f"{mlp}.layer{n}.rational.{part}" for n in (1, 2) for part in ("numerator", "denominator")
    }
    assert model.no_weight_decay() <= {name for name, _ in model.named_parameters()}


def test_block_gradcheck() -> None:
    block = MixerBlock(width=4, token_mlp=TokenMlp(3, 5), channel_mlp=Mlp(4, 6)).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    parameters = dict(block.named_parameters())

    def call(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        state = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(block, state, (x,))

    assert torch.autograd.gradcheck(call, (x, *parameters.values()))


def test_block_follows_equation_one() -> None:
    block = MixerBlock(width=4, token_mlp=TokenMlp(3, 5), channel_mlp=Mlp(4, 6)).double().eval()
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    gelu, token, channel = nn.GELU(), block.token_mlp, block.channel_mlp
    u = x.clone()
    for b, c in itertools.product(range(2), range(4)):  # column by column, as the paper writes it
        column = block.token_norm(x[b])[:, c]
        hidden = gelu(token.fc1.weight @ column + token.fc1.bias)
        u[b, :, c] += token.fc2.weight @ hidden + token.fc2.bias
    y = u.clone()
    for b, n in itertools.product(range(2), range(3)):
        row = block.channel_norm(u[b, n])
        hidden = gelu(channel.fc1.weight @ row + channel.fc1.bias)
        y[b, n] += channel.fc2.weight @ hidden + channel.fc2.bias
    torch.testing.assert_close(block(x), y, rtol=1e-12, atol=1e-12)


def test_backward_reaches_every_parameter() -> None:
    model = tiny()
    model(images()).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("count", [1, 3])
def test_examples_of_a_batch_do_not_depend_on_each_other(count: int) -> None:
    model = tiny().double().eval()
    batch = images(count, dtype=torch.float64)
    alone = torch.cat([model(batch[i : i + 1]) for i in range(count)])
    torch.testing.assert_close(model(batch), alone, rtol=1e-12, atol=1e-12)


def test_no_classes_gives_pooled_features() -> None:
    model = tiny(num_classes=0)
    batch = images()
    pooled = model.forward_features(batch).mean(dim=1)
    torch.testing.assert_close(model(batch), pooled)
    torch.testing.assert_close(model.forward_head(model.forward_features(batch), True), pooled)


def test_the_head_can_be_removed_and_come_back() -> None:
    model = tiny().double()
    for count in (0, 7, 0, 3):
        model.reset_classifier(count)
        assert model.config.num_classes == count
        assert model(images(dtype=torch.float64)).shape == (2, count or 10)
    assert model.get_classifier().weight.dtype == torch.float64
    with pytest.raises(AllmlpError, match="num_classes of at least 0, got -1"):
        model.reset_classifier(-1)


def test_intermediates_are_the_blocks_outputs() -> None:
    model = tiny().eval()
    seen: list[torch.Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _m, _i, output: seen.append(output))
    batch = images()
    final, maps = model.forward_intermediates(batch)
    torch.testing.assert_close(final, model.forward_features(batch))
    for found, tokens in zip(maps, seen, strict=False):
        assert found.shape == (2, 10, 2, 3)
        torch.testing.assert_close(found.flatten(2).mT, tokens)


def test_intermediates_by_index() -> None:
    model = tiny().eval()
    batch = images()
    every = model.forward_intermediates(batch, intermediates_only=True, output_fmt="NLC")
    last_two = model.forward_intermediates(batch, 2, intermediates_only=True, output_fmt="NLC")
    named = model.forward_intermediates(
        batch, [-1, 0], norm=True, intermediates_only=True, output_fmt="NLC"
    )
    torch.testing.assert_close(last_two, every[1:])
    torch.testing.assert_close(named, [model.norm(every[2]), model.norm(every[0])])
    with pytest.raises(AllmlpError, match=r"depth 3, got \[3\]; use numbers from -3 to 2"):
        model.forward_intermediates(batch, [3])


def test_checkpointing_changes_no_gradient() -> None:
    model = tiny().double()
    batch = images(dtype=torch.float64)
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(batch).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_drop_path_rates_rise_linearly() -> None:
    rates = [block.drop_path.rate for block in tiny(drop_path_rate=0.2).blocks]
    assert rates == pytest.approx([0, 0.1, 0.2])
    constant = tiny(drop_path_rate=0.2, drop_path_schedule="constant")
    assert [block.drop_path.rate for block in constant.blocks] == [0.2] * 3


def test_eval_is_deterministic_with_dropout_and_drop_path() -> None:
    model = tiny(dropout_rate=0.5, drop_path_rate=0.5)
    batch = images()
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_initialisations() -> None:
    def std(init: str) -> tuple[float, float]:
        model = Mixer(MixerConfig(width=512, depth=1, token_hidden=256, patch_size=32, init=init))
        assert torch.count_nonzero(model.head.weight) == 0
        assert torch.count_nonzero(model.head.bias) == 0
        weights = model.blocks[0].token_mlp.fc1.weight, model.stem.proj.weight
        return weights[0].std().item(), weights[1].std().item()

    # (256, 49) has 12,544 entries: the sample deviation is within 2 % of the true one
    assert std("flax") == pytest.approx((49**-0.5, 3072**-0.5), rel=0.02)
    assert std("timm") == pytest.approx(((2 / (49 + 256)) ** 0.5, 3072**-0.5), rel=0.02)
    # torch truncates at ±2, which is 100 sigma
    assert std("trunc_normal") == pytest.approx((0.02, 0.02), rel=0.02)


def test_group_matcher_covers_every_body_parameter() -> None:
    import re

    model = tiny()
    groups = model.group_matcher()
    patterns = [groups["stem"], *(pattern for pattern, _ in groups["blocks"])]
    for name, _ in model.named_parameters():
        assert name.startswith("head.") or any(re.match(p, name) for p in patterns), name


def test_wrong_sizes_are_answered() -> None:
    with pytest.raises(AllmlpError, match="divisible by patch_size=16"):
        MixerConfig(img_size=(225, 224))
    with pytest.raises(AllmlpError, match="integer depth of at least 1, got 0"):
        MixerConfig(depth=0)
    with pytest.raises(AllmlpError, match=r"drop_path_rate in \[0, 1\), got 1.0"):
        MixerConfig(drop_path_rate=1.0)


@pytest.mark.unhooked
def test_wrong_types_are_answered() -> None:
    with pytest.raises(AllmlpError, match="unknown gelu 'relu'; choose one of: erf, tanh"):
        MixerConfig(gelu="relu")
    with pytest.raises(AllmlpError, match="unknown init 'flaks'; did you mean flax"):
        MixerConfig(init="flaks")
    with pytest.raises(AllmlpError, match="integer width of at least 1, got '64'"):
        MixerConfig(width="64")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu() -> None:
    model = tiny().double().eval()
    batch = images(3, dtype=torch.float64)
    on_cpu = model(batch).detach()
    with torch.no_grad():
        on_card = model.cuda()(batch.cuda()).cpu()
    torch.testing.assert_close(on_card, on_cpu, rtol=1e-10, atol=1e-12)


@pytest.mark.unhooked
def test_compiles_to_one_graph() -> None:
    model = tiny().eval()
    compiled = torch.compile(model, fullgraph=True)
    batch = images()
    with torch.no_grad():
        torch.testing.assert_close(compiled(batch), model(batch), rtol=1e-5, atol=1e-5)


@pytest.mark.unhooked
def test_exports_with_any_batch_size() -> None:
    model = tiny().eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (images(2),), dynamic_shapes=({0: batch},))
    for count in (1, 5):
        example = images(count)
        expected = model(example).detach()
        torch.testing.assert_close(program.module()(example), expected, rtol=1e-5, atol=1e-5)
