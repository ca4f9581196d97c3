"""A client of the gateway that plays audio files as telephone calls."""

from voicestream.client.call import Call, Played, Protocol
from voicestream.client.player import play, play_all

__all__ = ["Call", "Played", "Protocol", "play", "play_all"]
