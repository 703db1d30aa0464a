"""The search for secrets finds each of them in each spelling, and only them."""

import base64
import gzip
import json
import os
import random
import zlib
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.security.canaries import NAMES, Canary, Search, unpacked

DICE = random.Random(7)
CANARIES = [Canary.made(name, DICE, sign) for name in NAMES for sign in ("", "/+@")]


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.value)
def test_every_spelling_is_found(canary: Canary) -> None:
    """As it is, in a URL, cut short at either end, reversed, as hex, as base64 whatever stands before it, packed."""
    value = canary.value.encode()
    ways = [
        value, quote(canary.value, safe="").encode(), value[:12], value[-12:], value[::-1], value.hex().encode(),
        *(base64.b64encode(b"user:"[:length] + value + b"after") for length in range(5)),
        base64.urlsafe_b64encode(value), zlib.compress(value), gzip.compress(value), base64.b64encode(zlib.compress(value)),
    ]  # fmt: skip
    for way in ways:
        search = Search([canary])
        search.look("here", way if way[:1] in b"x\x1feH" else b"before " + way + b" after")
        assert [*search.leaks] == [(canary.name, "here")], way


def test_nothing_else_is_found() -> None:
    """Other canaries, and megabytes by chance, are no leak."""
    search = Search(CANARIES[:6])
    search.look("others", json.dumps([canary.value for canary in CANARIES[6:]]).encode())
    search.look("chance", random.Random(8).randbytes(2 << 20))
    search.look("text", "".join(random.Random(9).choices("abcdefghijklmnopqrstuvwxyz", k=1 << 20)).encode())
    assert (search.leaks, search.places) == ({}, {"others", "chance", "text"})
    assert search.size > 3 << 20


def test_a_folder_and_its_names(tmp_path: Path) -> None:
    """Every file, however deep, and what it is called."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "log").write_text(f"said {CANARIES[0].value}")
    (tmp_path / f"run-{CANARIES[2].value}").write_text("")
    search = Search(CANARIES)
    search.folder(tmp_path)
    assert {name for name, _ in search.leaks} == {CANARIES[0].name, CANARIES[2].name}


def test_the_command_lines_of_all_processes() -> None:
    """This test's own, among others, and what it was started with is found in it."""
    word = Path(f"/proc/{os.getpid()}/cmdline").read_bytes().split(b"\0")[1].decode()
    search = Search([Canary("word", word, (word, word))])
    assert search.processes() > 1
    assert [*search.leaks] == [("word", "the command line of a process")]


def test_a_bomb_of_layers_ends() -> None:
    """What is packed again and again is looked into so far and no further."""
    data = b"x"
    for _ in range(10):
        data = zlib.compress(data)
    assert len([*unpacked(data)]) == 4
