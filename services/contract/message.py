"""The base of every message and its form on the wire: a type's name and one JSON object."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError


class BadMessageError(ValueError):
    """Bytes that are no message of this contract; the sentence says why."""


class Message(BaseModel):
    """A fact (past participle) or an order (imperative).

    Immutable; unknown fields are ignored, so that a newer publisher does not break an older reader.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    types: ClassVar[dict[str, type["Message"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Enter the type under its class name, which is its name on the wire."""
        super().__pydantic_init_subclass__(**kwargs)
        Message.types[cls.__name__] = cls

    @property
    def type(self) -> str:
        """Name on the wire."""
        return type(self).__name__

    def to_json(self) -> bytes:
        """Compact UTF-8 JSON."""
        return self.model_dump_json().encode()

    @classmethod
    def from_json(cls, body: bytes | str) -> Self:
        """The message in `body`; raises `BadMessageError` with the reason."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise BadMessageError(f"{cls.__name__}: {where}: {first['msg']}") from error


def decode(name: str, body: bytes | str) -> Message:
    """The message of type `name` in `body`; raises `BadMessageError` for an unknown type or a bad body."""
    if (kind := Message.types.get(name)) is None:
        raise BadMessageError(f"unknown message type {name[:64]!r}")
    return kind.from_json(body)
