"""MoeChat's config.yaml: values may be empty, `LLM.api` is the full URL of the chat completions. Pure."""

import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from onair.adopt_vup import KEY, unknown
from onair.draft import VOICE, Draft, Known, Left, Tree, prefer, start
from services.runtime.words import whole

KEYS = ("Core", "LLM", "GSV", "extra_ref_audio")
_ENDING = re.compile(r"/(?:chat/)?completions/*$", re.IGNORECASE)
_INT = re.compile(r"-?[0-9]{1,9}")
SPEECH = ("text_lang", "GPT_weight", "SoVITS_weight", "seed", "top_k", "batch_size")
"""Options of the engine that keep their names, in lower case."""
REFERENCE = {"ref_audio_path": "audio", "prompt_text": "text", "prompt_lang": "language"}
TAKEN = {
    "Core": {"sv"},
    "LLM": {"api", "key", "model"},
    "GSV": {*SPEECH, *REFERENCE, "aux_ref_audio_paths"},
}


def moechat(tree: Mapping[str, object], known: Known) -> Draft:
    """A persona that speaks what stands in quotes, with that model, that voice and its clips by emotion."""
    speech = _section(tree, "GSV")
    draft = start("MoeChat", _text(speech.get("text_lang")) or "zh", quoted=True)
    _llm(draft, _section(tree, "LLM"))
    _voice(draft, speech, known)
    _references(draft, tree.get("extra_ref_audio"))
    if verification := _section(_section(tree, "Core"), "sv"):
        why = "speakers are not told apart in this version; everybody is heard"
        draft.left.append(Left("Core.sv", why, {"Core.sv": {name: _text(verification[name]) for name in verification}}))
    for name, value in tree.items():
        if name not in KEYS:
            draft.left.append(unknown(name, _text(value)))
    for section, taken in TAKEN.items():
        found = _section(tree, section)
        draft.left += [unknown(f"{section}.{name}", _text(found[name])) for name in found if name not in taken]
    return draft


def _llm(draft: Draft, section: Mapping[str, object]) -> None:
    api, key, model = (_text(section.get(name)) for name in ("api", "key", "model"))
    if KEY.fullmatch(key):
        draft.env["OPENAI_API_KEY"] = key
    elif key:
        draft.left.append(Left("LLM.key", "it is no key (a placeholder?); set OPENAI_API_KEY in .env"))
    options: Tree = {}
    if api:
        _address(draft, api, options)
    if not model:
        why = "without the model's name the scripted persona answers; set engines.llm.openai.model"
        draft.left.append(Left("LLM.model", why, {"engines": {"llm": {"openai": {**options, "model": "…"}}}}))
        draft.config["engines"] = {"llm": {"scripted": {}}}
        return
    draft.config["engines"] = {"llm": {"openai": {**options, "model": model}}}


def _address(draft: Draft, api: str, options: Tree) -> None:
    """The URL up to `/chat/completions`; one that may carry a secret goes to the .env."""
    url = api if "://" in api else f"http://{api}"
    parts = urlsplit("")
    try:
        parts = urlsplit(url)
        good = bool(KEY.fullmatch(url) and parts.scheme in {"http", "https"} and parts.hostname)
    except ValueError:
        good = False
    if not good:
        draft.left.append(Left("LLM.api", "it is no http:// address; set engines.llm.openai.base_url", secret=api))
        return
    if parts.query or parts.fragment or "@" in parts.netloc:
        why = "its user or query may be a secret; put what of it is needed into OPENAI_BASE_URL in .env"
        draft.left.append(Left("LLM.api", why, secret=api))
        return
    options["base_url"] = _ENDING.sub("", url).rstrip("/")


def _voice(draft: Draft, section: Mapping[str, object], known: Known) -> None:
    options: Tree = {name.lower(): _plain(_text(section.get(name))) for name in SPEECH if _text(section.get(name))}
    if "text_lang" in options:
        options["text_lang"] = str(options["text_lang"]).lower()
    clip = {ours: _text(section.get(theirs)) for theirs, ours in REFERENCE.items()}
    if clip["audio"]:
        options["reference"] = {name: value for name, value in clip.items() if value}
    more = section.get("aux_ref_audio_paths")
    if paths := [
        text for each in cast("list[object]", more if isinstance(more, list) else []) if (text := _text(each))
    ]:
        options["more_references"] = paths
    if options:
        prefer(draft, "GSV", "gpt_sovits", options, known)


def _references(draft: Draft, found: object) -> None:
    """Emotion → clip and its text."""
    references: dict[str, dict[str, str]] = {}
    for name, value in _section({"": found}, "").items():
        texts = [_text(each) for each in cast("list[object]", value)] if isinstance(value, list) else []
        audio, text = [*texts, "", ""][:2]
        if name and audio:
            references[name] = {"audio": audio, "text": text}
        else:
            draft.left.append(
                Left(f"extra_ref_audio.{name}", "it names no clip; write its path and its text as a list")
            )
    if references:
        draft.config["voices"][VOICE]["references"] = references


def _section(tree: Mapping[str, object], name: str) -> Mapping[str, object]:
    """The mapping of that name; empty for anything else."""
    found = tree.get(name)
    if not isinstance(found, dict):
        return {}
    return {whole(key): value for key, value in cast("dict[Any, object]", found).items() if isinstance(key, str)}


def _text(value: object) -> str:
    """A scalar in one line; '' for anything else."""
    return " ".join(whole(value).split()) if isinstance(value, str) else ""


def _plain(text: str) -> int | str:
    return int(text) if _INT.fullmatch(text) else text
