"""Stages of voicestream, one module each: ``faust -A agents.NAME worker``."""
