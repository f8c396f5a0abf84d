"""What is wrong with a document of somebody's, key by key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError


def explain(origin: str, model: type[BaseModel], faults: ValidationError) -> Iterator[str]:
    """One line a fault, naming the key; for an unknown one the nearest that ``model`` has."""
    for fault in faults.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            yield f"{origin}: unknown key {where}{_nearest(model, fault['loc'])}"
        else:
            yield f"{origin}: {where}: {fault['msg']}" if where else f"{origin}: {fault['msg']}"


def _nearest(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        model = annotation
    near = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
