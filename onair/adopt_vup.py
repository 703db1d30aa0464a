"""GPT-vup's config.ini, `[edge-tss]` spelled as it is there. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from onair.draft import PERSONA, ROOM, Draft, Known, Left, Tree, prefer, start

SECTIONS = ("openai", "room", "edge-tss", "edge-tts", "other")
DEFAULT_VOICE = "zh-CN-XiaoyiNeural"
KEY = re.compile(r"[\x21-\x7e]+")
"""Characters that a key can have: an example's `sk-…` has others."""
SECRET_WORDS = ("key", "token", "secret", "password", "cookie", "sessdata", "jct", "buvid")
PROXIES = ("http", "https", "socks5", "socks5h")
SPOKEN = {"voice", "rate", "volume"}

Ini = Mapping[str, Mapping[str, str]]


def gpt_vup(ini: Ini, known: Known) -> Draft:
    """A host with that voice, that room, that key, that proxy."""
    speech = {**ini.get("edge-tss", {}), **ini.get("edge-tts", {})}
    draft = start("GPT-vup", speech.get("voice") or DEFAULT_VOICE)
    _openai(draft, ini.get("openai", {}))
    _room(draft, ini.get("room", {}), known)
    options: Tree = {name: speech[name] for name in sorted(SPOKEN) if speech.get(name)}
    if options:
        prefer(draft, "[edge-tss]", "edge", {"voice": DEFAULT_VOICE, **options}, known)
    _other(draft, ini.get("other", {}))
    _rest(draft, ini)
    return draft


def _openai(draft: Draft, section: Mapping[str, str]) -> None:
    draft.config["engines"] = {"llm": {"openai": {"model": "gpt-4o-mini"}}}
    if not (key := section.get("api_key", "")):
        return
    if KEY.fullmatch(key):
        draft.env["OPENAI_API_KEY"] = key
    else:
        draft.left.append(Left("[openai] api_key", "it is no key (a placeholder?); set OPENAI_API_KEY in .env"))


def _room(draft: Draft, section: Mapping[str, str], known: Known) -> None:
    if not (number := section.get("id", "")):
        return
    if not (number.isascii() and number.isdecimal()):
        draft.left.append(Left("[room] id", "it is no number of a Bilibili room", {"room": {"id": number}}))
        return
    source: Tree = {"bilibili": {"room": int(number[:18])}}
    room: Tree = {"persona": PERSONA, "sources": [source if "bilibili" in known.sources else {"api": {}}]}
    draft.config["rooms"] = {ROOM: room}
    if "bilibili" not in known.sources:
        why = "the source bilibili is not in this version; until then the room takes what is posted to it (api)"
        draft.left.append(Left("[room] id", why, {"rooms": {ROOM: {"sources": [source]}}}))


def _other(draft: Draft, section: Mapping[str, str]) -> None:
    if section.get("debug", "").lower() in {"true", "1", "yes", "on"}:
        draft.env["ONAIR_DEBUG"] = "1"
    if not (proxy := section.get("proxy", "")):
        return
    url = proxy if "://" in proxy else f"http://{proxy}"
    if problem := _proxy_problem(url):
        draft.left.append(Left("[other] proxy", problem, secret=proxy))
    else:
        draft.config["network"] = {"proxy": url}


def _proxy_problem(url: str) -> str:
    """Why this proxy is not written; '' if it is."""
    parts = urlsplit("")
    try:
        parts = urlsplit(url)
        whole = bool(KEY.fullmatch(url) and parts.scheme in PROXIES and parts.hostname and parts.port)
    except ValueError:
        whole = False
    if not whole:
        return "it is no address as 127.0.0.1:7890; write network.proxy: http://host:port"
    return "it carries a password, which no onair.yaml shall; write network.proxy by hand" if parts.username else ""


def _rest(draft: Draft, ini: Ini) -> None:
    """Name every key that has no place."""
    taken = {
        "openai": {"api_key"},
        "room": {"id"},
        "edge-tss": SPOKEN,
        "edge-tts": SPOKEN,
        "other": {"debug", "proxy"},
    }
    for section, keys in ini.items():
        for name in keys.keys() - taken.get(section, set()):
            draft.left.append(unknown(f"[{section}] {name}", keys[name]))


def unknown(what: str, value: str) -> Left:
    """A key that OnAir has no place for; its value is kept where it does no harm."""
    why = "OnAir has no setting for it"
    if any(word in what.lower() for word in SECRET_WORDS):
        return Left(what, why, secret=value)
    return Left(what, why, {what: value} if value else None)
