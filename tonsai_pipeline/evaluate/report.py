"""Numbers and texts -> a report for people, in Markdown and in one self-contained HTML page; pure.

    Evaluation ──▶ report.md (names loss_curve.png) ──▶ report.html (the picture inside)

Nothing in a sample can break out of its box: it is text, never markup.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jinja2
from markdown_it import MarkdownIt

from tonsai_pipeline.model.held_out import HeldOut
from tonsai_pipeline.model.samples import Sample
from tonsai_pipeline.recipe.evaluate import GenerationConfig

CURVE_NAME = "loss_curve.png"

_STYLE = """
body { font-family: system-ui, "Noto Sans", "Noto Sans Khmer", sans-serif; line-height: 1.6; color: #1c1c1c;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem; text-align: left; }
pre { background: #f6f6f4; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
img { max-width: 100%; }
"""


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report says.

    Args:
        title: Name of the run.
        date: When it was measured, ISO 8601.
        before: The untrained network on the held-out rows of each language.
        after: The trained one on the same rows.
        samples: What it writes.
        generation: How the samples were drawn.
        training: The training run's `status.json`; empty when not at hand.
    """

    title: str
    date: str
    before: Mapping[str, HeldOut]
    after: Mapping[str, HeldOut]
    samples: Sequence[Sample]
    generation: GenerationConfig
    training: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers and texts as JSON values, by language."""
        return {
            "format": "tonsai-evaluation/1",
            "title": self.title,
            "date": self.date,
            "languages": {
                language: {"before": self.before[language].as_dict(), "after": found.as_dict()}
                for language, found in self.after.items()
            },
            "samples": [asdict(sample) for sample in self.samples],
            "generation": self.generation.model_dump(mode="json"),
            "training": dict(self.training),
        }


def markdown(evaluation: Evaluation, *, curve: str | None) -> str:
    """Write the report in Markdown.

    Args:
        evaluation: What was measured.
        curve: Name of the picture; None leaves its section out.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tonsai_pipeline.evaluate"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  # Markdown, not HTML: `html` escapes
        keep_trailing_newline=True,
    )
    environment.filters |= {"fenced": _fenced, "inline": _inline, "number": _number}
    return environment.get_template("report.md.j2").render(
        title=_inline(evaluation.title),
        date=evaluation.date,
        languages={
            language: {"before": evaluation.before[language], "after": found}
            for language, found in evaluation.after.items()
        },
        facts=_facts(evaluation.training),
        curve=curve,
        samples=evaluation.samples,
        generation=evaluation.generation,
    )


def html(text: str, *, title: str, pictures: Mapping[str, bytes]) -> str:
    """Turn the Markdown into one page that needs nothing else.

    Args:
        text: From `markdown`.
        title: Of the page.
        pictures: PNG bytes by the name that the Markdown uses; they are put inside the page.
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    for name, data in pictures.items():
        encoded = base64.b64encode(data).decode()
        body = body.replace(f'src="{name}"', f'src="data:image/png;base64,{encoded}"')
    page = jinja2.Environment(autoescape=True).from_string(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>{{ style }}</style></head>\n<body>\n{{ body }}</body></html>\n"
    )
    from markupsafe import Markup

    return page.render(title=title, style=Markup(_STYLE), body=Markup(body))  # noqa: S704


def _facts(training: Mapping[str, Any]) -> dict[str, str]:
    """Name what a reader asks first about a run."""
    if not training:
        return {}
    seconds = training["train_s"]
    return {
        "parameters": f"{training['num_parameters']:,}",
        "steps": f"{training['step']:,}",
        "tokens": f"{training['tokens']:,}",
        "training time": f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds:.0f} s",
        "tokens per second": f"{training['tokens'] / max(seconds, 1e-9):,.0f}",
        "processes": f"{training['world_size']} x {training['device']}",
        "precision": str(training["precision"]),
        "backend": f"{training['backend']}, ZeRO {training['zero_stage']}",
    }


def _fenced(text: str) -> str:
    """Fence a text of which nothing is known, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _inline(text: str) -> str:
    """Make a text safe inside a line of Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", " ".join(text.split()))


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 1e6 else f"{value:.2e}"
