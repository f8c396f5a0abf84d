"""Golioth's queries over stream entries: fields, filters, aggregation by time.

``{"fields": [{"path", "alias", "agg", "type"}], "filters": [{"path", "op", "value"} | {"op",
"filters"}], "timeBucket"}``. A path is dotted, inside the data; ``time``, ``deviceId`` and ``*``
(all of the data) are special.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from localcloud.errors import InvalidArgument
from localcloud.identifiers import floor_timestamp
from localcloud.model import StreamEntry

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(?:\d{1,9}(?:ms|[smhd]))+\Z")
_DURATION_PART = re.compile(r"(\d+)(ms|[smhd])")
_MAX_FILTER_DEPTH = 8

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_NOT_IN_DATA = frozenset({"time", "deviceId", "device_id"})
_PLAIN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\Z")

_Texts = BeforeValidator(lambda value: "" if value is None else value)
_Lists = BeforeValidator(lambda value: [] if value is None else value)


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class QueryField(_Part):
    """One column of the answer."""

    path: str
    alias: Annotated[str, _Texts] = ""
    agg: Annotated[Literal["", "avg", "count", "max", "min", "sum"], _Texts] = ""
    type: Annotated[Literal["", "float", "int", "integer", "string"], _Texts] = ""

    @property
    def name(self) -> str:
        """What the column is called."""
        return self.alias or ("data" if self.path == "*" else self.path)

    def read(self, entry: StreamEntry) -> object:
        """The entry's value for it, None when there is none or its type can't be had."""
        value = look_up(entry, self.path)
        try:
            match self.type:
                case "float":
                    return _number(value)
                case "int" | "integer":
                    number = _number(value)
                    return None if number is None else int(number)
                case "string":
                    return value if value is None or isinstance(value, str) else json.dumps(value)
        except ValueError:
            return None
        return value


class QueryFilter(_Part):
    """One condition, or several joined by ``and`` or ``or``."""

    op: Literal["=", "<>", "<", "<=", ">", ">=", "and", "or"]
    path: Annotated[str, _Texts] = ""
    value: Any = None
    filters: Annotated[list[QueryFilter], _Lists] = []

    def accepts(self, entry: StreamEntry) -> bool:
        """Whether an entry passes."""
        if self.op in ("and", "or"):
            passed = (part.accepts(entry) for part in self.filters)
            return all(passed) if self.op == "and" else any(passed)
        value = look_up(entry, self.path)
        if self.op in _COMPARISONS:
            return self._compare(value)
        among = self.value if isinstance(self.value, list) else [self.value]
        return any(_equal(value, one) for one in among) == (self.op == "=")

    def _compare(self, value: object) -> bool:
        if self.path == "time":
            # Fixed width, so text order is time order.
            return isinstance(self.value, str) and _texts_compare(self.op, str(value), self.value)
        try:
            left, right = _number(value), _number(self.value)
        except ValueError:
            return False
        return left is not None and right is not None and _COMPARISONS[self.op](left, right)

    def depth(self) -> int:
        """How deep conditions are nested."""
        return 1 + max((part.depth() for part in self.filters), default=0)


class StreamQuery(_Part):
    """A whole query; without fields an entry is shown as it is."""

    fields: Annotated[list[QueryField], Field(max_length=64), _Lists] = []
    filters: Annotated[list[QueryFilter], Field(max_length=64), _Lists] = []
    time_bucket: Annotated[str, _Texts] = ""

    @property
    def aggregates(self) -> bool:
        """Whether a row stands for several entries."""
        return any(field.agg for field in self.fields)

    @property
    def needed_paths(self) -> list[list[str]]:
        """Where in the data an entry must have a value to pass; not of every filter."""
        compared = (part.path for part in self.filters if part.op in _COMPARISONS)
        return [
            path.split(".") for path in compared if path not in _NOT_IN_DATA and _PLAIN.match(path)
        ]

    def accepts(self, entry: StreamEntry) -> bool:
        """Whether an entry passes all filters."""
        return all(part.accepts(entry) for part in self.filters)

    def run(self, entries: Iterable[StreamEntry]) -> list[dict[str, Any]]:
        """The answer's rows, in the order of the entries."""
        kept = (entry for entry in entries if self.accepts(entry))
        if not self.fields:
            return [entry.shape() for entry in kept]
        if self.aggregates:
            return self._aggregated(kept)
        return [{field.name: field.read(entry) for field in self.fields} for entry in kept]

    def _aggregated(self, entries: Iterable[StreamEntry]) -> list[dict[str, Any]]:
        bucket = duration_seconds("timeBucket", self.time_bucket) if self.time_bucket else 0
        plain = [field for field in self.fields if not field.agg]
        groups: dict[str, tuple[dict[str, Any], list[_Aggregate]]] = {}
        for entry in entries:
            key = {field.name: _bucketed(field, entry, bucket) for field in plain}
            text = json.dumps(key)
            if text not in groups:
                groups[text] = key, [_Aggregate(field) for field in self.fields if field.agg]
            for aggregate in groups[text][1]:
                aggregate.add(entry)
        return [self._row(key, aggregates) for key, aggregates in groups.values()]

    def _row(self, key: dict[str, Any], aggregates: Sequence[_Aggregate]) -> dict[str, Any]:
        results = {aggregate.field.name: aggregate.result() for aggregate in aggregates}
        return {field.name: (results if field.agg else key)[field.name] for field in self.fields}


