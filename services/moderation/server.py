"""The web application: classification, the chat's WebSockets, the moderators' desk, and the pages.

What people see always comes from Kafka: a message is shown, to its author too, when it was read from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from models.runtime import Model
from services.moderation.access import COOKIE, SESSION_SECONDS, Caller, Guard, Keys, holder_of
from services.moderation.chat import MAX_ID, MAX_NAME, Message, now
from services.moderation.forms import (
    Asked,
    KeyGiven,
    MessageShown,
    ModelShown,
    ModelsShown,
    MuteGiven,
    Problem,
    Queue,
    Result,
    Results,
    Session,
    Standing,
    Status,
    UserShown,
    VerdictGiven,
)
from services.moderation.service import Service
from services.moderation.sockets import Connection
from services.moderation.talk import Talk
from settings import settings

PAGE = FilePath(__file__).parent / "page"
MAX_QUEUE = 500


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _caller(request: Request) -> Caller:
    caller: Caller | None = request.state.caller
    if caller is None:
        raise HTTPException(401, "Give an API key.")
    return caller


def _moderator(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    if not caller.is_moderator:
        raise HTTPException(403, "This needs a moderator's key.")
    return caller


The = Annotated[Service, Depends(_service)]
Who = Annotated[Caller, Depends(_caller)]
AModerator = Annotated[Caller, Depends(_moderator)]
UserName = Annotated[str, Path(min_length=1, max_length=MAX_NAME)]
MessageId = Annotated[str, Path(min_length=1, max_length=MAX_ID)]


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in (400, 408, 413, 421, 422, 429, *statuses)}


# The guard looks for the keys; these tell of them in the OpenAPI document.
_keys = [
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False)),
    Depends(HTTPBearer(auto_error=False)),
]
open_routes = APIRouter()
session_routes = APIRouter(prefix="/v1/session", tags=["session"], responses=_problems(401, 403))
api = APIRouter(prefix="/v1", dependencies=_keys, responses=_problems(401, 403))


@open_routes.get("/", include_in_schema=False)
async def chat_page() -> FileResponse:
    """The chat."""
    return FileResponse(PAGE / "index.html", media_type="text/html")


@open_routes.get("/moderator", include_in_schema=False)
async def moderator_page() -> FileResponse:
    """The moderators' desk."""
    return FileResponse(PAGE / "moderator.html", media_type="text/html")


@open_routes.get("/healthz", tags=["operation"])
async def alive() -> Status:
    """Whether this process answers."""
    return Status()


@open_routes.get("/readyz", tags=["operation"], responses={503: {"model": Problem}})
async def ready(the: The) -> Status:
    """Whether the history is read and Kafka answers."""
    if not the.reader.has_history:
        raise HTTPException(503, "The history is not read yet.")
    if not the.is_ready:
        raise HTTPException(503, "Kafka does not answer.")
    return Status()


