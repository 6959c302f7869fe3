"""`tonsai chat` and `tonsai serve`: talk to a model, in the terminal or over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tonsai_pipeline.cli.base_model import model_of
from tonsai_pipeline.cli.options import HomeOption, RecipeOption, model_place

ModelArgument = Annotated[
    str | None,
    typer.Argument(
        help="A model folder, an output folder with one, or a Hub id (`owner/name@revision`); the recipe's model by default.",
        show_default=False,
    ),
]


def chat(
    model: ModelArgument = None,
    system: Annotated[
        str, typer.Option("--system", help="What the model is told before the conversation.")
    ] = "",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 0.8,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0, help="Nucleus to draw from.")] = 0.95,
    max_new_tokens: Annotated[
        int, typer.Option("--tokens", "-n", min=1, help="Tokens of a reply, at most.")
    ] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same replies.")] = 0,
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
) -> None:
    """Talk to a model in the terminal; a base model goes on from each line.

    What you type is normalized as the corpus was. Replies appear as they are written, in whole Khmer letters. The oldest
    turns are forgotten, and that is said, where the context is full. `/help` lists commands.

    Example: `tonsai chat runs/assistant --system "Answer in Khmer."`
    """
    from rich.console import Console

    from tonsai_pipeline.model.opened import open_model
    from tonsai_pipeline.serve.reply import Sampling
    from tonsai_pipeline.serve.terminal import Chat, Screen, greeting

    _be_quiet()
    place = _place(model, recipe, home)
    notes = Console(stderr=True, highlight=False, soft_wrap=True)

    def note(line: str) -> None:
        notes.print(line, style="dim", markup=False)

    def say(piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    opened = open_model(place, name=_name(place))
    note(greeting(opened, system))
    sampling = Sampling(max_new_tokens, temperature, top_p, seed)
    Chat(opened, place, Screen(say, note), sampling, system).run(_lines())


def serve(
    model: ModelArgument = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="127.0.0.1, localhost or ::1: this machine.")] = (
        "127.0.0.1"
    ),
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
) -> None:
    """Serve a model to this machine: OpenAI's endpoints, and a page for the browser.

    It answers no other machine: it has no passwords and computes one reply at a time. To let others in, put a server
    that is made for it in front, or use vLLM.

    Example: `tonsai serve runs/assistant`, then open http://127.0.0.1:8000 or
    `OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")`
    """
    import socket

    import uvicorn

    from tonsai_pipeline.errors import StorageError
    from tonsai_pipeline.model.opened import open_model
    from tonsai_pipeline.serve.app import LOOPBACK, make_app

    if host not in LOOPBACK:
        raise typer.BadParameter(f"{host}: only this machine: {', '.join(LOOPBACK)}")
    _be_quiet()
    place = _place(model, recipe, home)
    opened = open_model(place, name=_name(place))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise StorageError(f"port {port}: {error.strerror}; take another: --port") from error
        where = f"[{host}]" if ":" in host else host
        kind = "a tuned model" if opened.takes_turns else "a base model"
        typer.echo(f"{opened.name}, {kind}: http://{where}:{listening.getsockname()[1]}", err=True)
        config = uvicorn.Config(make_app(opened, place), log_level="warning", ws="none")
        uvicorn.Server(config).run(sockets=[listening])


def _place(model: str | None, recipe: str, home: Path | None) -> str:
    """Return the model that is meant: the one named, or the recipe's, tuned or only pretrained."""
    if model is not None:
        return model_place(model)
    return str(model_of(recipe, home, "sft_model", "pretrained_model"))


def _name(place: str) -> str:
    """Name a model by its place; a folder that is called `model` by the one that it lies in."""
    path = Path(place)
    if not path.is_dir():
        return place
    path = path.absolute()
    return path.parent.name if path.name == "model" else path.name


def _be_quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _lines() -> Iterator[str]:
    """Yield what is typed: with editing and history in a terminal, as it comes from a pipe."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            yield line.rstrip("\n")
        return
    import readline  # noqa: F401  # gives `input` its editing and history

    while True:
        try:
            yield input("> ")
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stdout.write("\n")
