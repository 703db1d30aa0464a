"""The English partner over HTTP: `/ping`, `/session`, `/message`, `/reply`, `/transcribe`, `/audio/{name}`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from services.contract.failure import Code, Failure
from services.gateway.api.guard import visit
from services.gateway.api.http import body_of, plain, take, unless_left
from services.gateway.api.lesson import lessons
from services.gateway.api.teacher import Teacher
from services.gateway.core import english
from services.gateway.core.access import Rules, only_for, student
from services.gateway.core.caps import Slots
from services.gateway.core.english import compact
from services.runtime.clock import now_ms

Fields = Mapping[str, object]
JSON = "application/json; charset=utf-8"
MULTIPART = "multipart/form-data"
ID = {"type": "integer", "minimum": 1}
ANY_ID = {"type": "integer", "description": "≤ 0: a new one"}
TEXT = {"type": "string"}
WAV = {"type": "string", "format": "binary", "description": "a complete WAV file"}
REPLY = {"type": "object", "properties": {"user_id": ID, "session_id": ID, "msg": TEXT}}
UPLOAD = {
    "type": "object",
    "properties": {"audio": WAV, "user_id": ID, "session_id": ANY_ID},
    "required": ["audio", "user_id"],
}


def router(teacher: Teacher, rules: Rules) -> APIRouter:
    """The routes, with the WebSocket of `lesson`."""
    routes = APIRouter(tags=["spoken English"])
    desk = Desk(teacher, rules)
    _add(routes, "GET", "/ping", desk.ping)
    _add(routes, "GET", "/session", desk.sessions, _query(user_id=ID))
    _add(routes, "GET", "/message", desk.messages, _query(user_id=ID, session_id=ID))
    _add(routes, "POST", "/reply", desk.reply, _body("application/json", REPLY))
    _add(routes, "POST", "/transcribe", desk.transcribe, _body(MULTIPART, UPLOAD))
    name = {"name": "name", "in": "path", "required": True, "schema": TEXT}
    _add(routes, "GET", "/audio/{name:path}", desk.audio, {"parameters": [name]})
    lessons(routes, teacher, rules)
    return routes


def _add(
    routes: APIRouter,
    method: str,
    path: str,
    answer: Callable[[Request], Awaitable[Response]],
    extra: dict[str, Any] | None = None,
) -> None:
    """A route whose refusals are in the protocol's shape: 400 and the reason as plain text."""

    async def asked(request: Request) -> Response:
        try:
            return await answer(request)
        except Failure as failure:
            return plain(failure)

    asked.__doc__ = answer.__doc__
    refusal = {400: {"description": "The reason", "content": {"text/plain": {"schema": TEXT}}}}
    routes.add_api_route(
        path,
        asked,
        methods=[method],
        name=path.split("/")[1],
        response_model=None,
        responses=cast("Any", refusal),
        openapi_extra=extra,
    )


def _query(**schemas: dict[str, Any]) -> dict[str, Any]:
    known = [{"name": name, "in": "query", "required": True, "schema": schema} for name, schema in schemas.items()]
    return {"parameters": known}


def _body(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}}


