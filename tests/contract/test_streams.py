"""The map of keys: each has one line, one broker, and a name that nobody else has."""

import pytest

from services.contract import streams
from services.contract.message import Message

SERVICES = {"asr", "llm", "tts", "ingest", "gateway", "avatar", "onair"}


def test_calls_are_spoken_from_a_stream_of_their_own() -> None:
    """Calls and chats go before shows, in each pool."""
    assert streams.speak("espeak", "call") == streams.speak("espeak", "chat") == "speak:espeak:call"
    assert streams.speak("gpt_sovits@alice", "room") == "speak:gpt_sovits@alice:show"


def test_a_stream_without_pools_is_its_name() -> None:
    """Only `<pool>` is filled in."""
    assert (streams.TURNS.key(), streams.LISTEN.key("x")) == ("turns", "listen")


def test_a_conversation_has_a_session_of_its_own() -> None:
    """Its name has a sign that ids of calls and names of rooms cannot have."""
    assert streams.conversation("c70ed8f4") == "daily:c70ed8f4"


def test_a_key_is_its_head_and_a_name() -> None:
    """Whatever the name holds."""
    assert streams.SESSION.of("room:1") == "session:room:1"
    assert streams.SEEN.of("main:bilibili:super_chat:1") == "seen:main:bilibili:super_chat:1"


@pytest.mark.parametrize("key", streams.KEYS, ids=lambda key: key.pattern)
def test_a_key_has_writers_and_readers_that_exist(key: streams.Key) -> None:
    """Each line names services, and a broker."""
    assert set(key.writers) | set(key.readers) <= SERVICES
    assert key.writers
    assert key.readers
    assert key.pattern.endswith(">")
    assert key.broker in {"work", "live"}


@pytest.mark.parametrize("stream", streams.WORK_STREAMS, ids=lambda stream: stream.name)
def test_a_work_stream_carries_a_message_of_the_contract(stream: streams.Stream) -> None:
    """Its message, its group and its writers exist."""
    importable = {kind.__name__ for kind in Message.__subclasses__()}
    assert stream.message in importable
    assert {stream.group, *stream.writers} <= SERVICES


def test_no_two_keys_share_a_name() -> None:
    """The head of each key, and each stream, is its own."""
    heads = [key.of("") for key in streams.KEYS]
    names = [stream.name.partition(":")[0] + stream.name.rpartition(":")[2] for stream in streams.WORK_STREAMS]
    keys = [streams.AUDIT, streams.TAVUS, streams.WORKERS, streams.CRON, streams.CRON_TERM]
    others = [streams.DEAD, streams.SILENCE, streams.INTERRUPTS, *keys]
    assert len(set(heads + names + others)) == len(heads + names + others)
