"""The engine `grpc`: the native server of native/, or several, by the client of client.py in a loop of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError
from typing import Any, Final, TypeVar

from voicestream.errors import SttUnavailable
from voicestream.stt.engine import Clip, Recognition

try:
    from voicestream.stt.client import SttClient
except ImportError as error:
    raise ImportError(f"{error}: install voicestream[grpc]") from error

T = TypeVar("T")

_READY_S: Final = 60.0  # a server that is started at the same time has to load its model


class GrpcClient:
    """The engine `grpc`: `grpc://HOST:PORT[,HOST:PORT...]` are the addresses of servers, which have loaded `model`.

    `capacity` is the number of clips that are sent at the same time; it says nothing of the servers. Raises SttError
    when the URL makes no sense. Whether there are servers `warm_up` and the first clip will tell.
    """

    name = "grpc"

    def __init__(self, model: str, *, capacity: int, url: str = "grpc://127.0.0.1:50051") -> None:
        self.model = model
        self.capacity = capacity
        self._client = SttClient(url, model)
        self._closing = False
        self._lock = threading.Lock()  # what is begun is known to `close`, and nothing is begun later
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stt grpc", daemon=True)
        self._thread.start()
        self._do(self._client.__aenter__())

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttUnavailable and SttError as SttClient.transcribe raises them."""
        return self._do(self._all(clips))

    def warm_up(self) -> None:
        """Wait until a server answers, a minute at most.

        Raises SttUnavailable when none does, and SttError when all of them have another model.
        """
        self._do(self._client.ready(_READY_S))

    def close(self) -> None:
        """Close the connections; a clip that is in work raises SttUnavailable."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _all(self, clips: Sequence[Clip]) -> list[Recognition]:
        tasks = [asyncio.create_task(self._client.transcribe(clip)) for clip in clips]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _end(self) -> None:
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        await self._client.__aexit__()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._closing:
                work.close()
                raise SttUnavailable("the client of speech to text is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise SttUnavailable("the client of speech to text was closed") from None
        except BaseException:
            future.cancel()  # a signal, say: nobody waits for it any more
            raise
