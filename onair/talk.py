"""`onair talk`: a conversation with the persona: lines, clips or a voice go in, sentences and their sound come out."""

import json
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onair import player, server
from onair.answer import Done, Piece, Stream
from onair.devices import INSTALL
from onair.drive import DONE, drive, say, tame, tell
from onair.player import Player
from onair.say import locate
from onair.server import Server
from services.contract.failure import Code, Failure
from services.runtime.words import whole

OK = 200
NOBODY = "None"
"""What the server says of a clip whose speaker it does not know."""
PROMPT = "you> "
UNSPOKEN = 'nothing of this was spoken: only what stands in "quotes" is; let --system ask for them'


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for."""

    server: str = ""
    token: str = ""
    data: Path | None = None
    system: str = ""
    """A text, or @FILE."""
    wavs: Sequence[Path] = ()
    save: Path | None = None
    lang: str = ""
    mute: bool = False
    mic: bool = False
    voice: str = ""
    persona: str = ""


class Sounds:
    """Where the sound of sentences goes: files, the player, both, or nowhere."""

    def __init__(self, folder: Path, player: Player | None, *, told: bool) -> None:
        self._folder = folder
        self._player = player
        self._told = told
        self._turn = max((int(file.stem[:3]) for file in folder.glob("[0-9][0-9][0-9]-*.wav")), default=0)
        self._index = 0
        self._complained = False

    def begin(self) -> None:
        """A new answer: what is left of the one before is not heard any more."""
        self.close()
        self._turn, self._index = self._turn + 1, 0

    def take(self, piece: Piece) -> None:
        """Keep and play a sentence."""
        self._index += 1
        if not piece.wav or not (self._told or self._player):
            return
        file = self._folder / f"{self._turn:03}-{self._index:02}.wav"
        file.write_bytes(piece.wav)
        if self._told:
            tell(f"  {file}")
        if self._player:
            self._player.play(file)

    def wait(self) -> None:
        """Return when everything was heard."""
        if self._player:
            self._player.wait()

    def close(self) -> None:
        """Silence; a player that failed is told once."""
        if self._player:
            self._player.stop()
            if self._player.problem and not self._complained:
                self._complained = True
                tell(f"sound is not played: {self._player.problem}; --save DIR keeps it")


class Conversation:
    """A history that is kept here: the server keeps none."""

    def __init__(self, server: Server, system: str, sounds: Sounds, lang: str = "") -> None:
        self._server = server
        self._sounds = sounds
        self._lang = lang
        self.history: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []

    def turn(self, text: str) -> None:
        """Say something and print the answer's sentences as they come; raises Failure, the history is unchanged then."""
        asked = [*self.history, {"role": "user", "content": text}]
        self._sounds.begin()
        answer, pieces = self._answer(asked)
        if answer and not pieces:
            say(tame(answer))
            tell(UNSPOKEN)
        elif not answer and not pieces:
            tell("no answer came; the server's log says why")
            return
        self.history = [*asked, {"role": "assistant", "content": answer}]

    def _answer(self, messages: list[dict[str, str]]) -> tuple[str, int]:
        """The whole raw answer, and how many sentences were spoken."""
        stream, pieces = Stream(), 0
        with self._server.open() as client, client.stream("POST", "/api/chat", json={"msg": messages}) as response:
            if response.status_code != OK:
                raise server.refusal(response.status_code, response.read(), self._server.url)
            for chunk in response.iter_bytes():
                for event in stream.feed(chunk):
                    if isinstance(event, Done):
                        return event.text, pieces
                    pieces += 1
                    say(tame(event.text))
                    self._sounds.take(event)
        raise Failure(Code.ENGINE_BROKEN, f"the answer of {self._server.url} broke off; try again", retryable=True)

    def hear(self, file: Path) -> str:
        """What is said in a WAV; '' if nothing is, or if the speaker is not the enrolled one."""
        try:
            data = urlsafe_b64encode(file.read_bytes()).decode()
        except OSError as error:
            raise Failure(Code.NOT_FOUND, f"cannot read {file} ({error.strerror}); name another file") from error
        asked = {"language": self._lang} if self._lang else {}
        with self._server.open() as client:
            answer = client.post("/api/asr", params=asked, json={"data": data})
        if answer.status_code != OK:
            raise server.refusal(answer.status_code, answer.content, self._server.url)
        try:
            text: object = json.loads(answer.content)
        except (ValueError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise Failure(Code.ENGINE_BROKEN, f"{self._server.url} answered what is no text; is it an OnAir gateway?")
        return "" if text == NOBODY else text


def talk(wanted: Wanted) -> int:
    """Hold the conversation; 0 when there is nothing more to say."""
    if wanted.mic:
        return _call(wanted)
    if wanted.voice or wanted.persona:
        raise Failure(Code.BAD_INPUT, "--voice and --persona are for a call: add --mic, or leave them out")
    found = locate(wanted.server, wanted.token, wanted.data)
    system = system_of(wanted.system)
    tell(f"talking to {found.url}")
    with tempfile.TemporaryDirectory(prefix="onair-talk-") as folder:
        sounds = _sounds(wanted, Path(folder))
        conversation = Conversation(found, system, sounds, wanted.lang)
        try:
            if wanted.wavs:
                _clips(conversation, sounds, wanted.wavs)
            elif sys.stdin.isatty():
                _dialogue(conversation, input, "" if system else opening(found))
            else:
                _turns(conversation, sounds, sys.stdin)
        finally:
            sounds.close()
    return DONE


def _call(wanted: Wanted) -> int:
    """Speak; raises Failure where this machine or the server has not what that needs."""
    if wanted.wavs or wanted.save or wanted.mute:
        raise Failure(Code.BAD_INPUT, "--mic goes without --wav, --save and --mute; leave out one or the other")
    config = {
        "onair": True,
        "interrupt": True,
        "opening": True,
        "audio": "stream",
        "language": wanted.lang,
        "speaker": wanted.voice,
        "persona": wanted.persona,
        "prompt": system_of(wanted.system),
    }
    # Late, because typed talk needs no WebSocket.
    try:
        from onair.calling import call  # noqa: PLC0415  see above
    except ImportError as error:
        raise Failure(Code.ENGINE_MISSING, f"--mic needs the package {error.name}: {INSTALL}") from error
    found = locate(wanted.server, wanted.token, wanted.data)
    return drive(call(found, {key: value for key, value in config.items() if value}), on_term=DONE)


def system_of(text: str) -> str:
    """The system message: the text, or what stands in the file behind an `@`; raises Failure(NOT_FOUND)."""
    if not text.startswith("@"):
        return whole(text)
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Code.NOT_FOUND, f"cannot read {text[1:]} as a text ({error}); name another file") from error


