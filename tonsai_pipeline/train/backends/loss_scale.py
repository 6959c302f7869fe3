"""fp16 has gradients that vanish: the loss is scaled up by as much as they can bear.

scale ──loss x scale──▶ gradients ──/ scale──▶ finite? twice as much after a while : half as much, step skipped
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

#: DeepSpeed's defaults, so that both backends behave alike.
_FIRST, _GROWTH_STEPS, _SMALLEST = 2.0**16, 1000, 1.0


@dataclass
class LossScale:
    """The factor, and when it grows.

    Args:
        value: The factor of the next step.
        good_steps: Steps since it changed.

    Source:
        Micikevicius et al. 2018, "Mixed Precision Training", arXiv:1710.03740, section 3.2.

    Example:
        >>> scale = LossScale(8.0)
        >>> scale.update(applied=False)
        >>> scale
        LossScale(value=4.0, good_steps=0)
    """

    value: float = _FIRST
    good_steps: int = 0

    def update(self, *, applied: bool) -> None:
        """Learn whether the last step's gradients were finite."""
        self.good_steps = self.good_steps + 1 if applied else 0
        if not applied:
            self.value = max(self.value / 2, _SMALLEST)
        elif self.good_steps == _GROWTH_STEPS:
            self.value, self.good_steps = self.value * 2, 0

    def state(self) -> dict[str, float]:
        """Return what a checkpoint keeps."""
        return asdict(self)

    def load_state(self, state: Mapping[str, float]) -> None:
        """Restore what a checkpoint kept."""
        self.value, self.good_steps = state["value"], int(state["good_steps"])
