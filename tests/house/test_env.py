""".env.example names every variable that is read, and can be used as it is."""

import ast
import re
from itertools import pairwise
from pathlib import Path

from onair.environment import parse
from services.asr.settings import read as asr
from services.gateway.settings import read as gateway
from services.runtime.settings import HEALTH_PORTS, common
from services.tts.settings import read as tts

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / ".env.example").read_text(encoding="utf-8")
NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
READERS = {"get", "number", "ports", "secret", "flag", "networks"}
IN_COMPOSE = re.compile(r"\$\{([A-Z][A-Z0-9_]+)")


def read() -> set[str]:
    """Every variable that a settings.py asks for by name, or that compose takes from the machine."""
    found = {f"{service.upper()}_HEALTH_PORT" for service in HEALTH_PORTS}
    for path in (ROOT / "services").rglob("settings.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in READERS:
                texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                found.update(text for text in texts if isinstance(text, str) and NAME.fullmatch(text))
    for path in ROOT.glob("docker-compose*.yml"):
        found |= {name for name in IN_COMPOSE.findall(path.read_text(encoding="utf-8")) if not name.endswith("_FILE")}
    return found


def named() -> set[str]:
    """Every variable of the example, also those whose line is a comment."""
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", TEXT, re.MULTILINE))


def test_every_variable_is_named() -> None:
    """What is read stands in the example, and nothing else does."""
    assert read() == named()
    assert len(named()) > 15


def test_each_variable_has_its_sentence() -> None:
    """Above each variable, or the group that it begins, a comment says what it does."""
    lines = TEXT.splitlines()
    bare = [
        line
        for before, line in pairwise(lines)
        if re.match(r"#?[A-Z][A-Z0-9_]+=", line) and not re.match(r"# \S|#?[A-Z]+_HEALTH_|HEALTH_HOST", before)
    ]
    assert bare == []


def test_it_changes_nothing() -> None:
    """Copied as it is, it gives the defaults."""
    given = {**parse(TEXT), "ONAIR_CONFIG": str(ROOT / "onair.yaml")}
    plain = {"ONAIR_CONFIG": str(ROOT / "onair.yaml")}
    assert common("asr", given) == common("asr", plain)
    assert (asr(given), tts(given), gateway(given)) == (asr(plain), tts(plain), gateway(plain))
