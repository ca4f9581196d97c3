"""What is particular to the engine transformers."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voicestream import weights
from voicestream.audio.codecs import Pcm
from voicestream.errors import SttError, WeightsError
from voicestream.stt.contract import check
from voicestream.stt.engine import Clip, SttEngine, load_engine


def test_without_torch_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("voicestream.stt.transformers")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SttError, match=r"'transformers' can't be imported: .*: install voicestream\[torch\]"):
        load_engine("transformers", "tiny.en", capacity=1)


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip(
        "torch", reason="the engine transformers is not installed: pip install voicestream[torch]"
    )


@pytest.fixture(scope="module")
def transformers(torch: Any) -> Any:
    return pytest.importorskip("transformers", reason="the engine transformers is not installed")


@pytest.fixture(scope="module")
def engine(transformers: Any) -> Iterator[SttEngine]:
    engine = load_engine("transformers", "tiny.en", capacity=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def saved(transformers: Any, engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.en as models of the hub are."""
    folder = tmp_path_factory.mktemp("models") / "whisper-tiny.en"
    whisper = engine._listener._whisper
    whisper.model.save_pretrained(folder)
    whisper.extractor.save_pretrained(folder)
    tokenizer = weights.pull("tiny.en-ctranslate2") / "tokenizer.json"
    transformers.PreTrainedTokenizerFast(tokenizer_file=str(tokenizer)).save_pretrained(folder)
    return folder


def test_a_model_of_the_hub_hears_what_our_weights_hear(engine: SttEngine, saved: Path, jfk: Pcm) -> None:
    clip = Clip(jfk, 16000, "en")
    loaded = load_engine("transformers", str(saved), capacity=1)
    [heard], [expected] = loaded.transcribe([clip]), engine.transcribe([clip])
    loaded.close()
    assert loaded.model == "whisper-tiny.en"
    assert heard.text == expected.text
    assert [(word.start_ms, word.end_ms) for word in heard.words] == [
        (word.start_ms, word.end_ms) for word in expected.words
    ]


def test_weights_that_are_missing_are_not_invented(transformers: Any, saved: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    for file in saved.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    tensors = load_file(broken / "model.safetensors")
    del tensors["model.decoder.layers.0.fc1.bias"]
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(SttError, match=rf"{broken} is no model .*1 of its weights are missing, .*fc1\.bias"):
        load_engine("transformers", str(broken), capacity=1)


def test_the_first_word_has_a_time_of_its_own(engine: SttEngine, jfk: Pcm) -> None:
    """transformers' own alignment leaves out the row that tells when the first token ends, and says 0."""
    [heard] = engine.transcribe([Clip(jfk[:48000], 16000, "en")])
    assert 250 <= heard.words[0].start_ms < heard.words[0].end_ms <= 800


def test_a_worker_computes_on_one_thread(torch: Any, engine: Any) -> None:
    assert engine._pool.submit(torch.get_num_threads).result() == 1


def test_languages_are_set_and_found_out_in_one_batch(transformers: Any, jfk: Pcm) -> None:
    if weights.cached("base-ctranslate2") is None:
        pytest.skip("the model base is not in the cache: voicestream models pull base-ctranslate2")
    base = load_engine("transformers", "base", capacity=1)
    unknown, german = base.transcribe([Clip(jfk[:48000], 16000), Clip(jfk[:48000], 16000, "de")])
    base.close()
    assert (unknown.language, german.language) == ("en", "de")
    assert "fellow Americans" in unknown.text
    check(german, Clip(jfk[:48000], 16000))


@pytest.mark.parametrize("name", ["hub:no/such/name", "hub:"])
def test_a_model_that_the_hub_does_not_have_is_an_error(transformers: Any, name: str) -> None:
    with pytest.raises(WeightsError, match=r"can't be had from the hub .*give the path of a folder"):
        load_engine("transformers", name, capacity=1)


@pytest.fixture
def ctc(torch: Any, transformers: Any, tmp_path: Path) -> Path:
    """A wav2vec2 of random weights."""
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text(str({letter: index for index, letter in enumerate(letters)}).replace("'", '"'))
    torch.manual_seed(1)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        conv_dim=(32,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, pad_token_id=0,
    )  # fmt: skip
    model = transformers.Wav2Vec2ForCTC(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(40)  # so that it says something
    folder = tmp_path / "wav2vec2"
    model.save_pretrained(folder)
    transformers.Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def test_a_ctc_model_has_words_with_times(ctc: Path, jfk: Pcm) -> None:
    engine = load_engine("transformers", str(ctc), capacity=2)
    clips = [Clip(jfk, 16000), Clip(jfk[:48000], 16000, "en-GB"), Clip(jfk[:320], 16000), Clip(jfk[:3200], 8000)]
    together = engine.transcribe(clips)
    alone = [engine.transcribe([clip])[0] for clip in clips]
    engine.close()
    assert engine.model == "wav2vec2"
    assert together[0].words[-1].end_ms > 10_000
    assert 0 < together[0].confidence < 1
    assert [heard.language for heard in together[:3]] == ["und", "en", "en"]
    for heard, expected, clip in zip(together, alone, clips, strict=True):
        check(heard, clip)
        assert (heard.text, heard.words) == (expected.text, expected.words)


def test_any_other_model_is_run_by_its_pipeline(torch: Any, transformers: Any, tmp_path: Path, jfk: Pcm) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: index for index, word in enumerate(["<unk>", "<s>", "</s>", *(f"word{i}" for i in range(29))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(1)
    config = transformers.MoonshineConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1, encoder_num_attention_heads=2, decoder_num_attention_heads=2,
    )  # fmt: skip
    folder = tmp_path / "moonshine"
    transformers.MoonshineForConditionalGeneration(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    engine = load_engine("transformers", str(folder), capacity=1)
    clip = Clip(jfk[:48000], 16000, "en")
    [heard] = engine.transcribe([clip])
    engine.close()
    check(heard, clip)
    assert heard.words
    assert heard.words[-1].end_ms == 3000


def test_a_model_of_another_kind_is_refused(transformers: Any, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=10, hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16
        )
    ).save_pretrained(folder)
    with pytest.raises(SttError, match=f"{folder} is no model that transformers can load"):
        load_engine("transformers", str(folder), capacity=1)


def test_silence_before_and_after_costs_no_words(engine: SttEngine, jfk: Pcm) -> None:
    silence = np.zeros(16000, np.int16)
    clip = Clip(np.concatenate([silence, jfk[:48000], silence]), 16000, "en")
    [heard] = engine.transcribe([clip])
    check(heard, clip)
    assert heard.words[0].end_ms >= 1000
