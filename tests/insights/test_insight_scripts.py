"""The planted signals of the example calls, from their scripted text."""

import re
from collections import Counter

import pytest
import yaml
from insight_support import EXAMPLES, said

from voicestream.insights import CallContext, Catalogue, Extractor, extract_all
from voicestream.records import Insight

SCRIPTS = sorted((EXAMPLES / "calls").glob("*.yaml"))


def is_planted(insight: Insight, planted: dict[str, str], products: dict[str, str]) -> bool:
    kind, label, value = planted["kind"], planted.get("label"), planted.get("value", "")
    if insight.kind != kind or (label is not None and insight.label != label):
        return False
    if kind == "competitor":
        return insight.label == value
    if label == "product":
        return insight.value == products[value]
    if label == "money":
        return insight.value == f"{float(re.sub(r'[^0-9.]', '', value)):.2f} USD"
    if label == "date":
        return insight.text in value or value in insight.text
    return True


@pytest.mark.skipif(not SCRIPTS, reason="the repository has no example calls")
def test_the_planted_signals_are_found_and_few_others(extractors: list[Extractor]) -> None:
    catalogue = Catalogue.load(EXAMPLES / "catalogue.yaml")
    products = {product.name: product.id for product in catalogue.products}
    found = missed = 0
    extra: Counter[str] = Counter()
    for script in SCRIPTS:
        for turn in yaml.safe_load(script.read_text(encoding="utf-8"))["turns"]:
            insights = extract_all(said(turn["text"], turn["track"]), CallContext(), extractors)
            for planted in turn.get("insights", []):
                hits = [insight for insight in insights if is_planted(insight, planted, products)]
                found += bool(hits)
                missed += not hits
                if hits:
                    insights.remove(hits[0])
            extra.update(insight.kind for insight in insights)
    assert found / (found + missed) >= 0.9
    others = sum(count for kind, count in extra.items() if kind not in ("question", "entity"))
    assert found / (found + others) >= 0.7
