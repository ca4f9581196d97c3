"""The gateway as a FastAPI application: addresses and what answers there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response, WebSocket, WebSocketException
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from voicestream.gateway.auth import same_origin
from voicestream.gateway.gateway import Gateway
from voicestream.gateway.raw import RawCall
from voicestream.gateway.twilio import TwilioStream
from voicestream.settings import Settings

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings) -> FastAPI:
    """The application; it connects to the broker when it is started. ``app.state.gateway`` is the ``Gateway``."""
    gateway = Gateway(settings)
    registry = CollectorRegistry()
    registry.register(gateway.stats)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await gateway.start()
        try:
            yield
        finally:
            await gateway.stop()

    app = FastAPI(title="voicestream gateway", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.gateway = gateway
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    def key(request: Request) -> None:
        if not gateway.keys.admit_request(request.headers, request.query_params):
            raise HTTPException(401, "send a key: Authorization: Bearer KEY, or ?api_key=KEY")

    with_key = Annotated[None, Depends(key)]

    def no_foreign_page(socket: WebSocket) -> None:
        if not gateway.keys.required and not same_origin(socket.headers):
            raise WebSocketException(1008, "a page of another site may not connect where no key is asked for")

    no_foreigners = [Depends(no_foreign_page)]

    @app.websocket("/v1/twilio", dependencies=no_foreigners)
    async def twilio(socket: WebSocket) -> None:
        await TwilioStream(socket, gateway.keys, gateway.sessions, gateway.producer, gateway.stats).serve()

    @app.websocket("/v1/calls/{call_id:path}", dependencies=no_foreigners)
    async def raw(socket: WebSocket, call_id: str) -> None:
        await RawCall(socket, call_id, gateway.keys, gateway.sessions, gateway.producer, gateway.stats).serve()

    @app.websocket("/v1/feed", dependencies=no_foreigners)
    async def feed(socket: WebSocket) -> None:
        await gateway.feed.serve(socket, gateway.keys)

    @app.get("/v1/calls")
    async def calls(_: with_key) -> dict[str, Any]:
        return {"calls": gateway.calls()}

    @app.get("/v1/calls/{call_id}")
    async def call(call_id: str, _: with_key) -> dict[str, Any]:
        known = gateway.call(call_id)
        if known is None:
            raise HTTPException(404, f"no call {call_id!r} is in progress here or has lately ended")
        return known

    @app.get("/v1/stats")
    async def stats(_: with_key) -> dict[str, Any]:
        return gateway.figures()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        reason = gateway.not_ready()
        return JSONResponse({"ready": reason is None, "reason": reason}, 200 if reason is None else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/")
    async def dashboard() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    return app
