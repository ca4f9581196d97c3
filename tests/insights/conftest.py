from pathlib import Path

import pytest
from insight_support import EXAMPLES

from voicestream.insights import Extractor, load_extractors
from voicestream.settings import Settings


@pytest.fixture(scope="session")
def extractors() -> list[Extractor]:
    return load_extractors(Settings(catalogue=EXAMPLES / "catalogue.yaml"))


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        path = tmp_path / "file.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write
