"""``voicestream state``: what the stores of running workers hold."""

import json
from http.client import HTTPException
from typing import Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import urlopen

import typer

from voicestream.errors import VoicestreamError
from voicestream.settings import settings

TIMEOUT_S = 10.0

Url = Annotated[
    str | None, typer.Option("--url", help="Any worker of the stage; without it, what VOICESTREAM_QUERY_PORT says.")
]

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def group() -> None:
    """Ask running workers what their stores hold."""


@app.command()
def get(
    store: Annotated[str, typer.Argument(help="STAGE-NAME of the store.")],
    key: Annotated[str, typer.Argument(help="The key, such as a call_id.")],
    url: Url = None,
) -> None:
    """Print the value of a key as JSON, whichever worker holds it."""
    answer = _ask(url, f"/{quote(store, safe='')}/{quote(key, safe='')}")
    typer.echo(json.dumps(answer["value"], indent=2, ensure_ascii=False))


@app.command()
def keys(
    store: Annotated[str, typer.Argument(help="STAGE-NAME of the store.")],
    url: Url = None,
    prefix: Annotated[str, typer.Option(help="How the keys begin.")] = "",
    limit: Annotated[int, typer.Option(help="The most keys of a worker.", min=1)] = 1_000,
) -> None:
    """Print the keys of a store, of all workers of the stage."""
    query = "?" + urlencode({"prefix": prefix, "limit": limit})
    path = f"/{quote(store, safe='')}{query}"
    workers = [worker.removesuffix("/stores") for worker in _ask(url, path)["workers"]]
    for key in sorted(key for worker in workers for key in _ask(worker, path)["keys"]):
        typer.echo(key)


@app.command("list")
def list_(url: Url = None) -> None:
    """Print the stores of a worker, with its partitions and the number of its entries."""
    for store in _ask(url, ""):
        partitions = ", ".join(map(str, store["partitions"])) or "none"
        typer.echo(f"{store['store']}: {store['entries']} entries; partitions {partitions}")


def _ask(url: str | None, path: str) -> Any:
    where = url or _configured()
    try:
        with urlopen(f"{where.rstrip('/')}/stores{path}", timeout=TIMEOUT_S) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            reason = json.loads(error.read() or b"{}").get("error", error.reason)
        raise VoicestreamError(str(reason)) from error
    except (URLError, HTTPException, TimeoutError, ValueError) as error:
        raise VoicestreamError(
            f"no worker answers queries at {where}: {error}. Workers do with VOICESTREAM_QUERY_PORT; give the "
            "address of one with --url http://host:port"
        ) from error


def _configured() -> str:
    config = settings()
    if not config.query_port:
        raise VoicestreamError("which worker? Give its address with --url http://host:port, or VOICESTREAM_QUERY_PORT")
    return f"http://{config.query_host}:{config.query_port}"
