"""What an import makes of another program's configuration: an onair.yaml, lines for a .env, and what was left out. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from onair.drive import tame
from services.runtime.words import whole

Tree = dict[str, Any]
PERSONA, VOICE, ROOM = "host", "main", "main"
ESPEAK = {
    "zh": {"voice": "cmn", "rate": 230},
    "yue": {"voice": "yue", "rate": 230},
    "en": {"voice": "en-us", "rate": 190},
    "ja": {"voice": "ja", "rate": 190},
    "ko": {"voice": "ko", "rate": 190},
}
PROMPT = {
    "zh": "你是一名正在直播的主播，温暖、真诚、有点俏皮。你的话会被直接念出来：只用口语，每次最多三句，不用列表、表情符号和格式标记。",
    "en": "You are the host of a live stream: warm, sincere, a little playful. Your words are read aloud: speak plainly, "
    "three short sentences at most, no lists, no emoji, no markup.",
}


@dataclass(frozen=True)
class Known:
    """Which sources and speaking engines this version has."""

    sources: Sequence[str]
    tts: Sequence[str]


@dataclass(frozen=True)
class Left:
    """Something that was not taken over."""

    what: str
    """Its name in the other file."""
    why: str
    fragment: Tree | None = None
    """What it says, as a comment of the written file; never a secret."""
    secret: str = ""
    """What it says, as a comment of the .env."""


@dataclass
class Draft:
    """The import so far."""

    origin: str
    """The program whose configuration it was."""
    config: Tree
    env: dict[str, str] = field(default_factory=dict[str, str])
    left: list[Left] = field(default_factory=list[Left])


def start(origin: str, language: str, *, quoted: bool = False) -> Draft:
    """A configuration with one persona and one voice that speaks with nothing installed."""
    code = language.lower().replace("_", "-").partition("-")[0]
    speaks = "en" if code == "en" else "zh"
    persona: Tree = {"language": speaks, **({"spoken": "quoted"} if quoted else {}), "voice": VOICE, "prompt": PROMPT}
    return Draft(
        origin,
        {
            "personas": {PERSONA: persona},
            "voices": {VOICE: {"engines": [{"espeak": dict(ESPEAK.get(code, ESPEAK["zh"]))}]}},
            "gateway": {"persona": PERSONA},
        },
    )


def prefer(draft: Draft, what: str, engine: str, options: Tree, known: Known) -> None:
    """Let the voice speak with that engine first; a comment says so where this version does not have it."""
    voice: Tree = draft.config["voices"][VOICE]
    if engine in known.tts:
        voice["engines"].insert(0, {engine: options})
        return
    why = f"the engine {engine} is not in this version; until then espeak speaks"
    draft.left.append(Left(what, why, {"voices": {VOICE: {"engines": [{engine: options}]}}}))


def render(draft: Draft) -> str:
    """The text of the onair.yaml: always valid, whatever stood in the other file."""
    head = f"# Taken over from {draft.origin} by `onair config import`. Keys and tokens stand in .env, not here.\n\n"
    text = head + _dump(draft.config)
    if draft.left:
        text += "\n# Left out, with the reason:\n"
    for each in draft.left:
        text += "#\n" + _comment(f"{each.what}: {each.why}")
        text += _comment(*("  " + line for line in _dump(each.fragment).splitlines())) if each.fragment else ""
    return text


def render_env(draft: Draft) -> str:
    """Lines for a .env; '' if there is nothing secret and nothing of the machine."""
    lines = [f'{name}="{value}"\n' for name, value in draft.env.items()]
    lines += [_comment(f"{each.what} = {each.secret}") for each in draft.left if each.secret]
    return "".join(lines)


def _dump(data: Mapping[str, Any]) -> str:
    return whole(yaml.dump(data, Dumper=_Plain, allow_unicode=True, sort_keys=False, width=110))


def _comment(*lines: str) -> str:
    """Comment lines: nothing in them can end the comment."""
    return "".join(f"# {tame(whole(line)).rstrip()}\n" for line in lines)


class _Plain(yaml.SafeDumper):
    """Writes what stands at two places twice: a reader of a configuration shall not have to follow anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002  PyYAML's own
        """Always."""
        return True
