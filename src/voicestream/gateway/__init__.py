"""The way in: calls over WebSocket become records; the way out: the live feed and the dashboard."""

from voicestream.gateway.app import create_app
from voicestream.gateway.server import GatewayServer, run

__all__ = ["GatewayServer", "create_app", "run"]
