"""The table of `tonsai evaluate`: what one must know of base models before one of them is trained further."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from tonsai_pipeline.cli.evaluate import license_of, print_results


def test_the_license_is_that_of_the_models_card(tmp_path: Path) -> None:
    assert license_of(str(tmp_path)) == "not stated"
    card = tmp_path / "README.md"
    card.write_text("---\nlicense: cc-by-4.0\n---\n# A model\n")
    assert license_of(str(tmp_path)) == "cc-by-4.0"
    for broken in ("# A model\n", "---\ntags: [a]\n---\n", "---\nlicense: [\n---\n"):
        card.write_text(broken)
        assert license_of(str(tmp_path)) == "not stated"


def test_sizes_and_bytes_per_token_stand_beside_the_bits() -> None:
    def model(name: str, size: int, bits: float, cut: float) -> dict:
        interval = {"value": bits, "low": bits - 0.1, "high": bits + 0.1}
        row = {"texts": "ntrex", "language": "khm", "by": "all", "group": ""}
        row |= {"bits_per_byte": interval, "bytes_per_token": cut}
        sizes = {"num_parameters": size, "vocab_size": 50_304}
        return {"name": name, **sizes, "bits_per_byte": [row], "suite": []}

    models = [model("ours", 596_049_920, 0.9, 12.7), model("base", 124_439_808, 1.5, 1.2)]
    out = StringIO()
    results = {"models": models, "following": [], "gate": None}
    print_results(results, Console(file=out, width=200), {"ours": "mit", "base": "not stated"})
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines == [
        ["ours", "base"],
        ["parameters", "596,049,920", "124,439,808"],
        ["tokens", "of", "the", "vocabulary", "50,304", "50,304"],
        ["license", "mit", "not", "stated"],
        [
            *["bits", "per", "byte:", "ntrex,", "khm"],
            "0.900",
            "(0.800\u20131.000)",
            "1.500",
            "(1.400\u20131.600)",
        ],
        ["bytes", "per", "token", "12.70", "1.20"],
    ]
