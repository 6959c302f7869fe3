"""One network -> a smaller one of the same family: width and depth shrink together, heads keep their width; pure.

Sizes(24 layers, 1280 wide, 10 heads), 1/8 ──scale──▶ Sizes(12 layers, 640 wide, 5 heads)
"""

from __future__ import annotations

from typing import NamedTuple

#: Widths are whole multiples of this for each head: what kernels like, and rotary positions need an even number.
_UNIT = 8


class Sizes(NamedTuple):
    """The sizes of a network; `num_kv_heads` and `intermediate_size` are None where they follow from the others."""

    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int | None
    intermediate_size: int | None


def scale(sizes: Sizes, frac: float) -> Sizes:
    """Return a network with about a share of the weights in its blocks.

    Weights of blocks grow with layers x width^2, so each shrinks by the cube root; the width then makes up for layers
    being whole.

    Args:
        sizes: Of the large network.
        frac: Share of its weights, above 0 up to 1.

    Raises:
        ValueError: The share is not in that range.

    Example:
        >>> scale(Sizes(24, 1280, 10, 5, None), 1 / 8)
        Sizes(num_layers=12, hidden_size=640, num_heads=5, num_kv_heads=5, intermediate_size=None)
        >>> scale(Sizes(4, 128, 2, None, 512), 1.0)
        Sizes(num_layers=4, hidden_size=128, num_heads=2, num_kv_heads=None, intermediate_size=512)
    """
    if not 0.0 < frac <= 1.0:
        raise ValueError(f"a share of a network's weights is above 0 and at most 1, not {frac}")
    layers = max(1, round(sizes.num_layers * frac ** (1 / 3)))
    width = sizes.hidden_size * (frac * sizes.num_layers / layers) ** 0.5
    heads = max(1, round(width * sizes.num_heads / sizes.hidden_size))
    unit = _UNIT * heads
    hidden = max(unit, round(width / unit) * unit)
    inner = sizes.intermediate_size
    return Sizes(
        num_layers=layers,
        hidden_size=hidden,
        num_heads=heads,
        num_kv_heads=None if sizes.num_kv_heads is None else _groups(sizes, heads),
        intermediate_size=None
        if inner is None
        else round(inner * hidden / sizes.hidden_size / 8) * 8,
    )


def _groups(sizes: Sizes, heads: int) -> int:
    """Return key and value heads nearest to the large network's share of them that divide the heads."""
    assert sizes.num_kv_heads is not None, "asked only where the network has some"
    wanted = heads * sizes.num_kv_heads / sizes.num_heads
    fitting = [number for number in range(1, heads + 1) if heads % number == 0]
    return min(fitting, key=lambda number: max(number / wanted, wanted / number))
