"""Who may talk to the gateway."""

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit


class ApiKeys:
    """The keys that are accepted; with none configured everybody is."""

    def __init__(self, configured: str) -> None:
        self._keys = [key.strip().encode() for key in configured.split(",") if key.strip()]

    @property
    def required(self) -> bool:
        return bool(self._keys)

    def admit(self, key: str | None) -> bool:
        """Whether ``key`` opens the gateway; takes the same time for every wrong key."""
        given = (key or "").encode()
        matches = [hmac.compare_digest(given, known) for known in self._keys]
        return any(matches) or not self._keys

    def admit_request(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether a request carries a key, as ``Authorization: Bearer`` or as ``?api_key=``."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else None
        return self.admit(bearer or query.get("api_key"))


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a WebSocket comes from a page of this gateway, or from no web page at all.

    A browser lets any page open a WebSocket to any address, a loopback one too, but says where the page came from.
    """
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
