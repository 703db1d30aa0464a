"""What asr says: what was heard."""

from services.contract.message import Message


class Transcribed(Message):
    """Text of an utterance; a later one of the same utterance replaces it until `final`."""

    utterance: str
    text: str
    final: bool
    language: str = ""
    engine: str = ""
    speaker: str = ""
    """Empty: not verified. `rejected`: not the enrolled one."""
