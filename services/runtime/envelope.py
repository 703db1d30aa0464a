"""The form of an entry on a work stream: FastStream's binary message format, version 1, written without its event loop.

A script passes the bytes on as an argument, so they are made here; a test holds them against FastStream's own.
"""

from struct import pack

from services.contract.message import Message

MAGIC = b"\x89BIN\x0d\x0a\x1a\x0a"
VERSION = 1


def encode(message: Message) -> bytes:
    """Value of the field `__data__`: magic, version, offsets, headers (ASCII only: other text breaks it), JSON body."""
    trace = str(getattr(message, "trace", "")) or message.type
    headers = {"correlation_id": trace.encode("ascii", "replace").decode(), "content-type": "application/json"}
    block = b"".join(pack(">H", len(part)) + part.encode() for pair in headers.items() for part in pair)
    start = len(MAGIC) + 2 + 8
    return MAGIC + pack(">HIIH", VERSION, start, start + 2 + len(block), len(headers)) + block + message.to_json()


def body(data: bytes) -> bytes:
    """The JSON body in the value of `__data__`; the value itself where it is not in this format."""
    if not data.startswith(MAGIC) or len(data) < len(MAGIC) + 10:
        return data
    return data[int.from_bytes(data[len(MAGIC) + 6 : len(MAGIC) + 10], "big") :]
