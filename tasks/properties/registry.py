"""How a property is found by its name: ours, and the user's own.

Ours: every module of this folder may hold builders marked `@registered("name")`, functions from PropertiesSpec to
Property. They are discovered, so a new property is one new file and no list elsewhere.

The user's: one function in one file, decorated with `global_property` and named in the study as `module:function`. The
module must be importable by name (on PYTHONPATH); a study, which may come from a store, can never name a path.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, Literal, TypeVar

from tasks.properties.types import Property, RealImages, Statistics
from tasks.study import PropertiesSpec

OWN_NAME = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")
Builder = Callable[[PropertiesSpec], Property]
F = TypeVar("F", bound=Callable[..., Any])


def registered(name: str) -> Callable[[Builder], Builder]:
    """Mark a builder as the property `name` of the registry."""

    def mark(builder: Builder) -> Builder:
        builder.__registered_as__ = name  # type: ignore[attr-defined]
        return builder

    return mark


@dataclass(frozen=True)
class OwnProperty:
    """What `global_property` notes about a user's function."""

    needs: Literal["samples", "weights"]
    sign: Literal[1, -1]
    unit: str
    description: str
    version: int
    minimum_images: int
    statistics: Callable[[RealImages], Statistics] | None
    source_sha256: str


def global_property(
    *,
    needs: Literal["samples", "weights"],
    sign: Literal[1, -1],
    unit: str,
    statistics: Callable[[RealImages], Statistics] | None = None,
    description: str | None = None,
    version: int = 1,
    minimum_images: int = 1,
) -> Callable[[F], F]:
    """Make a function `(samples or denoiser, statistics) -> float` a property that a study can name.

    statistics      optional function RealImages -> dict of arrays, called once an epoch
    description     for the statement; by default the first line of the function's docstring
    version         scores are recomputed when the function's file changes. Bump this when something else changes that
                    they depend on, such as a helper module or a weights file.

    Raises ValueError or TypeError at import when the declaration makes no sense.
    """
    if needs not in ("samples", "weights"):
        raise ValueError(f"global_property: needs must be 'samples' or 'weights', not {needs!r}")
    if sign not in (1, -1):
        raise ValueError(f"global_property: sign must be +1 (more is better) or -1, not {sign!r}")

    def mark(function: F) -> F:
        try:
            inspect.signature(function).bind(None, {})
        except TypeError as error:
            raise TypeError(f"global_property: {function.__name__} must take (samples, statistics): {error}") from error
        source = inspect.getsourcefile(function)
        if source is None:
            raise ValueError(
                f"global_property: {function.__name__} must be defined in a file, its digest is the file's"
            )
        # Read now, at import: what is hashed should be what runs, also if the file changes under a long-lived worker.
        with open(source, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        words = description or (inspect.getdoc(function) or "").partition("\n")[0] or function.__name__
        function.__global_property__ = OwnProperty(  # type: ignore[attr-defined]
            needs, sign, unit, words, version, minimum_images, statistics, digest
        )
        return function

    return mark


def registered_properties() -> tuple[str, ...]:
    """Names of the properties that come with the house, sorted."""
    return tuple(sorted(_builders()))


def resolve_property(name: str, spec: PropertiesSpec) -> Property:
    """The property of this name with the study's options.

    Raises ValueError, saying what there is or what is wrong, for an unknown name, a user's module or function that
    cannot be used, and for weights that cannot be had: before anything is trained.
    """
    if ":" in name:
        return _resolve_own(name)
    builders = _builders()
    if name not in builders:
        raise ValueError(
            f"there is no property {name!r}; there are {', '.join(sorted(builders))}, or your own as module:function"
        )
    return builders[name](spec)


@lru_cache(maxsize=1)
def _builders() -> dict[str, Builder]:
    package = importlib.import_module("tasks.properties")
    found: dict[str, Builder] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"tasks.properties.{info.name}")
        for value in vars(module).values():
            name = getattr(value, "__registered_as__", None)
            if not isinstance(name, str) or value.__module__ != module.__name__:
                continue
            if name in found:
                raise ValueError(f"property {name!r} is registered twice: {found[name].__module__}, {module.__name__}")
            found[name] = value
    return found


def _resolve_own(name: str) -> Property:
    match = OWN_NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            f"property {name!r}: write your own as module:function with a dotted module name that Python can import "
            "(such as my_company.warmth:warmth); a path is not accepted"
        )
    module = _import_own(name, match["module"])
    function = getattr(module, match["function"], None)
    own = getattr(function, "__global_property__", None)
    if function is None or not isinstance(own, OwnProperty):
        marked = sorted(
            key
            for key, value in vars(module).items()
            if isinstance(getattr(value, "__global_property__", None), OwnProperty)
        )
        wrong = "has no such function" if function is None else "is not decorated with @global_property"
        raise ValueError(
            f"property {name!r}: {match['module'] if function is None else match['function']} {wrong}; "
            f"decorated there: {', '.join(marked) or 'nothing'}"
        )
    return Property(
        name=name,
        needs=own.needs,
        sign=own.sign,
        unit=own.unit,
        description=own.description,
        version=own.version,
        options={"source_sha256": own.source_sha256},
        compute_score=function,
        compute_statistics=own.statistics,
        minimum_images=own.minimum_images,
    )


def _import_own(name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            raise ValueError(
                f"property {name!r}: there is no module {module!r} that Python can import; put its folder on "
                "PYTHONPATH, on the workers too"
            ) from error
        raise ValueError(f"property {name!r}: importing {module!r} failed: {error}") from error
    except Exception as error:  # the user's module can raise anything; whatever it is, it is theirs to read
        raise ValueError(f"property {name!r}: importing {module!r} failed: {type(error).__name__}: {error}") from error