class _Aggregate:
    """One column over many entries, of which none is kept."""

    def __init__(self, field: QueryField) -> None:
        self.field = field
        self._values = self._numbers = 0
        self._sum: float = 0
        self._least: float = math.inf
        self._greatest: float = -math.inf

    def add(self, entry: StreamEntry) -> None:
        """Take one entry into account."""
        value = self.field.read(entry)
        if value is None:
            return
        self._values += 1
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._numbers += 1
            self._sum += value
            self._least, self._greatest = min(self._least, value), max(self._greatest, value)

    def result(self) -> float | None:
        """The column's value, None where there is no number, or none that JSON can hold."""
        if self.field.agg == "count":
            return self._values
        if not self._numbers:
            return None
        match self.field.agg:
            case "avg":
                found = self._sum / self._numbers
            case "max":
                found = self._greatest
            case "min":
                found = self._least
            case _:
                found = self._sum
        return found if math.isfinite(found) else None


def parse_query(document: object) -> StreamQuery:
    """A query from its JSON form, or InvalidArgument."""
    try:
        query = StreamQuery.model_validate(document)
    except (ValidationError, RecursionError) as error:
        raise InvalidArgument(f"query: {_reason(error)}") from error
    if any(part.depth() > _MAX_FILTER_DEPTH for part in query.filters):
        raise InvalidArgument(f"query: filters are nested more than {_MAX_FILTER_DEPTH} deep")
    if query.time_bucket:
        duration_seconds("timeBucket", query.time_bucket)
    return query


def duration_seconds(name: str, text: str) -> float:
    """Seconds of a duration such as ``15m`` or ``1h30m``, or InvalidArgument."""
    seconds = 0.0
    if _DURATION.match(text):
        seconds = sum(int(n) * _UNITS[unit] for n, unit in _DURATION_PART.findall(text))
    if not seconds:
        raise InvalidArgument(f"{name} {text!r}: use a duration such as '30s', '15m' or '8h'")
    return seconds


def look_up(entry: StreamEntry, path: str) -> object:
    """An entry's value at a path, None when there is none."""
    if path == "time":
        return entry.time
    if path in ("deviceId", "device_id"):
        return entry.device_id
    node: object = entry.data
    for segment in [] if path == "*" else path.split("."):
        if not isinstance(node, dict):
            return None
        node = node.get(segment)
    return node


def _bucketed(field: QueryField, entry: StreamEntry, bucket: float) -> object:
    if field.path == "time" and bucket:
        return floor_timestamp(entry.time, bucket)
    return field.read(entry)


def _number(value: object) -> float | None:
    """A number, or text that stands for one; ValueError for text that doesn't."""
    if not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    # Text may say "inf" or "nan", which no JSON can hold.
    return number if math.isfinite(number) else None


def _equal(left: object, right: object) -> bool:
    # JSON's true is not its 1, as Python's is.
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _texts_compare(op: str, left: str, right: str) -> bool:
    return _COMPARISONS[op]((left > right) - (left < right), 0)


def _reason(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
