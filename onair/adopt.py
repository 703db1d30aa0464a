"""Reads another program's configuration. Total: a draft, or a Failure with a sentence that repeats no secret. Pure."""

import configparser

import yaml

from onair.adopt_moechat import KEYS, moechat
from onair.adopt_vup import SECTIONS, gpt_vup
from onair.draft import Draft, Known
from services.contract.failure import Code, Failure

LARGEST = 1 << 20
"""Bytes of a file that is looked at."""
OURS = {"personas", "voices", "rooms", "engines", "gateway", "network", "avatar"}
BOMS = (b"\xff\xfe", b"\xfe\xff")
EXPECTED = "a GPT-vup config.ini or a MoeChat config.yaml"


def adopt(name: str, body: bytes, known: Known) -> Draft:
    """What stands in that file; raises Failure(BAD_INPUT) which names the line where there is one."""
    if len(body) > LARGEST:
        raise Failure(Code.BAD_INPUT, f"{name} is larger than any {EXPECTED}; name another file")
    text = _text(name, body)
    if name.lower().endswith(".ini") or (not name.lower().endswith((".yaml", ".yml")) and _looks_ini(text)):
        return _from_ini(name, text, known)
    return _from_yaml(name, text, known)


def _text(name: str, body: bytes) -> str:
    """UTF-8, or what Windows writes in China."""
    for encoding in ("utf-16",) if body.startswith(BOMS) else ("utf-8-sig", "gb18030"):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Failure(Code.BAD_INPUT, f"{name} is no text in UTF-8 or GBK; name {EXPECTED}")


def _looks_ini(text: str) -> bool:
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and line[0] not in "#;"), "").startswith("[")


def _from_ini(name: str, text: str, known: Known) -> Draft:
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.MissingSectionHeaderError as error:
        raise _unread(name, error.lineno, "a line before the first [section]") from None
    except configparser.ParsingError as error:
        raise _unread(name, error.errors[0][0], "this is neither a [section] nor a key = value") from None
    except AttributeError:  # what Python's parser does with an indented line behind a key without a value
        raise Failure(Code.BAD_INPUT, f"{name} has an indented line below a key without a value; mend it") from None
    found = {section: {key: _bare(value) for key, value in parser.items(section)} for section in parser.sections()}
    if not set(found) & set(SECTIONS):
        raise Failure(Code.BAD_INPUT, f"{name} has none of the sections {_list(SECTIONS)}; name {EXPECTED}")
    return gpt_vup(found, known)


def _bare(value: str | None) -> str:
    """The value in one line and without the quotes that some put around it."""
    text = " ".join((value or "").split())
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _from_yaml(name: str, text: str, known: Known) -> Draft:
    try:
        # Every scalar stays a text: nothing in the file can be a number, a date or an object that breaks its reader.
        found: object = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  the loader that constructs the least
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _unread(name, mark.line + 1 if mark else 1, error.problem or "this is not YAML") from None
    except (yaml.YAMLError, RecursionError):
        raise Failure(Code.BAD_INPUT, f"{name} is not YAML; name {EXPECTED}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):  # pyright: ignore[reportUnknownVariableType]  it is being found out
        raise Failure(Code.BAD_INPUT, f"{name} is no list of settings; name {EXPECTED}")
    tree: dict[str, object] = found  # pyright: ignore[reportUnknownVariableType]  its keys were looked at
    if not set(tree) & set(KEYS):
        if set(tree) & OURS:
            raise Failure(Code.BAD_INPUT, f"{name} is an onair.yaml already; `onair config check` looks at it")
        raise Failure(Code.BAD_INPUT, f"{name} has none of the keys {_list(KEYS)}; name {EXPECTED}")
    return moechat(tree, known)


def _unread(name: str, line: int, what: str) -> Failure:
    return Failure(Code.BAD_INPUT, f"{name}:{line}: {what}; correct it, or name {EXPECTED}")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
