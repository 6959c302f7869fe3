"""A PDF -> what is in it, read in a process of its own: a hostile file costs its time and memory, and nothing else.

path ──python -m ...pdf.process──▶ JSON on standard output | killed after `MAX_CPU_S` seconds, or above `MAX_BYTES` of memory

Its own work is what counts: on a machine that is busy with other work a good file takes ten times as long, and is read.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
from typing import Any

#: Seconds of a processor. A file of 2,000 pages takes 10 s and 250 MB.
MAX_CPU_S = 300
#: Seconds on the clock, for a reader that waits for something that never comes, as a disk that is gone.
MAX_WALL_S = 6 * 3600
MAX_BYTES = 4 << 30
MAX_PAGES = 20_000
#: Private use but for symbol fonts (U+F000-F0FF), rare Latin letters, U+FFFD and controls: what a wrong ToUnicode map gives.
_WRONG = re.compile(
    "[\ue000-\uefff\uf100-\uf8ff\u0100-\u0151\u0154-\u0191\u0193-\u024f\ufffd\x00-\x08\x0e-\x1f]"
)
_MAX_WRONG_FRAC = 0.05
#: Marks without a letter and syllables that are none, of all: text in visual order, or with letters lost. Real text: 0.001.
_MAX_DAMAGED_FRAC = 0.1
_MIN_CLUSTERS = 20
_LOOK_CHARS = 4000
#: Why a page has no text.
PAGE_REASONS = ("needs_ocr", "broken_to_unicode", "broken_pdf")


def read_in_process(
    path: str,
    *,
    max_cpu_s: int = MAX_CPU_S,
    max_bytes: int = MAX_BYTES,
    max_wall_s: float = MAX_WALL_S,
) -> dict[str, Any]:
    """Read a PDF in another process.

    Returns:
        `text`, `fonts`, `font_runs`, `page_starts`, `num_pages`, `num_read`, `title`, and the numbers of the pages without text,
        by reason: `PAGE_REASONS`; or `problem` (a reason of `BAD_ROW_REASONS`) and `detail`.
    """
    command = [sys.executable, "-P", "-m", __name__, path, str(max_bytes), str(max_cpu_s)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=max_wall_s, check=False)
    except subprocess.TimeoutExpired:
        return _problem("pdf_too_costly", f"reading it did not end within {max_wall_s:,.0f} s")
    if done.returncode == 0:
        return json.loads(done.stdout)
    # pdfium aborts where it gets no more memory.
    ends = (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGABRT)
    if done.returncode in ends or b"MemoryError" in done.stderr:
        return _problem(
            "pdf_too_costly",
            f"reading it took more than {max_bytes >> 20:,} MB of memory or {max_cpu_s:,} s of a processor",
        )
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    what = lines[-1] if lines else f"the reader ended with {done.returncode}"
    return _problem("broken_pdf", what)


def _problem(reason: str, detail: str) -> dict[str, Any]:
    return {"problem": reason, "detail": detail}


def read_file(path: str) -> dict[str, Any]:
    """Read a PDF in this process; see `read_in_process`."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        reason = "encrypted_pdf" if "password" in str(error).lower() else "broken_pdf"
        return _problem(reason, str(error))
    if len(document) > MAX_PAGES:
        return _problem(
            "pdf_too_costly", f"{len(document):,} pages; at most {MAX_PAGES:,} are read"
        )
    from tonsai_pipeline.storage.dumps.pdf.layout import lay_out
    from tonsai_pipeline.storage.dumps.pdf.pages import read_pages

    numbers: dict[str, int] = {}
    pages = list(read_pages(document, numbers))
    names = list(numbers)
    legacy = _legacy_fonts(pages, names)
    needs_ocr = [i for i, page in enumerate(pages, 1) if not page.lines and page.has_images]
    damaged = [i for i, page in enumerate(pages, 1) if page.is_damaged]
    broken = [i for i, page in enumerate(pages, 1) if _is_broken(page, legacy)]
    for number in broken:
        pages[number - 1] = pages[number - 1]._replace(lines=[])

    def is_khmer(char: str, font: int | None) -> bool:
        return "\u1780" <= char <= "\u17ff" or (font in legacy and not char.isspace())

    out = lay_out(pages, is_khmer)
    title = document.get_metadata_value("Title").strip()
    return {
        "text": "".join(out.pieces), "fonts": names, "font_runs": out.font_runs, "page_starts": out.page_starts,
        "num_pages": len(pages), "title": title or None, "needs_ocr": needs_ocr, "broken_to_unicode": broken,
        "broken_pdf": damaged,
        "num_read": sum(bool(page.lines) for page in pages),
    }  # fmt: skip


def _legacy_fonts(pages: list[Any], names: list[str]) -> set[int]:
    """Return the fonts from before Unicode: by name, else by the look of what is set in them."""
    from tonsai_pipeline.text.legacy import family_of_font, looks_legacy

    samples = ["" for _ in names]
    for page in pages:
        for line in page.lines:
            ends = [*(start for start, _ in line.fonts[1:]), len(line.text)]
            for (start, font), end in zip(line.fonts, ends, strict=True):
                if len(samples[font]) < _LOOK_CHARS:
                    samples[font] += line.text[start:end] + "\n"
    return {
        number
        for number, name in enumerate(names)
        if family_of_font(name) is not None or looks_legacy(samples[number])
    }


def _is_broken(page: Any, legacy: set[int]) -> bool:
    """Tell a page whose characters are not what is drawn."""
    import pyarrow as pa

    from tonsai_pipeline.text import normalize_batch_report

    lines = [line.text for line in page.lines if not any(font in legacy for _, font in line.fonts)]
    every = "".join(line.text for line in page.lines)
    if len(_WRONG.findall(every)) > _MAX_WRONG_FRAC * max(1, len(every)):
        return True
    text = "\n".join(lines).encode("utf-8", "replace").decode()
    seen = normalize_batch_report(pa.array([text], pa.large_string()))[1][0].as_py()
    damaged = seen["num_orphan_marks"] + seen["num_invalid_clusters"]
    total = seen["num_clusters"] + seen["num_orphan_marks"]
    return total >= _MIN_CLUSTERS and damaged > _MAX_DAMAGED_FRAC * total


if __name__ == "__main__":
    file, max_bytes, max_cpu_s = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(max_bytes), int(max_bytes)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(max_cpu_s), int(max_cpu_s) + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.write(json.dumps(read_file(file)))
