"""What Tavus answers, as conversations and personas, or as a Failure with the remedy. Total functions of the body."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from services.contract.failure import Code, Failure
from services.gateway.core.tavus.ports import Conversation, Persona
from services.runtime.words import clip, whole

T = TypeVar("T")
SAID = 300
"""Characters of what Tavus says of a failure."""
FIELD, URL = 200, 500
"""Characters of a field that are kept."""
_MEANINGS: tuple[tuple[Callable[[int, str], bool], Code, str], ...] = (
    (
        lambda status, _: status in {401, 403},
        Code.ENGINE_MISSING,
        "refuses the key ({status}); set TAVUS_API_KEY to a valid one, or TAVUS_BASE_URL to the server that it is for",
    ),
    (
        lambda status, _: 300 <= status < 400,  # noqa: PLR2004  HTTP's own numbers, here and below
        Code.ENGINE_MISSING,
        "redirects ({status}), which is not followed; set TAVUS_BASE_URL to its end",
    ),
    (
        lambda status, said: status == 402 or "out of conversational credits" in said,  # noqa: PLR2004
        Code.BUSY,
        "wants to be paid ({status}): {why}; add credit to the account",
    ),
    (
        lambda _, said: "maximum concurrent" in said,
        Code.BUSY,
        "holds as many conversations as the account may have ({status}); end one, or raise the account's limit",
    ),
    (lambda status, _: status == 429, Code.BUSY, "gets too many requests (429); try again in a minute"),  # noqa: PLR2004
    (
        lambda status, said: status == 404 or said.startswith("invalid conversation_id"),  # noqa: PLR2004
        Code.NOT_FOUND,
        "does not know it ({status}): {why}; look at the id, and at TAVUS_BASE_URL",
    ),
    (lambda status, _: status >= 500, Code.ENGINE_BROKEN, "is in trouble ({status}): {why}; try again later"),  # noqa: PLR2004
)
"""What an answer means, by its status and what it says: Tavus tells of limits and unknown ids with 400 too."""
NO_KEY = "this gateway has no key of Tavus: set TAVUS_API_KEY (or TAVUS_API_KEY_FILE) where it runs and start it again"


@dataclass(frozen=True)
class Page(Generic[T]):
    """Part of a list."""

    rows: list[T]
    total: int | None
    """Of all pages; None where Tavus does not say."""


def conversation(body: bytes) -> Conversation:
    """The conversation in an answer; raises Failure ENGINE_BROKEN."""
    return _conversation(_row(_read(body)))


def persona(body: bytes) -> Persona:
    """The persona in an answer; raises Failure ENGINE_BROKEN."""
    return _persona(_row(_read(body)))


def conversations(body: bytes) -> Page[Conversation]:
    """One page of them; raises Failure ENGINE_BROKEN."""
    return _page(body, _conversation)


def personas(body: bytes) -> Page[Persona]:
    """One page of them; raises Failure ENGINE_BROKEN."""
    return _page(body, _persona)


def refusal(status: int, body: bytes, where: str, key: str) -> Failure:
    """What an answer that is no success means; `where` names the server, the key is not repeated."""
    said = _said(body).replace(key, "***") if key else _said(body)
    why = clip(said, SAID) or "nothing that says why"
    for applies, code, sentence in _MEANINGS:
        if applies(status, said.lower()):
            again = status == 429 or status >= 500  # noqa: PLR2004  HTTP's own numbers
            return Failure(code, f"{where} {sentence.format(status=status, why=why)}", retryable=again)
    return Failure(Code.BAD_INPUT, f"{where} refuses this ({status}): {why}")


def broken(what: str) -> Failure:
    """An answer that is none of Tavus's."""
    remedy = "is TAVUS_BASE_URL right, and does it end in /v2?"
    return Failure(Code.ENGINE_BROKEN, f"what Tavus's server answered {what}; {remedy}")


def _read(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise broken("is not JSON") from error


def _row(found: object) -> Mapping[str, Any]:
    """An object; some answers have it as the only one of `data`."""
    row = _object(found)
    inner = cast("list[object]", data) if isinstance(data := row.get("data"), list) else []
    return _object(inner[0]) if len(inner) == 1 else row


def _object(found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise broken("is not an object")
    return cast("Mapping[str, Any]", found)


def _page(body: bytes, read: Callable[[Mapping[str, Any]], T]) -> Page[T]:
    found = _read(body)
    told = cast("Mapping[str, Any]", found) if isinstance(found, dict) else {"data": found}
    rows, total = told.get("data"), told.get("total_count")
    if not isinstance(rows, list):
        raise broken("is not a list")
    known = total if isinstance(total, int) and not isinstance(total, bool) else None
    return Page([read(_row(row)) for row in cast("list[object]", rows)], known)


def _conversation(row: Mapping[str, Any]) -> Conversation:
    return Conversation(
        id=_id(row, "conversation_id"),
        name=_text(row, "conversation_name"),
        status=_text(row, "status"),
        url=_text(row, "conversation_url", URL),
        persona=_text(row, "persona_id"),
        replica=_text(row, "replica_id"),
        created_at=_text(row, "created_at"),
    )


def _persona(row: Mapping[str, Any]) -> Persona:
    return Persona(
        id=_id(row, "persona_id"),
        name=_text(row, "persona_name"),
        replica=_text(row, "default_replica_id"),
        created_at=_text(row, "created_at"),
    )


def _id(row: Mapping[str, Any], name: str) -> str:
    """The id; only letters, digits, `_` and `-`, so that it can stand in a URL."""
    text = row.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= 64 or not text.isascii():  # noqa: PLR2004  as in wishes
        raise broken(f"has no {name}")
    if not text.replace("_", "").replace("-", "").isalnum():
        raise broken(f"has no {name}")
    return text


def _text(row: Mapping[str, Any], name: str, most: int = FIELD) -> str:
    value = row.get(name)
    return clip(whole(value), most) if isinstance(value, str) else ""


def _said(body: bytes) -> str:
    """`message` or `error` of an answer, on one line; '' for anything else."""
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
    said: list[object] = [fields.get("message"), fields.get("error")]
    words = " ".join(each for each in said if isinstance(each, str) and each)
    return "".join(char if char.isprintable() else " " for char in whole(words))
