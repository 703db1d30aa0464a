"""What the fake server says: the same for the same request, so that a run can be repeated. Pure."""

import re
from collections.abc import Sequence
from email.message import Message
from functools import lru_cache

import numpy as np

from services.contract.tts import AIR_RATE
from services.runtime.sound import write_wav
from services.runtime.words import is_cjk

MARK = re.compile(r"\bturn (\d+)", re.IGNORECASE)
"""What makes a request one of a turn: "turn 17" in its text."""
TRANSCRIPT = "This is turn {number}."
"""{number}: how many clips were heard so far; {seconds}: the length of this one."""
LETTER_MS, WIDE_MS, PAUSE_MS = 65, 180, 60
STREAMED = 0xFFFFFFFF
"""What servers that do not know the length yet write as a WAV file's sizes."""
_TOKEN = re.compile(r"\s*[A-Za-z0-9']+|\s*\S")


def mark(text: str) -> str:
    """The last mark in a text; '' if there is none."""
    return next(reversed(MARK.findall(text)), "")


def answer(ask: str, system: str = "") -> str:
    """Three sentences, each with the mark of the question in it, none of which is spoken in parts; in quotes where the system message asks for quotes."""
    number = mark(ask) or 0
    said = f"Turn {number} it is. This is the second sentence of turn {number}. Here ends turn {number}."
    if any(map(is_cjk, ask)):
        said = f"现在是 turn {number}。这是 turn {number} 的第二句话。最后一句还是 turn {number}。"
    return f'"{said}"' if "quote" in system or "引号" in system else said


def tokens(text: str) -> list[str]:
    """The text in tokens: words, and single signs of what is written without spaces."""
    return _TOKEN.findall(text)


def transcript(template: str, number: int, seconds: float) -> str:
    """What was heard in that clip."""
    return template.replace("{number}", str(number)).replace("{seconds}", f"{seconds:.1f}")


def speech(text: str, speed: float = 1.0) -> bytes:
    """A rising and falling sound for each letter, silence for everything else: s16le mono at `AIR_RATE`."""
    parts = [_letter(sign, speed) if sign.isalnum() else bytes(_samples(PAUSE_MS, speed) * 2) for sign in text]
    return b"".join(parts)


@lru_cache(maxsize=4_096)
def _letter(sign: str, speed: float) -> bytes:
    count = _samples(WIDE_MS if is_cjk(sign) else LETTER_MS, speed)
    phase = 2 * np.pi * (110 + 6 * (ord(sign) % 32)) * np.arange(count) / AIR_RATE
    wave = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase)
    swell = np.sin(np.pi * np.arange(count) / count)
    return np.rint(wave * swell * 0.2 * 32_767).astype("<i2").tobytes()


def _samples(ms: float, speed: float) -> int:
    return round(AIR_RATE * ms / 1_000 / speed)


def streamed_wav(pcm: bytes, rate: int) -> bytes:
    """A WAV file as it is written by who does not know its length yet."""
    whole = write_wav(pcm, rate)
    unknown = STREAMED.to_bytes(4, "little")
    return whole[:4] + unknown + whole[8:40] + unknown + whole[44:]


def form(body: bytes, content_type: str) -> dict[str, bytes]:
    """The fields of a multipart/form-data body, files as their bytes; {} for what is none."""
    boundary = _of(content_type, "boundary")
    if not boundary:
        return {}
    parts = body.split(b"--" + boundary.encode("latin-1", "replace"))[1:-1]
    fields = (part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in parts)
    return {_name(head): value.removesuffix(b"\r\n") for head, _, value in fields}


def _name(head: bytes) -> str:
    lines: Sequence[str] = head.decode("utf-8", "replace").split("\r\n")
    placed = next((line for line in lines if line.lower().startswith("content-disposition:")), "")
    return _of(placed.partition(":")[2].strip(), "name")


def _of(header: str, name: str) -> str:
    """A parameter of a header's value."""
    message = Message()
    message["content-type"] = header.replace("\n", " ").replace("\r", " ")
    return str(message.get_param(name, "", header="content-type"))
