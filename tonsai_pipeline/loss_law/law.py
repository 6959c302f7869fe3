"""Small runs -> laws that fit them -> bits per byte of another run, with an interval; pure.

    Runs ──every exponent of a grid: least squares──▶ how well each fits ──draw 2,000──▶ Law each ──▶ Interval

    bpb = floor + A / N^a + B / (T + S)^(b N^h) + C x (passes - 1) x N / U      T = U x (1 + R (1 - e^(-(passes - 1) / R)))

N weights, U unique tokens read, passes = tokens / U. S is where the power law starts: runs of fewer tokens have hardly begun
to learn, and each doubling of the text gains them more than the one before, which no power law does. h says how much more text gains
a larger network; N in units of the runs' middle, so that b is theirs.

With given exponents the law is linear, so every set of exponents of a grid is fitted exactly, and none is lost in a local
minimum. Exponents are then drawn by how well they fit and how near they are to published ones, coefficients from measurements
that are disturbed by the residual noise: what few points cannot tell apart stays wide. A run counts the more the longer it is, being the nearer to what is
predicted.

Source: Hoffmann et al. 2022, arXiv:2203.15556 (sizes and tokens); Muennighoff et al. 2023, arXiv:2305.16264 (T, with R
about 15); Lovelace et al. 2026, arXiv:2605.01640 (an additive penalty with one coefficient); Alabdulmohsin et al. 2022,
arXiv:2209.06640 (curves before their power law); Li et al. 2025, Farseer, arXiv:2506.10972 (an exponent of text that follows size). S, the
forms of h and of the penalty, the grid, the weights and the draws are ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_EXPONENTS = np.geomspace(0.08, 1.2, 8)
#: Exponents of size and text that are likeliest before anything is measured, and the deviation of their logarithm: fits to the
#: same published runs differ by as much.
_PUBLISHED, _SPREAD = (0.34, 0.3), 0.4
_REPEATS = (2.0, 5.0, 15.0, 45.0)
#: S, in the middle amount of text of the runs.
_STARTS = (0.0, 0.5, 1.0, 2.0, 4.0)
#: h.
_GROWTHS = (0.0, 0.15, 0.3, 0.45)
#: How the noise that a run is given falls with its tokens; ours, as S: chosen on the pilots of docs/pilot.md.
_NEARNESS = 0.5
_NUM_DRAWS = 2000
#: Deviations of a normal distribution that hold 80 % of it, on one side.
_TAIL = 1.2816
#: Relative; what no measurement is better than, so that perfect fits have weights that can be told apart.
_LEAST_NOISE = 2e-4
#: Passes up to which text counts as read once.
_ONCE = 1.05
#: How far beyond the ladder's passes a law is believed.
_MOST_BEYOND = 2.0
#: Where runs differ less, by this factor, in what is fitted, nothing follows for a run that differs more.
_ALIKE = 1.5


@dataclass(frozen=True)
class Run:
    """A finished run, in one language.

    Args:
        num_weights: Weights that take part in matrix products, the output layer included.
        unique_tokens: Different tokens of the language that it read.
        tokens: Tokens of the language that it read, repeats included.
        bits_per_byte: On held-out text; of a run to be predicted, any number.
    """

    num_weights: float
    unique_tokens: float
    tokens: float
    bits_per_byte: float = 0.0

    @property
    def passes(self) -> float:
        """How often it read a token."""
        return self.tokens / self.unique_tokens


@dataclass(frozen=True)
class Interval:
    """A number and between which two 80 of 100 such numbers lie."""

    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in it."""
        return self.low <= value <= self.high

    def widened(self, frac: float) -> Interval:
        """Return it with both ends moved outwards by a share of themselves.

        Example:
            >>> Interval(1.0, 0.9, 1.1).widened(0.1)
            Interval(value=1.0, low=0.81, high=1.2100000000000002)
        """
        return Interval(self.value, self.low * (1.0 - frac), self.high * (1.0 + frac))


