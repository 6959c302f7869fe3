"""Everything known of a release -> verdicts by name: what is not passed, and not accepted with a reason, stops it; pure.

results.json, reloaded numbers, licences, files ──judge──▶ Verdict each
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tonsai_pipeline.licenses import KNOWN, conflicts, is_unknown
from tonsai_pipeline.publish.spec import PublishRun

#: Bits per byte of the reloaded model and of the report differ by no more: rounding is 1e-6, another model 0.01 and more.
_SAME_BITS = 1e-3
#: Items of the prompt suite that the corpus holds, at most: ours, a twentieth. They are scored apart in the report.
_MAX_DIRTY_FRAC = 0.05


@dataclass(frozen=True)
class Verdict:
    """One line of the gate.

    Args:
        name: What was looked at.
        verdict: passed, failed or unknown.
        message: The number and its limit, or why it is unknown.
        waiver: The reason for which it is accepted; None without one.
    """

    name: str
    verdict: Literal["passed", "failed", "unknown"]
    message: str
    waiver: str | None = None

    @property
    def stops(self) -> bool:
        """Whether nothing may be published."""
        return self.verdict != "passed" and self.waiver is None


@dataclass(frozen=True)
class Reloaded:
    """What a process that opened the release found.

    Args:
        num_parameters: Of the network.
        bits_per_byte: Held out, by language; empty where no rows were given.
    """

    num_parameters: int
    bits_per_byte: Mapping[str, float]


def judge(
    run: PublishRun,
    results: Mapping[str, Any],
    reloaded: Reloaded | str,
    files: Sequence[str],
    card: Sequence[str],
) -> list[Verdict]:
    """Return every verdict.

    Args:
        run: What is published.
        results: `results.json` of the evaluation.
        reloaded: What was found, or why the release could not be opened.
        files: What is wrong with the files; empty: nothing.
        card: What is wrong with the cards; empty: nothing.
    """
    found = [
        _faults("files", files, "listed names alone, no pickle, no path of this machine"),
        _faults("card", card, "complete, and its model-index is valid"),
        _license(run),
        _reload(results, reloaded),
        _same_numbers(results, reloaded),
        _regression(run, results),
        _contamination(results),
    ]
    own = [Verdict(v.name, v.verdict, v.message, run.publish.waivers.get(v.name)) for v in found]
    gate = results.get("gate") or {"verdicts": []}
    measured = [
        Verdict(v["name"], v["verdict"], v["message"], v["waiver"]) for v in gate["verdicts"]
    ]
    if not measured:
        measured = [Verdict("evaluation", "unknown", "the evaluation has no verdicts")]
    return [*own, *measured]


def _faults(name: str, faults: Sequence[str], fine: str) -> Verdict:
    return Verdict(name, "failed" if faults else "passed", "; ".join(faults) or fine)


def _license(run: PublishRun) -> Verdict:
    name, chosen = "license", run.publish.license
    if chosen is None:
        return Verdict(name, "failed", "publish.license is empty")
    if chosen.lower() not in KNOWN:
        return Verdict(name, "failed", f"publish.license: '{chosen}' is no identifier of the Hub")
    known = {one.name: one.license for one in run.sources if one.license}
    if run.publish.base_license:
        known["base model"] = run.publish.base_license
    if found := conflicts(chosen, known):
        return Verdict(name, "failed", "; ".join(found))
    silent = [one.name for one in run.sources if not one.license or is_unknown(one.license)]
    if has_base(run) and not run.publish.base_license:
        silent.append("base model (publish.base_license)")
    if silent or not run.sources:
        return Verdict(
            name, "unknown", f"no known licence is given for: {', '.join(silent) or 'any source'}"
        )
    return Verdict(name, "passed", f"{chosen} promises no more than its {len(known)} sources do")


def has_base(run: PublishRun) -> bool:
    """Whether the model goes on from another one."""
    named = [(run.made_with.get(name) or {}).get("base") for name in ("model", "sft")]
    return bool(run.publish.base_model or any(named))


def _reload(results: Mapping[str, Any], reloaded: Reloaded | str) -> Verdict:
    if isinstance(reloaded, str):
        return Verdict("reload", "failed", reloaded)
    expected = results["models"][0]["num_parameters"]
    said = f"opened by a fresh process, {reloaded.num_parameters:,} parameters"
    if reloaded.num_parameters != expected:
        return Verdict("reload", "failed", f"{said}; the evaluated model has {expected:,}")
    return Verdict("reload", "passed", said)


def _same_numbers(results: Mapping[str, Any], reloaded: Reloaded | str) -> Verdict:
    name = "same_numbers"
    if isinstance(reloaded, str) or not reloaded.bits_per_byte:
        return Verdict(name, "unknown", "bits per byte were not measured again")
    reported = {lang: row["after"]["bits_per_byte"] for lang, row in results["languages"].items()}
    pairs = {
        lang: (bits, reported.get(lang, float("nan")))
        for lang, bits in reloaded.bits_per_byte.items()
    }
    same = all(abs(now - then) <= _SAME_BITS for now, then in pairs.values())
    said = "; ".join(
        f"{lang} {now:.4f}, reported {then:.4f}" for lang, (now, then) in pairs.items()
    )
    return Verdict(name, "passed" if same else "failed", said)


def _regression(run: PublishRun, results: Mapping[str, Any]) -> Verdict:
    name, base = "regression", (results.get("training") or {}).get("base") or {}
    if not base:
        state = "unknown" if has_base(run) else "passed"
        return Verdict(name, state, "no base model was measured beside it")
    if not run.max_rise_frac:
        return Verdict(name, "unknown", "no language is limited (train.regression.max_rise_frac)")
    said, kept = [], True
    for lang, limit in sorted(run.max_rise_frac.items()):
        before = base[lang]["bits_per_byte"]
        rise = results["languages"][lang]["after"]["bits_per_byte"] / before - 1
        kept = kept and rise <= limit
        said.append(f"{lang} {rise:+.1%} against the base model, at most {limit:+.1%}")
    return Verdict(name, "passed" if kept else "failed", "; ".join(said))


def _contamination(results: Mapping[str, Any]) -> Verdict:
    name, num_dirty = "contamination", results.get("num_dirty")
    if num_dirty is None:
        return Verdict(name, "unknown", "the corpus was not searched for the prompt suite")
    num_items = max(1, len(results["items"]))
    state = "passed" if num_dirty / num_items <= _MAX_DIRTY_FRAC else "failed"
    return Verdict(
        name, state, f"{num_dirty} of {num_items} items of the prompt suite stand in the corpus"
    )
