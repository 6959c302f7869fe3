"""What every section of a recipe is: frozen, documented field by field, closed against unknown keys.

Section ──settings──▶ JSON values that a cache key is made of: files by their bytes, not by their names
Section ──narrow────▶ the same section with some fields only: reading another one is an error
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from tonsai_pipeline.errors import RecipeError


class InputFile:
    """Marks a field that names a file or a folder: its bytes change the result, its name does not."""


class Section(BaseModel):
    """Base of every recipe section; a string under a field is its documentation in `docs/recipe.md`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    unkeyed: ClassVar[frozenset[str]] = frozenset()
    """Fields that cannot change what a stage makes: limits of checks, what is watched, how work is divided."""

    def settings(self, name_file: Callable[[Path], str], where: str = "") -> dict[str, Any]:
        """Return what changes a result as plain JSON values, the form that cache keys hash.

        Args:
            name_file: Names the contents of a file or folder that a field points to.
            where: Where the section stands in the recipe, with dots: begins the message of an error.

        Raises:
            RecipeError: There is no such file; the message names the field.
        """
        given = [name for name in type(self).model_fields if name in self.__dict__]
        plain = self.model_dump(mode="json", include=set(given) - self.unkeyed)
        return {
            name: _named(getattr(self, name), name_file, f"{where}.{name}".lstrip("."))
            if _names_files(type(self), name)
            else _settings(getattr(self, name), value, name_file, f"{where}.{name}")
            for name, value in plain.items()
        }

    def narrow(self, only: Iterable[str] = (), without: Iterable[str] = ()) -> Self:
        """Return the section with only some of its fields; reading another one is an AttributeError.

        Args:
            only: Fields to keep; none for all that change a result.
            without: Fields to leave out, `unkeyed` ones in any case.

        Raises:
            ValueError: There is no such field.
        """
        fields = set(type(self).model_fields)
        if unknown := sorted((set(only) | set(without)) - fields):
            raise ValueError(f"{type(self).__name__} has no field {', '.join(unknown)}")
        kept = (set(only) or fields - self.unkeyed) - set(without)
        narrowed = self.model_copy()
        narrowed.model_fields_set.intersection_update(kept)
        values = {name: _narrowed(self.__dict__[name]) for name in fields if name in kept}
        object.__setattr__(narrowed, "__dict__", values)
        return narrowed


@cache
def _names_files(section: type[Section], name: str) -> bool:
    field = section.model_fields[name]
    return any(isinstance(m, InputFile) for m in field.metadata) or _is_marked(field.annotation)


def _is_marked(annotation: Any) -> bool:
    """Tell whether a type such as `dict[str, RecipePath] | None` names files."""
    marks = getattr(annotation, "__metadata__", ())
    return any(isinstance(mark, InputFile) for mark in marks) or any(
        _is_marked(argument) for argument in get_args(annotation)
    )


def _settings(value: Any, plain: Any, name_file: Callable[[Path], str], where: str) -> Any:
    if isinstance(value, Section):
        return value.settings(name_file, where)
    if isinstance(value, Mapping):
        return {str(k): _settings(v, v, name_file, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, Sequence) and any(isinstance(one, Section) for one in value):
        return [_settings(one, one, name_file, f"{where}.{i}") for i, one in enumerate(value)]
    return plain


def _named(value: Any, name_file: Callable[[Path], str], where: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _named(one, name_file, f"{where}.{key}") for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_named(one, name_file, where) for one in value]
    if value is None or (isinstance(value, str) and not Path(value).exists()):
        return value  # nothing, or the id of something on the Hub
    try:
        return {"contents": name_file(Path(value))}
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def _narrowed(value: Any) -> Any:
    """Leave unkeyed fields out of the sections inside a value too."""
    if isinstance(value, Section):
        return value.narrow()
    if isinstance(value, Mapping):
        return {key: _narrowed(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(_narrowed(one) for one in value)
    return value


def _beside_the_recipe(value: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    value = value.expanduser()
    return value if folder is None else folder / value


def _folder_or_hub(value: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get("folder")
    beside = Path(value).expanduser() if folder is None else folder / Path(value).expanduser()
    return str(beside) if beside.is_dir() else value


RecipePath = Annotated[Path, AfterValidator(_beside_the_recipe), InputFile()]
"""A file named in a recipe, whose bytes count; a relative path starts at the recipe's folder."""

FolderOrHub = Annotated[str, AfterValidator(_folder_or_hub), InputFile()]
"""A folder, relative to the recipe's or absolute, whose bytes count; or else the id of a Hub repository."""


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section class inside an annotation such as `tuple[Source, ...] | None`; None without one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := section_of(argument)) is not None:
            return found
    return None
