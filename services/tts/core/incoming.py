"""Sound as a server sends it: raw samples, or a WAV file whose header was written before its length was known."""

import struct
from typing import Final

from services.contract.tts import AIR_RATE
from services.runtime.sound import BadSoundError, read_wav, to_mono

SNIFFED: Final = 16
"""Bytes that tell sound from text."""
HEAD_BYTES: Final = 1 << 16
"""A WAV file's sound begins before that."""
ENDLESS: Final = 0x7FFF_0000
"""A `data` size from here on (0xFFFFFFFF, 0x7FFFFFFF less a header, …) is none: the writer did not know it yet. So is 0."""
_CHUNK = struct.Struct("<4sI")
_TEXT = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\r\n")
_COMPRESSED = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC"}


class Incoming:
    """Feed it a body's bytes in pieces of any size; it gives mono s16le at `rate`, which is known once there is sound.

    A WAV file says itself what it is, raw samples are taken for 24 kHz. Raises `BadSoundError` for text, for compressed
    sound, and at the end for a WAV file of which a part is missing. Half a raw sample is passed on: it is for others to judge.
    """

    def __init__(self) -> None:
        self.rate = AIR_RATE
        self._held = b""
        self._raw = False
        self._head = b""
        """Of a WAV file: everything before its sound, with an unknown length."""
        self._frame = 0
        self._left: int | None = None
        """Bytes of sound that a WAV file still promises; None: it does not say."""

    def feed(self, data: bytes) -> bytes:
        """The samples that are ready."""
        if self._raw:
            return data
        self._held += data
        if not self._head and (len(self._held) < SNIFFED or not self._begun()):
            return b""
        return self._take()

    def close(self) -> bytes:
        """The last samples; raises `BadSoundError` if they cannot be all."""
        rest = b"" if self._raw or self._head or not self._held else self._end_of_little()
        if self._left:
            raise BadSoundError(f"the last {self._left} bytes of its WAV file are missing")
        return rest

    def _end_of_little(self) -> bytes:
        """A body that was over before it was known what it is."""
        if not self._begun():
            raise BadSoundError("its WAV file has no sound in it")
        return self._take()

    def _begun(self) -> bool:
        """Find out what it is; False while the head of a WAV file is not complete."""
        held = self._held
        if held[:4] == b"RIFF":
            return self._opened()
        if found := next((name for magic, name in _COMPRESSED.items() if held.startswith(magic)), ""):
            raise BadSoundError(f"it is {found}, not raw samples or WAV")
        if all(byte in _TEXT for byte in held[:SNIFFED]):
            raise BadSoundError(f"it is text: {held.decode(errors='replace')}")
        self._raw = True
        return True

    def _opened(self) -> bool:
        """Read the head of a WAV file, if it is all there."""
        at, bits = 12, b""
        while at + _CHUNK.size <= len(self._held):
            name, size = _CHUNK.unpack_from(self._held, at)
            at += _CHUNK.size
            if name == b"data":
                self._head = self._held[: at - 4] + bytes(4)
                wav = read_wav(self._head)
                self.rate, self._frame = wav.rate, wav.channels * ((struct.unpack_from("<H", bits, 14)[0] + 7) // 8)
                self._left = size if 0 < size < ENDLESS else None
                self._held = self._held[at:]
                return True
            bits = self._held[at : at + size] if name == b"fmt " else bits
            at += size + size % 2
        if len(self._held) > HEAD_BYTES:
            raise BadSoundError("its WAV file has no sound within the first 64 KiB")
        return False

    def _take(self) -> bytes:
        """All that is ready of what is held."""
        if self._raw:
            held, self._held = self._held, b""
            return held
        size = len(self._held) if self._left is None else min(len(self._held), self._left)
        whole = self._held[: size - size % self._frame]
        if self._left is not None:
            self._left -= len(whole)
        self._held = self._held[len(whole) :]
        wav = read_wav(self._head + whole)
        return to_mono(wav.pcm, wav.channels)
