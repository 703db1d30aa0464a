"""Every message survives the wire, and nothing else gets through it."""

import importlib
import json
import pkgutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from services import contract
from services.contract.failure import Code, Failure
from services.contract.ingest import LiveEvent, Viewer
from services.contract.message import BadMessageError, Message, decode

for module in pkgutil.iter_modules(contract.__path__):
    importlib.import_module(f"services.contract.{module.name}")
TYPES = {name: kind for name, kind in Message.types.items() if kind.__module__.startswith("services.contract.")}
GOLDEN = Path(__file__).parent / "golden"
each = pytest.mark.parametrize("name", sorted(TYPES))


def built(kind: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Any message of this type within its fields' bounds."""
    fields: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        bounds = tuple(field.metadata)
        fields[name] = st.from_type(Annotated[(field.annotation, *bounds)] if bounds else field.annotation)  # pyright: ignore[reportArgumentType]  a type made at run time
    return st.builds(kind, **fields)


st.register_type_strategy(Viewer, built(Viewer))
st.register_type_strategy(LiveEvent, st.deferred(lambda: built(LiveEvent)))
ANY = st.sampled_from(sorted(TYPES)).flatmap(lambda name: built(TYPES[name]))


@given(ANY)
def test_every_message_survives_the_wire(message: Message) -> None:
    """Decoding the encoded message gives an equal one of the same type."""
    assert decode(message.type, message.to_json()) == message


@given(ANY, st.dictionaries(st.text(min_size=1).map("later_{}".format), st.integers() | st.text()))
def test_fields_of_a_newer_publisher_are_passed_over(message: Message, more: dict[str, Any]) -> None:
    """Unknown fields change nothing."""
    body = json.dumps({**json.loads(message.to_json()), **more})
    assert decode(message.type, body) == message


@given(st.sampled_from(sorted(TYPES)), st.binary() | st.text().map(str.encode))
def test_other_bytes_are_refused(name: str, body: bytes) -> None:
    """Bytes that are no message raise `BadMessageError` with the type's name, and nothing else."""
    with pytest.raises(BadMessageError, match=f"^{name}: "):
        decode(name, body)


@given(ANY, st.data())
def test_a_damaged_message_is_refused_or_read(message: Message, data: st.DataObject) -> None:
    """A body in which one value was replaced is a message or a `BadMessageError`."""
    fields: dict[str, Any] = json.loads(message.to_json())
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(
        st.none() | st.text() | st.integers() | st.lists(st.none())
    )
    with suppress(BadMessageError):
        read = decode(message.type, json.dumps(fields))
        assert decode(message.type, read.to_json()) == read


def test_an_unknown_type_is_refused() -> None:
    """The name is said, cut short."""
    with pytest.raises(BadMessageError, match="unknown message type 'Nope'"):
        decode("Nope", b"{}")
    with pytest.raises(BadMessageError) as refused:
        decode("x" * 1_000, b"{}")
    assert len(str(refused.value)) < 100


def test_the_reason_names_the_field() -> None:
    """A missing field, a bound, and a body that is no object are told apart."""
    for name, body, reason in (
        ("Interrupted", b'{"by":"client"}', "Interrupted: epoch: Field required"),
        ("Interrupted", b'{"by":"client","epoch":0}', "Interrupted: epoch: Input should be greater than"),
        ("Interrupted", b"{", "Interrupted: body: Invalid JSON"),
        ("LiveEvent", b"[]", "LiveEvent: body: Input should be an object"),
    ):
        with pytest.raises(BadMessageError, match=f"^{reason}"):
            decode(name, body)


def test_a_message_does_not_change() -> None:
    """Its fields are frozen."""
    with pytest.raises(ValidationError):
        Viewer().name = "x"  # pyright: ignore[reportAttributeAccessIssue]  that is the fact


@each
def test_an_old_publishers_bytes_are_read(name: str) -> None:
    """The golden sample of each message decodes, and every field that it has is still said, with the same value."""
    body = (GOLDEN / f"{name}.json").read_bytes()
    said: dict[str, Any] = json.loads(decode(name, body).to_json())
    old: dict[str, Any] = json.loads(body)
    assert {field: said[field] for field in old} == old


def test_every_sample_has_its_message() -> None:
    """No sample is left of a message that was renamed: a name on the wire is for good."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(TYPES)


def test_a_failure_says_its_code_and_sentence() -> None:
    """And whether the same work may be tried again, which it may not unless said."""
    failure = Failure(Code.BUSY, "no room is free; try again in a minute", retryable=True)
    assert str(failure) == "busy: no room is free; try again in a minute"
    assert (failure.code, failure.sentence, failure.retryable) == (Code.BUSY, failure.sentence, True)
    assert not Failure(Code.BAD_INPUT, "x").retryable
