"""The base of configuration objects: frozen, checked, and in words when something is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from osim_exo.errors import InputError

Limits = Mapping[str, float]
"""Ends of an allowed range by ``gt``, ``ge``, ``lt``, ``le``."""


class Config(BaseModel):
    """A frozen configuration; a wrong value raises an `InputError` that names the field.

    Unknown fields, NaN and infinity are refused. Make variants with `changed`, which checks them;
    pydantic's `model_copy` does not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise InputError(in_words(error, type(self))) from None

    # Without this mark pydantic would call __init__ again for nested configurations, and their
    # messages would be wrapped twice.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As pydantic's own, with an `InputError` in plain words."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise InputError(in_words(error, cls)) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As pydantic's own, with an `InputError` in plain words."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise InputError(in_words(error, cls)) from None

    def changed(self, **fields: Any) -> Self:
        """A copy with some fields changed, checked like a new one."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**given, **fields})


def in_words(error: ValidationError, kind: type[BaseModel] | None = None) -> str:
    """One sentence per fault: the field, what was given, what is allowed.

    Parameters
    ----------
    error : what pydantic found wrong
    kind : the configuration that could not be made; its fields are listed where one is unknown,
        and give both ends of an allowed range
    """
    found = error.errors()
    faults = []
    for fault in found:
        place = fault["loc"]
        # Pydantic counts the good items only: a list with one wrong item is then "too short" too.
        deeper = any(len(f["loc"]) > len(place) and f["loc"][: len(place)] == place for f in found)
        if fault["type"] == "too_short" and deeper:
            continue
        where = ".".join(str(part) for part in place)
        text = _fault(fault, kind)
        faults.append(f"{where}: {text}" if where else text)
    return f"{error.title} cannot be made. " + "; ".join(faults).rstrip(".") + "."


def _fault(fault: ErrorDetails, kind: type[BaseModel] | None) -> str:
    """What is wrong with one field."""
    text = fault["msg"].removeprefix("Value error, ")
    what, given = fault["type"], repr(fault["input"])
    if what == "value_error":
        return text
    if what == "extra_forbidden":
        if kind is None:
            return "there is no such field"
        known = ", ".join(kind.model_fields)
        return f"there is no such field; the fields of {kind.__name__} are: {known}"
    if what == "missing":
        return "this field is required and was not given"
    if what == "too_short":
        least = fault.get("ctx", {}).get("min_length", 1)
        return f"{given} was given; at least {least} item{'s' * (least > 1)} must be given"
    limits = _limits(kind, fault["loc"]) if kind is not None else {}
    if what in _LIMIT_FAULTS:
        limits = {**fault.get("ctx", {}), **limits}
    if limits and what in (*_LIMIT_FAULTS, "finite_number"):
        kind_of = "a finite number, " if what == "finite_number" else ""
        return f"{given} was given; allowed is {kind_of}{_range(limits)}"
    return f"{given} was given; {text[:1].lower()}{text[1:]}"


_LIMIT_FAULTS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def _limits(annotation: Any, place: Sequence[int | str], metadata: Sequence[Any] = ()) -> Limits:
    """Ends of the range that the type at `place` below `annotation` declares."""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        return _limits(annotation, place, (*metadata, *more))
    if get_origin(annotation) in (Union, UnionType):
        arms = (_limits(arm, place, metadata) for arm in get_args(annotation))
        return next((found for found in arms if found), {})
    if not place:
        plain = [m for entry in metadata for m in getattr(entry, "metadata", [entry])]
        return {end: getattr(m, end) for m in plain for end in _ENDS if hasattr(m, end)}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(place[0]))
        return _limits(field.annotation, place[1:], field.metadata) if field else {}
    items = [a for a in get_args(annotation) if a is not Ellipsis]
    return _limits(items[-1], place[1:]) if items else {}


_ENDS = ("gt", "ge", "lt", "le")


def _range(limits: Limits) -> str:
    """A range in words, with both of its ends where it has two."""
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    above, below = "gt" in limits, "lt" in limits
    if low is None:
        return f"less than {high:g}" if below else f"at most {high:g}"
    if high is None:
        return f"more than {low:g}" if above else f"at least {low:g}"
    if not above and not below:
        return f"{low:g} to {high:g}"
    return (
        f"{'more than' if above else 'from'} {low:g}, {'less than' if below else 'up to'} {high:g}"
    )