class Desk:
    """Where the routes' requests are answered. Everything that is refused is raised as Failure."""

    def __init__(self, teacher: Teacher, rules: Rules) -> None:
        self._teacher = teacher
        self._rules = rules
        self._uploads = Slots(teacher.caps.lessons)

    async def ping(self, request: Request) -> Response:
        """Whether anybody is there."""
        del request
        return Response(compact({"message": "pong"}), media_type=JSON)

    async def sessions(self, request: Request) -> Response:
        """The user's sessions, by their beginning."""
        user = self._user(request, request.query_params)
        found = await self._teacher.rows.sessions(user, self._teacher.caps.told_rows)
        return Response(compact({"sessions": found}), media_type=JSON)

    async def messages(self, request: Request) -> Response:
        """The messages of one of the user's sessions; none of what is not his."""
        user, session = self._user(request, request.query_params), english.session_of(request.query_params)
        rows = await self._teacher.rows.rows(user, session, self._teacher.caps.told_rows)
        return Response(compact({"messages": [english.counted(row) for row in rows]}), media_type=JSON)

    async def reply(self, request: Request) -> Response:
        """What the teacher says to a text. What was said last is not written down again: /transcribe has done it."""
        teacher, caps = self._teacher, self._teacher.caps
        given = await fields(request, await body_of(request, caps.form_bytes, caps.body_ms))
        user, wanted = self._user(request, given), english.session_of(given)
        ask = english.message_of(given, caps.ask)
        session = await teacher.rows.claim(user, wanted, now_ms())
        last = await teacher.rows.rows(user, session, 1)
        if not (last and last[0].user and last[0].said == ask):
            await teacher.note(user, session, ask)
        told = await unless_left(request.receive, teacher.answer(user, session, ask))
        if told.problem and not told.text:
            raise Failure(Code.ENGINE_BROKEN, told.problem)
        row = await teacher.written(session, told)
        return Response(compact({"message": english.counted(row)}), media_type=JSON)

    async def transcribe(self, request: Request) -> Response:
        """Recognise a recording and write it down; the user's row."""
        take(self._uploads, "uploads")
        try:
            return await self._transcribed(request)
        finally:
            self._uploads.give()

    async def _transcribed(self, request: Request) -> Response:
        teacher, caps = self._teacher, self._teacher.caps
        given = await fields(request, await body_of(request, caps.utterance_bytes + caps.form_bytes, caps.utterance_ms))
        user, wanted = self._user(request, given), english.any_session_of(given, absent=True)
        if not isinstance(recording := given.get("audio"), bytes):
            raise Failure(Code.BAD_INPUT, "audio is missing: send a complete WAV as a file of multipart/form-data")
        wav = await teacher.recording(recording)
        await teacher.may(user, wanted)
        text = await unless_left(request.receive, teacher.heard(wav))
        row = await teacher.note(user, await teacher.rows.claim(user, wanted, now_ms()), text, wav)
        return Response(english.dated(row), media_type=JSON)

    async def audio(self, request: Request) -> Response:
        """A recording, as long as it is kept."""
        name, who = str(request.path_params["name"]), student(visit(request.scope), self._rules)
        his = not who or name == english.SILENCE
        known = english.is_recording(name) and (his or await self._teacher.rows.heard_by(name) == who)
        if not known or (wav := await self._teacher.tapes.read(name)) is None:
            raise Failure(Code.NOT_FOUND, "there is no such recording, or it is not kept any more")
        return Response(wav, media_type="audio/wav", headers={"x-content-type-options": "nosniff"})

    def _user(self, request: Request, given: Fields) -> int:
        """Who asks; raises Failure UNAUTHORIZED if he is somebody else."""
        user = english.user_of(given)
        only_for(user, visit(request.scope), self._rules)
        return user


async def fields(request: Request, body: bytes) -> dict[str, object]:
    """What the query says, and above it the body: JSON, a form, a multipart form. Raises Failure BAD_INPUT."""
    kind = request.headers.get("content-type", "")
    form = kind.partition(";")[0].strip().lower() == MULTIPART
    return {**request.query_params, **(await parts(request.headers, body) if form else english.fields(kind, body))}


async def parts(headers: Headers, body: bytes) -> dict[str, object]:
    """Parts of a multipart form: texts, and files as bytes, which never reach the disk."""

    async def whole() -> AsyncGenerator[bytes]:
        yield body

    parser = MultiPartParser(headers, whole(), max_files=1, max_fields=english.MOST_FIELDS, max_part_size=len(body))
    parser.spool_max_size = len(body) + 1
    try:
        found = await parser.parse()
    except (MultiPartException, ValueError) as error:
        raise Failure(Code.BAD_INPUT, f"the form cannot be read: {error}") from error
    try:
        return {name: await value.read() if isinstance(value, UploadFile) else value for name, value in found.items()}
    finally:
        await found.close()
