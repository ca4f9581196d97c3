"""The network: a BERT-shaped encoder, the mean of its token vectors, and two linear heads."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from labels import EMOTIONS, POLARITIES
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel


class Logits(NamedTuple):
    """Scores of a batch: polarity (batch, 3) and emotion (batch, 7)."""

    polarity: Tensor
    emotion: Tensor


class MoodNetwork(nn.Module):
    """Encoder with a polarity head and an emotion head; the word embeddings stay as they were pre-trained."""

    def __init__(self, encoder: str | Path) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(str(encoder), add_pooling_layer=False, attn_implementation="sdpa")
        self.encoder.embeddings.word_embeddings.weight.requires_grad = False
        width = self.encoder.config.hidden_size
        self.dropout = nn.Dropout(0.1)
        self.polarity = nn.Linear(width, len(POLARITIES))
        self.emotion = nn.Linear(width, len(EMOTIONS))

    def keep_words(self, ids: Sequence[int]) -> None:
        """Keep these rows of the word embeddings, in this order."""
        table = self.encoder.embeddings.word_embeddings.weight[list(ids)].detach()
        self.encoder.embeddings.word_embeddings = nn.Embedding.from_pretrained(table, freeze=True, padding_idx=0)

    def forward(self, ids: Tensor, mask: Tensor) -> Logits:
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        mean = self.dropout((hidden * weight).sum(1) / weight.sum(1))
        return Logits(self.polarity(mean), self.emotion(mean))


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask of a batch, each (batch, longest)."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids, (torch.arange(longest)[None, :] < lengths[:, None]).long()


def by_length(lengths: Sequence[int], size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Batches of indexes of about equal length, in random order: less padding, same data."""
    order = torch.randperm(len(lengths), generator=generator).tolist()
    pools = [sorted(order[at : at + size * 50], key=lengths.__getitem__) for at in range(0, len(order), size * 50)]
    batches = [pool[at : at + size] for pool in pools for at in range(0, len(pool), size)]
    for index in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[index]