@dataclass(frozen=True)
class Fit:
    """Laws drawn by how well they fit.

    Args:
        exponents: a, b, R, S and h of each, S in units of `scale`, shape (num_draws, 5).
        coefficients: Floor, A, B, C of each, for N, T and U in units of `scale`, shape (num_draws, 4).
        noise: Residual deviation of each, relative; shape (num_draws,).
        scale: Unit of N and of T.
        has_repeats: Whether the runs tell what repeating does.
        most_passes: Of any run.
        residual: Root mean square of the best law's relative errors on the runs.
        seed: Of the draws.
    """

    exponents: npt.NDArray[np.float64]
    coefficients: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64]
    scale: tuple[float, float]
    has_repeats: bool
    most_passes: float
    residual: float
    seed: int

    def predict(self, run: Run) -> Interval:
        """Return the bits per byte of another run, its own noise included.

        Raises:
            ValueError: It reads its text more often than the runs say anything about.
        """
        beyond = _MOST_BEYOND if self.has_repeats else _ALIKE
        most = beyond * max(self.most_passes, 1.0)
        if run.passes > most:
            raise ValueError(
                f"{run.passes:.1f} passes are to be predicted from runs of at most {self.most_passes:.1f}: add longer ones"
            )
        generator = np.random.default_rng(self.seed)
        columns = _columns([run], self.exponents, self.scale, has_repeats=True)[:, 0]
        values = (columns * self.coefficients).sum(axis=1)
        disturbed = values * (1.0 + self.noise * generator.standard_normal(len(values)))
        return interval(disturbed)

    @property
    def start(self) -> Interval:
        """S, in tokens. Where its low end is above 0, the shortest runs have not reached the power law."""
        return interval(self.exponents[:, 3] * self.scale[1])

    @property
    def growth(self) -> Interval:
        """How much more text gains a larger network, h; 0 is not at all."""
        return interval(self.exponents[:, 4])

    def exponent(self, name: str) -> tuple[Interval, bool]:
        """Return `size`, `text` or `repeats`, and whether the runs resolve it.

        R is resolved where its interval touches no end of the grid and takes less than half of it, the others where
        the runs halved what was not known of them before.
        """
        place = ("size", "text", "repeats").index(name)
        grid = _REPEATS if name == "repeats" else _EXPONENTS
        found = interval(self.exponents[:, place])
        inside = min(grid) < found.low and found.high < max(grid)
        before = np.log(max(grid) / min(grid)) if name == "repeats" else 2 * _TAIL * _SPREAD
        return found, bool(inside and np.log(found.high / found.low) < 0.5 * before)


def interval(values: npt.NDArray[np.float64]) -> Interval:
    """Return the middle of drawn values, and the 80 % around it."""
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return Interval(float(middle), float(low), float(high))


def fit(runs: Sequence[Run], *, seed: int = 0) -> Fit:
    """Fit the law.

    Args:
        runs: At least two sizes and two amounts of text among them, and two more than the law has parameters.
        seed: Of the draws.

    Raises:
        ValueError: So few runs, or so alike, that any law would fit.

    Example:
        >>> def bits(n, t):
        ...     return 0.5 + 30 / n**0.4 + 20 / t**0.3
        >>> runs = [Run(n, t, t, bits(n, t)) for n in (1e5, 2e5, 4e5) for t in (1e5, 2e5, 4e5)]
        >>> found = fit(runs).predict(Run(8e5, 8e5, 8e5))
        >>> found.low < bits(8e5, 8e5) < found.high, abs(found.value / bits(8e5, 8e5) - 1) < 0.01
        (True, True)
    """
    has_repeats = _check(runs)
    generator = np.random.default_rng(seed)
    scale = (
        _middle([run.num_weights for run in runs]),
        _middle([run.unique_tokens for run in runs]),
    )
    repeats = _REPEATS if has_repeats else (_REPEATS[2],)
    grid = np.array(list(itertools.product(_EXPONENTS, _EXPONENTS, repeats, _STARTS, _GROWTHS)))
    measured = np.array([run.bits_per_byte for run in runs])
    near = np.array([run.tokens for run in runs]) ** _NEARNESS
    near /= np.sqrt((near**2).mean())
    # Relative errors: one per cent counts alike wherever the curve is.
    designs = _columns(runs, grid, scale, has_repeats=has_repeats) * (near / measured)[:, None]
    best = _solve(designs, near[None])[:, 0]
    errors = np.einsum("cnk,ck->cn", designs, best) - near
    squares = (errors**2).sum(axis=1) + len(runs) * _LEAST_NOISE**2
    # As many runs of equal weight would tell as much.
    freedom = max(2.0, (near**2).sum() ** 2 / (near**4).sum() - designs.shape[2])
    likelihood = -0.5 * freedom * np.log(squares)
    likelihood -= 0.5 * (np.log(grid[:, :2] / _PUBLISHED) ** 2).sum(axis=1) / _SPREAD**2
    weights = np.exp(likelihood - likelihood.max())
    drawn = np.sort(generator.choice(len(grid), _NUM_DRAWS, p=weights / weights.sum()))
    noise = np.sqrt(squares[drawn] / generator.chisquare(freedom, _NUM_DRAWS))
    coefficients = np.zeros((_NUM_DRAWS, 4))
    for cell in np.unique(drawn):
        rows = np.flatnonzero(drawn == cell)
        shape = (len(rows), len(runs))
        again = near + errors[cell] + noise[rows, None] * generator.standard_normal(shape)
        coefficients[rows, : designs.shape[2]] = _solve(designs[[cell]], again)[0]
    return Fit(
        exponents=grid[drawn],
        coefficients=coefficients,
        noise=noise,
        scale=scale,
        has_repeats=has_repeats,
        most_passes=max(run.passes for run in runs),
        residual=float(np.sqrt((errors[squares.argmin()] ** 2).mean())),
        seed=seed,
    )


