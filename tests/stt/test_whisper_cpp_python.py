"""What is particular to the engine whisper-cpp-python."""

import struct
from pathlib import Path

import pytest

from voicestream.errors import SttError
from voicestream.stt.engine import load_engine

pytest.importorskip("whisper_cpp_python", reason="the engine whisper-cpp-python is not installed")


def test_a_quantised_file_is_refused_before_the_library_aborts(tiny_en: Path, tmp_path: Path) -> None:
    content = bytearray(tiny_en.read_bytes())
    content[44:48] = struct.pack("<i", 1007)  # the type of the file: q8_0, quantised by version 1
    path = tmp_path / "ggml-tiny.en-q8_0.bin"
    path.write_bytes(content)
    with pytest.raises(SttError, match=rf"{path} is quantised.*take the float16 file, or the engine whisper\.cpp"):
        load_engine("whisper-cpp-python", str(path), capacity=1)
