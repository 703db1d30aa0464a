"""Failures over HTTP."""

import json

from services.contract.failure import Code, Failure
from services.gateway.core import answers


def test_every_failure_has_a_status_of_its_kind() -> None:
    """The caller's faults are 4xx, ours 5xx; nothing is answered as a success."""
    theirs = {Code.BAD_INPUT, Code.BAD_AUDIO, Code.BAD_MESSAGE, Code.TOO_LARGE, Code.UNAUTHORIZED, Code.NOT_FOUND}
    for code in Code:
        assert answers.status(code) // 100 == (4 if code in theirs else 5)


def test_a_busy_gateway_says_when_to_come_back() -> None:
    """503 carries Retry-After, 401 the scheme, others nothing."""
    assert answers.headers(Code.BUSY) == {"retry-after": "5"}
    assert answers.headers(Code.UNAUTHORIZED) == {"www-authenticate": "Bearer"}
    assert answers.headers(Code.BAD_INPUT) == {}


def test_a_failure_is_told_to_programs_and_people() -> None:
    """The body has the code and the sentence, in raw UTF-8; half a surrogate pair does not break it."""
    body = answers.body(Failure(Code.BAD_INPUT, "缺少 \ud83d"))
    assert json.loads(body) == {"code": "bad_input", "detail": "缺少 ?"}
    assert "缺少".encode() in body
