"""Where the servers are: `grpc://HOST[:PORT][,HOST[:PORT]...]`, each name looked up for all of its addresses."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from voicestream.errors import SttError

DEFAULT_PORT: Final = 50051


@dataclass(frozen=True, slots=True)
class Host:
    """A name, or an IP address, and a port."""

    name: str
    port: int

    def __str__(self) -> str:
        return _joined(self.name, self.port)


def hosts_of(url: str) -> list[Host]:
    """The hosts of a URL of the engine `grpc`; the port is 50051 where none is given. Raises SttError."""
    hosts = []
    for part in url.removeprefix("grpc://").removesuffix("/").split(","):
        try:
            parts = urlsplit(f"//{part.strip().removeprefix('dns:///')}")
            port = parts.port or DEFAULT_PORT
        except ValueError:
            parts = None
        if parts is None or not parts.hostname or parts.path or parts.query or parts.username is not None:
            raise SttError(f"{url!r} is no address of servers: write grpc://HOST:PORT, or several with commas between")
        hosts.append(Host(parts.hostname, port))
    return list(dict.fromkeys(hosts))


async def addresses_of(host: Host) -> list[str]:
    """Every address of a host, as IP and port; the IPv4 ones where there are any. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM)
    # Of a host with both, an IPv6 address is no second server.
    family = min((family for family, *_ in found), key=[socket.AF_INET, socket.AF_INET6].index)
    return sorted({_joined(str(place[0]), host.port) for kind, *_, place in found if kind == family})


def _joined(name: str, port: int) -> str:
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