def _check(runs: Sequence[Run]) -> bool:
    """Return whether repeating can be fitted."""
    has_repeats = sum(run.passes > _ONCE for run in runs) >= 2 and (
        max(run.passes for run in runs) > _ALIKE * min(run.passes for run in runs)
    )
    needed = (7 if has_repeats else 5) + 2
    if len(runs) < needed:
        raise ValueError(
            f"{len(runs)} runs cannot resolve the {needed - 2} parameters of the law; {needed} are the least"
        )
    for what, values in (
        ("sizes", {run.num_weights for run in runs}),
        ("amounts of text", {round(run.unique_tokens, -2) for run in runs}),
    ):
        if max(values) < _ALIKE * min(values):
            raise ValueError(
                f"all runs have nearly the same {what}: nothing follows for another one"
            )
    return has_repeats


def _columns(
    runs: Sequence[Run],
    exponents: npt.NDArray[np.float64],
    scale: tuple[float, float],
    *,
    has_repeats: bool,
) -> npt.NDArray[np.float64]:
    """Return what the coefficients multiply, shape (num_exponents, num_runs, 3 or 4)."""
    n = np.array([run.num_weights for run in runs])[None] / scale[0]
    u = np.array([run.unique_tokens for run in runs])[None] / scale[1]
    more = np.maximum(np.array([run.passes for run in runs])[None] - 1.0, 0.0)
    a, b, r, start, h = (exponents[:, place, None] for place in range(5))
    text = u * (1.0 + r * (1.0 - np.exp(-more / r))) + start
    parts = [np.ones_like(a * n), np.broadcast_to(n**-a, (a * n).shape), text ** (-b * n**h)]
    if has_repeats:
        parts.append(np.broadcast_to(more * n / u, parts[0].shape))
    return np.stack(parts, axis=2)


def _solve(
    designs: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the coefficients, none below 0, that fit best; exact, by trying every set of those that are not 0.

    Args:
        designs: (num_designs, num_runs, num_coefficients), few coefficients.
        targets: (num_fits, num_runs).

    Returns:
        (num_designs, num_fits, num_coefficients).
    """
    num = designs.shape[2]
    found = np.zeros((len(designs), len(targets), num))
    best = np.full(found.shape[:2], np.inf)
    for size in range(1, num + 1):
        for chosen in itertools.combinations(range(num), size):
            part = designs[:, :, chosen]
            solved = np.einsum("dkn,fn->dfk", np.linalg.pinv(part), targets)
            error = ((np.einsum("dnk,dfk->dfn", part, solved) - targets) ** 2).sum(axis=2)
            better = (solved >= 0.0).all(axis=2) & (error < best)
            filled = np.zeros_like(found)
            filled[:, :, chosen] = solved
            found = np.where(better[:, :, None], filled, found)
            best = np.where(better, error, best)
    return found


def _middle(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))
