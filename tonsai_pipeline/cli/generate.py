"""`tonsai generate`: let a trained model continue a text."""

from __future__ import annotations

from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, ModelFolderOption, RecipeOption


def generate(
    prompt: Annotated[
        str, typer.Argument(help="Text to go on from; Khmer is normalized as the corpus was.")
    ],
    recipe: RecipeOption = "demo",
    model: ModelFolderOption = None,
    max_new_tokens: Annotated[
        int, typer.Option("--tokens", "-n", min=1, help="Tokens to write.")
    ] = 64,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 0.8,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0, help="Nucleus to draw from.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Same seed, same text.")] = 0,
    home: HomeOption = None,
) -> None:
    """Write on from a prompt with the recipe's trained model.

    Example: `tonsai generate --recipe demo "The river"`
    """
    from tonsai_pipeline.cli.base_model import model_of
    from tonsai_pipeline.model.samples import continue_text

    typer.echo(
        prompt
        + continue_text(
            model or model_of(recipe, home, "pretrained_model"),
            prompt,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )
    )
