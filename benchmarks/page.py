"""``docs/benchmarks.md``, written section by section: each benchmark replaces its own and leaves the others."""

from pathlib import Path

PAGE = Path("docs/benchmarks.md")


def put(title: str, text: str) -> None:
    """Replace the section of that title, or add it at the end."""
    head, sections = _read()
    sections[title] = text.strip()
    _write(head, sections)


def put_head(text: str) -> None:
    """Replace what is above the first section."""
    _write(text.strip(), _read()[1])


def _read() -> tuple[str, dict[str, str]]:
    head, *parts = PAGE.read_text().split("\n## ") if PAGE.exists() else [""]
    split = (part.partition("\n") for part in parts)
    return head.strip(), {title.strip(): text.strip() for title, _, text in split}


def _write(head: str, sections: dict[str, str]) -> None:
    PAGE.write_text("\n\n".join([head, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n")
    print(f"wrote {PAGE}")
