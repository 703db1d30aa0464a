"""The form of a work entry is FastStream's own."""

import pytest
from faststream.redis.parser.binary import BinaryMessageFormatV1

from services.contract.gateway import Interrupted
from services.contract.llm import SentenceReady
from services.contract.message import Message
from services.runtime import envelope

READY = SentenceReady(
    turn="t1",
    no=1,
    session="s1",
    epoch=0,
    index=0,
    text="你好。",
    speak="你好。",
    voice="v",
    deadline_ms=9,
    trace="a-1",
)


@pytest.mark.parametrize(
    ("message", "trace"),
    [
        (READY, "a-1"),
        (READY.model_copy(update={"trace": "小明"}), "??"),
        (READY.model_copy(update={"trace": ""}), "SentenceReady"),
        (Interrupted(epoch=1, by="client"), "Interrupted"),
    ],
)
async def test_the_bytes_are_faststreams(message: Message, trace: str) -> None:
    """Byte for byte what FastStream writes for the same body and headers; a trace that is not ASCII is made so."""
    theirs = await BinaryMessageFormatV1.encode(
        message=message.to_json(),
        reply_to=None,
        headers={"correlation_id": trace, "content-type": "application/json"},
        correlation_id=trace,
    )
    assert envelope.encode(message) == theirs


def test_faststream_reads_it() -> None:
    """Its parser finds the body and the headers."""
    body, headers = BinaryMessageFormatV1.parse(envelope.encode(READY))
    assert body == READY.to_json()
    assert headers == {"correlation_id": "a-1", "content-type": "application/json"}


def test_the_bytes_stay_as_they_are() -> None:
    """Entries of an older process are read by a newer one: the head of the golden bytes."""
    head = b"\x89BIN\r\n\x1a\n\x00\x01\x00\x00\x00\x12\x00\x00\x00I\x00\x02\x00\x0ecorrelation_id\x00\x03a-1"
    assert envelope.encode(READY).startswith(head + b"\x00\x0ccontent-type\x00\x10application/json{")


def test_the_body_comes_back() -> None:
    """`body` is the inverse of `encode`."""
    assert SentenceReady.from_json(envelope.body(envelope.encode(READY))) == READY


@pytest.mark.parametrize("data", [b"", b"{}", envelope.MAGIC, envelope.MAGIC + b"\0\1\0\0\0\0\0\0\0"])
def test_other_bytes_are_left_as_they_are(data: bytes) -> None:
    """What is not in this format is its own body."""
    assert envelope.body(data) == data
