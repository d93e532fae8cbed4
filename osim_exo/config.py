"""The base of configuration objects: frozen, checked, and in words when something is wrong."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from osim_exo.errors import InputError


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
    kind : the configuration that could not be made; its fields are listed where one is unknown
    """
    faults = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"])
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = "there is no such field"
            if kind is not None:
                known = ", ".join(kind.model_fields)
                text += f"; the fields of {kind.__name__} are: {known}"
        elif fault["type"] != "value_error":
            text = f"{fault['input']!r} was given; {text[:1].lower()}{text[1:]}"
        faults.append(f"{where}: {text}" if where else text)
    return f"{error.title} cannot be made. " + "; ".join(faults).rstrip(".") + "."
