"""What the machine says: the environment and `.env`. The only file of the command line that reads them."""

import os
from collections.abc import Mapping
from pathlib import Path

from services.contract.failure import Code, Failure

DOT_ENV = Path(".env")


def machine() -> dict[str, str]:
    """The environment; what it leaves out comes from `.env` in this folder. Raises Failure(BAD_CONFIG) for a bad line."""
    try:
        text = DOT_ENV.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Code.BAD_CONFIG, f"cannot read {DOT_ENV}: {error}") from error
    return {**parse(text), **os.environ}


def parse(text: str) -> dict[str, str]:
    """The variables of a `.env`: NAME=value lines, `#` comments, values in quotes if they have spaces at an end.

    Raises Failure(BAD_CONFIG) which names the line.
    """
    found: dict[str, str] = {}
    for no, line in enumerate(text.splitlines(), 1):
        bare = line.strip().removeprefix("export ")
        if not bare or bare.startswith("#"):
            continue
        name, equals, value = bare.partition("=")
        if not equals or not name.strip().isidentifier():
            raise Failure(Code.BAD_CONFIG, f"{DOT_ENV}:{no}: this is no NAME=value; comments begin with #")
        found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def of_service(
    given: Mapping[str, str], *, work: str, lives: tuple[str, ...], config: Path, data: Path, debug: bool
) -> dict[str, str]:
    """The environment of a service: the machine's, with its brokers, configuration and folder named outright."""
    ours = {
        "WORK_REDIS_URL": work,
        "LIVE_REDIS_URLS": ",".join(lives),
        "ONAIR_CONFIG": str(config),
        "ONAIR_DATA": str(data),
        "PYTHONUNBUFFERED": "1",
    }
    return {**given, **ours, **({"ONAIR_DEBUG": "1"} if debug else {})}