def _sounds(wanted: Wanted, folder: Path) -> Sounds:
    """Say once what becomes of the sound."""
    plays = None
    if not wanted.mute:
        if argv := player.program():
            plays = Player(argv)
        elif not wanted.save:
            tell("no sound: this machine has no player (aplay, paplay, afplay or ffplay); --save DIR keeps it")
    if wanted.save:
        try:
            wanted.save.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(Code.BAD_INPUT, f"--save {wanted.save}: no such folder can be made ({error})") from error
    return Sounds(wanted.save or folder, plays, told=wanted.save is not None)


def _clips(conversation: Conversation, sounds: Sounds, files: Sequence[Path]) -> None:
    for file in files:
        text = conversation.hear(file)
        tell(f"you: {tame(text) or f'(nothing that could be understood in {file})'}")
        if text:
            conversation.turn(text)
            sounds.wait()


def _turns(conversation: Conversation, sounds: Sounds, lines: Iterable[str]) -> None:
    """Each line that says something is a turn; raises Failure(BAD_INPUT) for what is no text."""
    try:
        for line in lines:
            if text := whole(line).strip():
                tell(f"you: {tame(text)}")
                conversation.turn(text)
                sounds.wait()
    except UnicodeDecodeError as error:
        raise Failure(Code.BAD_INPUT, "standard input is not UTF-8 text") from error


def opening(found: Server) -> str:
    """What has the server's persona speak first; '' where it waits. Raises Failure where there is no server."""
    with found.open() as client:
        answer = client.get("/api/call")
        menu: Any = answer.json() if answer.status_code == OK else {}
    try:
        return next((str(each["opens"]) for each in menu["personas"] if each["name"] == menu["persona"]), "")
    except (LookupError, TypeError):
        return ""  # a server of another version: its persona waits


def _dialogue(conversation: Conversation, ask: Callable[[str], str], first: str) -> None:
    """Turn by turn with a person; a turn that fails is told, and the conversation goes on."""
    tell("type a line and Enter; Ctrl-D ends")
    text = first
    while True:
        if text:
            try:
                conversation.turn(text)
            except Failure as failure:
                tell(f"onair: {failure.sentence}")
        try:
            text = whole(ask(PROMPT)).strip()
        except EOFError:
            tell("")
            return
