"""The prompt suite -> one page on which a native reader can sign every item.

python -m tonsai_pipeline.evaluate.review > suite.html
"""

from __future__ import annotations

import sys

import jinja2

from tonsai_pipeline.evaluate.report import font_faces
from tonsai_pipeline.metrics.suite import KHMER, KINDS, load_suite, review

_PAGE = """<!doctype html>
<html lang="km"><head><meta charset="utf-8"><title>{{ name }}</title><style>
{{ fonts }}
body { font-family: "Tonsai Khmer", system-ui, sans-serif; line-height: 1.8; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } td { border-bottom: 1px solid #ddd; padding: .4rem; vertical-align: top; }
td.text { white-space: pre-wrap; } .right { font-weight: 700; } .soft { color: #64686d; font-size: .85rem; } tr { break-inside: avoid; }
</style></head><body>
<h1>{{ name }}: {{ items | length }} items</h1>
<p>Found by the script: {{ faults | join("; ") or "nothing" }}.</p>
<p>Read by: ______________________ on ______________ &#160; A reader marks each item: right, wrong, or not natural.</p>
{% for kind in kinds %}<h2>{{ kind | replace("_", " ") }}</h2><table>
{% for item in items if item.kind == kind %}
<tr><td class="soft">{{ item.id }}<br>{{ item.topic | replace("_", " ") }}</td>
<td class="text">{{ item.prompt }}{% for c in item.choices %}
<span class="{{ 'right' if loop.index0 == item.gold }}">{{ "+" if loop.index0 == item.gold else "-" }} {{ c }}</span>{% endfor %}{% if item.good %}<span class="right">+ {{ item.good }}</span>
- {{ item.bad }}{% endif %}{% if item.references %}
<span class="right">{{ item.references | join(" / ") }}</span>{% endif %}{% if item.checks %}
<span class="soft">{{ item.checks | join(", ") }}</span>{% endif %}</td>
<td class="soft">{{ item.gloss }}</td><td>&#9744;</td></tr>
{% endfor %}</table>{% endfor %}</body></html>
"""


def page(name: str = KHMER) -> str:
    """Return the page."""
    items = load_suite(name)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_PAGE).render(
        name=name, items=items, faults=review(items), kinds=KINDS, fonts=font_faces()
    )


if __name__ == "__main__":
    sys.stdout.write(page())
