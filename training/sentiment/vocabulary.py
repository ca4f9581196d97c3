"""A smaller vocabulary for the tokenizer: half of what the model weighs would be rows of words that no call has."""

import json
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def prune(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> tuple[Tokenizer, list[int]]:
    """Keep `size` tokens: the special ones, all letters, those of the texts by count, then the most common of the rest.

    A word whose own token is gone is spelled by smaller pieces, so nothing that could be read becomes unknown.

    Returns:
        The new tokenizer, and the old id of each new id.
    """
    content = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = content["model"]["vocab"]
    counts = Counter(token for text in texts for token in tokenizer.encode(text).tokens)
    letters = [token for token in vocabulary if len(token.removeprefix("##")) == 1 and token.isascii()]
    # WordPiece vocabularies of BERT are sorted by how common a word was in its corpus.
    common = sorted(vocabulary, key=vocabulary.__getitem__)
    candidates = [*SPECIAL, *letters, *(token for token, count in counts.most_common() if count > 2), *common]
    kept = [
        token for token in dict.fromkeys(candidates) if not token.startswith(("[unused", "[MASK")) and token.isascii()
    ]
    old_ids = sorted(vocabulary[token] for token in kept[:size])
    token_of = {number: token for token, number in vocabulary.items()}
    content["model"]["vocab"] = {token_of[old]: new for new, old in enumerate(old_ids)}
    content["added_tokens"] = [
        token | {"id": old_ids.index(token["id"])} for token in content["added_tokens"] if token["content"] in SPECIAL
    ]
    for token in content["post_processor"]["special_tokens"].values():
        token["ids"] = [old_ids.index(number) for number in token["ids"]]
    return Tokenizer.from_str(json.dumps(content)), old_ids
