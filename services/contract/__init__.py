"""What the services say to each other: messages, keys and failures. Not a service.

Whoever imports one message knows them all: a reader of a session meets every kind.
"""

from services.contract import asr, avatar, failure, gateway, ingest, llm, message, streams, tts

__all__ = ["asr", "avatar", "failure", "gateway", "ingest", "llm", "message", "streams", "tts"]
