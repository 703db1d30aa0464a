"""Budgets and places, read from the sources."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.contract import streams
from services.contract.message import Message

ROOT = Path(__file__).parents[2]
SERVICES = ("asr", "llm", "tts", "gateway", "ingest", "avatar")
FILE_LINES, FUNCTION_LINES, MEDIAN_LINES = 300, 40, 10
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[Function]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize(
    "path", sources("services", "onair", "bench", "scripts"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    """At most 300 lines a file and 40 a function; a module says in one line what it is."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= FILE_LINES
    assert {f.name: length(f) for f in functions(path) if length(f) > FUNCTION_LINES} == {}
    assert ast.get_docstring(ast.parse(text)), "a module begins with a docstring"


def test_the_typical_function_is_short() -> None:
    """The median function of the product has at most ten lines."""
    lengths = [length(node) for path in sources("services", "onair") for node in functions(path)]
    assert statistics.median(lengths) <= MEDIAN_LINES


def test_every_test_says_the_fact_it_shows() -> None:
    """A test's docstring is the fact; without one nobody knows what broke."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources("tests")
        for node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_each_service_has_the_same_shape() -> None:
    """A stranger who knows one service knows six."""
    for service in SERVICES:
        folder = ROOT / "services" / service
        for part in ("__init__.py", "__main__.py", "app.py", "settings.py", "core/ports.py", "adapters/scripted.py"):
            assert (folder / part).is_file() or (service, part) == ("gateway", "adapters/scripted.py"), (
                f"{service}/{part}"
            )


def test_the_environment_is_read_by_settings_alone() -> None:
    """`os.environ` stands in settings.py and in __main__.py, which hands it on; nowhere else."""
    readers = [
        str(path.relative_to(ROOT))
        for path in sources("services")
        if "environ" in path.read_text(encoding="utf-8") and re.search(r"os\.(environ|getenv)", path.read_text("utf-8"))
    ]
    assert {Path(reader).name for reader in readers} <= {"settings.py", "__main__.py"}


def test_coroutines_stay_out_of_core() -> None:
    """`async def` in core stands only in ports.py: a rule that waits for nothing can be tested as a plain function."""
    waiting = [
        str(path.relative_to(ROOT))
        for service in SERVICES
        for path in sources(f"services/{service}/core")
        if path.name != "ports.py" and any(isinstance(node, ast.AsyncFunctionDef) for node in functions(path))
    ]
    assert waiting == []


def test_a_service_reads_what_the_map_says() -> None:
    """Each work stream's duty is attached by the service whose name is its group, with the message of the map."""
    names = {
        "TURNS": streams.TURNS,
        "SPEAK_CALL": streams.SPEAK_CALL,
        "SPEAK_SHOW": streams.SPEAK_SHOW,
        "LISTEN": streams.LISTEN,
        "CALLS": streams.CALLS,
        "JOINS": streams.JOINS,
    }
    for name, stream in names.items():
        code = "".join(path.read_text(encoding="utf-8") for path in sources(f"services/{stream.group}"))
        assert f"streams.{name}" in code or f"import {name}" in code or name in code, f"{stream.group} reads {name}"
        assert stream.message in code
        assert stream.message in Message.types


def test_nobody_writes_a_key_that_is_not_on_the_map() -> None:
    """Keys are made by `contract.streams`; no service spells one out."""
    heads = "|".join(key.pattern.partition("<")[0] for key in streams.KEYS)
    spelled = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in sources("services", "onair")
        if path.parent.name != "contract" and path.name != "work.py"  # whose values begin like a key
        for match in re.finditer(rf"""f?["'](?:{heads})\{{""", path.read_text(encoding="utf-8"))
    ]
    assert spelled == []


def test_imports_obey_the_layers() -> None:
    """lint-imports finds no broken contract."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of a machine, no registry's host (the lock's public ones excepted), no secret in what git tracks."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    words = re.compile(r"/work/(?:main|shared)|/root/|sk-[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY")
    found: list[str] = []
    for name in tracked:
        path = ROOT / name
        if not name or path.suffix in {".gz", ".wav", ".png"} or path == Path(__file__) or not path.is_file():
            continue
        found += [
            f"{name}: {match.group()}" for match in words.finditer(path.read_text(encoding="utf-8", errors="replace"))
        ]
    assert found == []
