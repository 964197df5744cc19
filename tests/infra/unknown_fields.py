"""Fields of a Kubernetes object that Kubernetes' own models do not know: an API server drops them without a word."""

from __future__ import annotations

import re
from typing import Any

from kubernetes_asyncio.client import models


def unknown_fields(value: Any, kind: str, path: str = "") -> list[str]:
    """Dotted paths of fields in `value` that the model `kind` (such as "V1Job", "list[V1Container]") does not have.

    Raises:
        TypeError: if a list or an object stands where the model has another kind of value.
    """
    inner = re.fullmatch(r"(list\[|dict\(str, )(.+)[\])]", kind)
    if inner is not None:
        if not isinstance(value, list if inner[1] == "list[" else dict):
            raise TypeError(f"{path} is {value!r}; it has to be of type {kind}")
        items: Any = dict(enumerate(value)) if isinstance(value, list) else value
        return [found for name in items for found in unknown_fields(items[name], inner[2], f"{path}.{name}")]
    if not hasattr(models, kind):
        wrong = isinstance(value, dict | list) and kind != "object"
        if wrong or (kind == "int" and type(value) is not int) or (kind == "bool" and type(value) is not bool):
            raise TypeError(f"{path} is {value!r}; it has to be of type {kind}")
        return []
    if not isinstance(value, dict):
        raise TypeError(f"{path} is {value!r}; it has to be an object")
    model = getattr(models, kind)
    types = {model.attribute_map[name]: type_ for name, type_ in model.openapi_types.items()}
    return sorted(
        found
        for name, each in value.items()
        for found in (
            unknown_fields(each, types[name], f"{path}.{name}".lstrip("."))
            if name in types
            else [f"{path}.{name}".lstrip(".")]
        )
    )
