"""pocketsphinx in a process of its own: `python -m services.asr.adapters.sphinx '{"samprate": 16000}'`.

It holds Python's lock for as long as it works, which is seconds for a long utterance: in the process that attends calls
nobody would listen meanwhile. It answers each order on its standard input with one line, and ends with it.
"""

import json
import re
import signal
import struct
import sys
from typing import Any, cast

import pocketsphinx

HEAD = struct.Struct("<cII")
"""Before the sound of each order: what to do, the number of the order, the length of the sound in bytes."""
LOAD, WHOLE, BEGIN, MORE = b"L", b"W", b"B", b"M"
_NOISE = re.compile(r"\s*(<\w+>|\[\w+\]|\+\+\w+\+\+)\s*")
_sphinx = cast("Any", pocketsphinx)


class Ear:
    """One decoder and the utterance that it is in."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._decoder: Any = None
        self._inside = False

    def answer(self, order: bytes, pcm: bytes) -> str:
        """The words that are known now; raises what pocketsphinx raises."""
        if self._decoder is None:
            self._decoder = _sphinx.Decoder(loglevel="FATAL", **self._options)
        if order in {WHOLE, BEGIN}:
            self._end()
            self._decoder.start_utt()
            self._inside = True
        if pcm:
            self._decoder.process_raw(pcm, no_search=False, full_utt=order == WHOLE)
        if order == WHOLE:
            self._end()
        best = self._decoder.hyp() if order != LOAD else None
        return _NOISE.sub(" ", best.hypstr).strip() if best else ""

    def _end(self) -> None:
        if self._inside:
            self._decoder.end_utt()
        self._inside = False


def main() -> None:
    """Until nobody orders any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for who orders
    ear, orders = Ear(json.loads(sys.argv[1])), sys.stdin.buffer
    while len(head := orders.read(HEAD.size)) == HEAD.size:
        order, number, size = cast("tuple[bytes, int, int]", HEAD.unpack(head))
        pcm = orders.read(size)
        try:
            told = {"text": ear.answer(order, pcm)}
        except (RuntimeError, ValueError, OSError) as error:
            told = {"error": str(error)}
        sys.stdout.write(f"{json.dumps({'number': number, **told})}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