@open_routes.get("/metrics", tags=["operation"], response_class=Response)
async def metrics(the: The) -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(the.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


@session_routes.post("")
async def begin_session(the: The, request: Request, given: KeyGiven, response: Response) -> Session:
    """Begin a session of a page by an API key: a cookie that scripts cannot read, and other sites do not send."""
    caller = the.keys.of_key(given.key) if the.keys else Caller("moderator", True)
    if caller is None:
        raise HTTPException(401, "This key is not known.")
    if the.keys:
        response.set_cookie(
            COOKIE,
            the.keys.session(caller),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return Session(name=caller.name, is_moderator=caller.is_moderator, keys_are_on=bool(the.keys))


@session_routes.get("")
async def whose_session(the: The, caller: Who) -> Session:
    """Who asks."""
    return Session(name=caller.name, is_moderator=caller.is_moderator, keys_are_on=bool(the.keys))


@session_routes.delete("")
async def end_session(response: Response) -> Status:
    """Forget the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return Status()


@api.post("/classify", tags=["models"])
async def classify(the: The, asked: Asked) -> Results:
    """Scores texts and judges them by the policy in force, each by itself: repeats and floods are not seen here."""
    texts = [asked.text] if asked.text is not None else asked.texts or []
    policy = the.chat.champion(now())
    judged = await the.judge(texts, asked.room or "", policy)
    for each in judged:
        the.metrics.classified.labels(each.decision).inc()
    return Results(
        results=[
            Result(
                scores=each.probabilities,
                label=each.cyberbullying,
                sentiment=each.sentiment,
                language=each.language,
                decision=each.decision,
                reasons=each.reasons,
                ngrams=each.ngrams,
                unscored_reason=each.unscored_reason,
            )
            for each in judged
        ],
        model_version=the.moderator.version,
        policy_version=policy.version,
    )


@api.get("/models", tags=["models"])
async def models(the: The) -> ModelsShown:
    """The models, the policy in force, and what runs in shadow."""
    shadow = the.chat.policy(now(), "shadow")
    return ModelsShown(
        models=[
            ModelShown(name=each.name, version=each.version, labels=list(each.labels), languages=list(each.languages))
            for each in the.models.values()
        ],
        model_version=the.moderator.version,
        policy_version=the.chat.champion(now()).version,
        shadow_models=settings().moderation_challenger or None,
        shadow_policy_version=shadow.version if shadow else None,
    )


@api.get("/queue", tags=["moderators"])
async def queue(
    the: The,
    _: AModerator,
    state: Literal["flagged", "held", "sampled", "unscored"] = "flagged",
    room: Annotated[str | None, Query(max_length=MAX_NAME)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_QUEUE)] = 100,
) -> Queue:
    """The messages that wait for a moderator, the newest first."""
    chosen = room or None
    return Queue(
        messages=[_shown(the, each) for each in the.chat.queue(state, chosen, limit)],
        counts=the.chat.counts(chosen),
        rooms=the.chat.rooms_waiting(),
    )


@api.get("/messages/{message_id}", tags=["moderators"], responses=_problems(404))
async def message(the: The, _: AModerator, message_id: MessageId) -> MessageShown:
    """A message with all that is known of it."""
    return _shown(the, _message(the, message_id))


@api.post("/verdicts", tags=["moderators"], responses=_problems(404, 409, 503))
async def give_verdict(the: The, moderator: AModerator, given: VerdictGiven) -> MessageShown:
    """Uphold or overturn what was decided of a message; the answer is the message as it is then.

    A verdict that holds already is not written again. While one is being written, others of this message are refused.
    """
    found = _message(the, given.message_id)
    verdict = the.chat.verdict_of(found)
    if verdict is None or verdict["verdict"] != given.verdict:
        if not (decision := the.chat.decision_of(found)):
            raise HTTPException(409, "This message is not decided yet: there is nothing to uphold or to overturn.")
        if found.message_id in the.judging:
            raise HTTPException(409, "A verdict on this message is being written: look at it again.")
        the.judging.add(found.message_id)
        try:
            await the.feedback(
                {
                    "kind": "verdict",
                    "verdict": given.verdict,
                    "message_id": found.message_id,
                    "room": found.room,
                    "user_name": found.user_name,
                    "moderator": moderator.name,
                    "message_time": found.server_time,
                    "decision": decision["decision"],
                    "strike_points": decision.get("strike_points"),
                    "is_sampled": the.chat.is_for_review(found),
                }
            )
        finally:
            the.judging.discard(found.message_id)
    return _shown(the, found)


@api.post("/users/{user_name:path}/mute", tags=["moderators"], responses=_problems(404, 503))
async def mute(the: The, moderator: AModerator, user_name: UserName, given: MuteGiven) -> Standing:
    """From now on the user may not write for so many minutes."""
    await the.feedback({"kind": "mute", "user_name": user_name, "moderator": moderator.name, "minutes": given.minutes})
    return Standing(user_name=user_name, **the.chat.standing(user_name, now()))


@api.delete("/users/{user_name:path}/mute", tags=["moderators"], responses=_problems(404, 503))
async def unmute(the: The, moderator: AModerator, user_name: UserName) -> Standing:
    """The user may write again."""
    await the.feedback({"kind": "unmute", "user_name": user_name, "moderator": moderator.name})
    return Standing(user_name=user_name, **the.chat.standing(user_name, now()))


@api.get("/users/{user_name:path}", tags=["moderators"], responses=_problems(404))
async def user(the: The, _: AModerator, user_name: UserName) -> UserShown:
    """A user's last messages, strikes and mute."""
    found = the.chat.users.get(user_name)
    if found is None:
        raise HTTPException(404, "Nobody of this name has written within the time that is kept.")
    return UserShown(
        user_name=user_name,
        **the.chat.standing(user_name, now()),
        messages=[_shown(the, each) for each in reversed(found.messages)],
        verdicts=list(reversed(found.verdicts)),
    )


@open_routes.websocket("/ws")
async def talk(websocket: WebSocket) -> None:
    """The chat."""
    the: Service = websocket.app.state.service
    if not the.reader.has_history:
        await websocket.send_denial_response(JSONResponse({"detail": "The history is not read yet."}, 503))
        return
    caller: Caller = websocket.state.caller
    connection = Connection(websocket, is_moderator=bool(the.keys) and caller.is_moderator)
    try:
        await connection.serve(Talk(the, connection, holder_of(websocket.scope)).take, caller.ends)
    finally:
        the.sockets.leave(connection)


@open_routes.websocket("/ws/moderator")
async def desk(websocket: WebSocket) -> None:
    """What changes in the moderators' queues."""
    the: Service = websocket.app.state.service
    caller: Caller = websocket.state.caller
    if not caller.is_moderator:
        await websocket.send_denial_response(JSONResponse({"detail": "This needs a moderator's key."}, 403))
        return
    if not the.reader.has_history:
        await websocket.send_denial_response(JSONResponse({"detail": "The history is not read yet."}, 503))
        return
    connection = Connection(websocket, is_moderator=True)
    connection.put({"type": "counts", "counts": the.chat.counts()})
    the.sockets.open_desk(connection)

    async def take(_said: Any) -> None:
        connection.refuse({"type": "error", "code": "bad_request", "detail": "Nothing is taken here: use the API."})

    try:
        await connection.serve(take, caller.ends)
    finally:
        the.sockets.close_desk(connection)


def _message(the: Service, message_id: str) -> Message:
    found = the.chat.messages.get(message_id)
    if found is None:
        raise HTTPException(404, "There is no such message within the time that is kept.")
    return found


def _shown(the: Service, message: Message) -> MessageShown:
    return MessageShown(**the.chat.detail(message))


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request, without repeating it."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    sentences = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found]
    detail = "; ".join(sentences).encode("utf-8", "replace").decode()
    return JSONResponse({"detail": f"{detail}."}, 422)


def application(models: Mapping[str, Model], keys: Keys) -> FastAPI:
    """The web application with these models and keys. Raises ValueError for a policy that cannot be read."""
    service = Service(models, keys)
    app = FastAPI(
        title="Crowdpulse moderation",
        description="Judges texts, and a live chat's messages. Flags are aids to people.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=service.running,
        exception_handlers={RequestValidationError: _invalid},
    )
    app.state.service = service
    app.add_middleware(
        Guard,
        keys=keys,
        buckets=service.buckets,
        max_body_bytes=settings().moderation_max_body_bytes,
        answered=lambda path, status: service.metrics.requests.labels(path, str(status)).inc(),
        refused=lambda reason: service.metrics.refused.labels(reason).inc(),
    )
    for router in (open_routes, session_routes, api):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=PAGE))
    return app
