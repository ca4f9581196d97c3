"""``voicestream settings``: every setting with its value, its source and its meaning."""

import os
import re
from pathlib import Path

from dotenv import dotenv_values
from rich.console import Console
from rich.table import Table

from voicestream.settings import Settings
from voicestream.settings import settings as read_settings

SECRETS = ("api_keys",)
PASSWORD = re.compile(r"(?<=:)[^:/@]+(?=@)")


def settings() -> None:
    """Print every setting: its name, its value (secrets are hidden), where the value is from, and what it means."""
    prefix = str(Settings.model_config["env_prefix"])
    in_file = dotenv_values(".env") if Path(".env").exists() else {}
    table = Table(header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("source", no_wrap=True)
    table.add_column("meaning", overflow="fold")
    values = read_settings()
    for field, info in Settings.model_fields.items():
        name = f"{prefix}{field}".upper()
        source = "environment" if name in os.environ else ".env" if name in in_file else "default"
        table.add_row(name, shown(field, getattr(values, field)), source, info.description or "")
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)


def shown(field: str, value: object) -> str:
    """The value as text, without what nobody should read over a shoulder."""
    if value is None:
        return "none"
    if field in SECRETS:
        return "(hidden)" if value else "none"
    return PASSWORD.sub("(hidden)", str(value))
