"""The protobuf reader is exact, bounded and total."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.core import protobuf
from services.ingest.core.fields import UnreadableError
from tests.ingest.core.samples import INTERACT_PB, message, varint


def test_vector() -> None:
    """The recorded payload gives what the platform's page showed."""
    assert protobuf.interact_word(INTERACT_PB) == {
        "uid": 439367700,
        "uname": "StarSea246",
        "msg_type": 1,
        "roomid": 544853,
        "timestamp": 1751716524,
        "fans_medal": {"medal_level": 18, "medal_name": "生态"},
    }


@given(st.integers(0, 2**64 - 1), st.binary(max_size=300), st.integers(1, 2**29 - 1))
def test_round_trip(value: int, data: bytes, no: int) -> None:
    """What an encoder wrote is read back, the values of a repeated field in order."""
    found = protobuf.fields(message(**{f"f{no}": value, f"f{no}_again": data}))
    assert found == {no: [value, data]}


def test_fixed_width() -> None:
    """Fields of 4 and 8 bytes are passed over."""
    body = varint(3 << 3 | 5) + b"abcd" + varint(4 << 3 | 1) + b"12345678" + message(f5=1)
    assert protobuf.integer(protobuf.fields(body), 5) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x08", "bad_protobuf"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "bad_protobuf"),
        (b"\x00\x01", "bad_protobuf"),
        (b"\x0b\x0c", "bad_protobuf"),
        (b"\x0a\x05abc", "bad_protobuf"),
        (b"\x0d\x00\x00", "bad_protobuf"),
        (b"\x08\x01" * 1_025, "too_large"),
    ],
)
def test_malformed(body: bytes, reason: str) -> None:
    """A cut, endless, unnumbered, grouped or crowded message is refused with a reason."""
    with pytest.raises(UnreadableError) as caught:
        protobuf.fields(body)
    assert caught.value.reason == reason


def test_wrong_types() -> None:
    """A number where a text is due, a text where a number is due, and text that is no UTF-8 are refused."""
    found = protobuf.fields(message(f1=1, f2=b"\xff"))
    for read, no in ((protobuf.string, 1), (protobuf.integer, 2), (protobuf.string, 2), (protobuf.nested, 2)):
        with pytest.raises(UnreadableError, match="bad_protobuf"):
            read(found, no)


@given(st.binary(max_size=400))
def test_total(body: bytes) -> None:
    """Arbitrary bytes are a message or are refused, and nothing else happens."""
    try:
        assert sum(map(len, protobuf.fields(body).values())) <= protobuf.FIELDS_MAX
    except UnreadableError as error:
        assert error.reason == "bad_protobuf"  # noqa: PT017  both outcomes are right


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_cut_vector(at: int, junk: bytes) -> None:
    """The recorded payload with bytes replaced is read or refused."""
    body = b64decode(INTERACT_PB)
    broken = body[:at] + junk + body[at + len(junk) :]
    try:
        protobuf.fields(broken)
    except UnreadableError as error:
        assert error.reason == "bad_protobuf"  # noqa: PT017  both outcomes are right


@pytest.mark.parametrize(("value", "reason"), [("A" * 90_000, "too_large"), ("é", "bad_base64"), (7, "bad_base64")])
def test_payload(value: object, reason: str) -> None:
    """A payload that is too long or no base64 is refused before it is decoded."""
    with pytest.raises(UnreadableError, match=reason):
        protobuf.payload(value)


def test_too_many_gifts() -> None:
    """A payload with more gifts than anybody sends at once is refused."""
    gifts = message(**{f"f10_{no}": b"" for no in range(33)})
    with pytest.raises(UnreadableError, match="too_large"):
        protobuf.send_gift(b64encode(gifts).decode())
