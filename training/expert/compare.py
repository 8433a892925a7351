"""Before and after: the base and the tuned model on held-out questions, with the passages, without the right ones, and without any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.types import NO_ANSWER, Hit
from evaluation.answers import BASELINE, READER, first_sentence
from evaluation.metrics import Rows, bootstrap
from evaluation.results import Measure, Progress, Report, Result, average, result
from graph.citations import claims
from graph.confidence import says_nothing
from graph.services import Services
from retrieval.text import contains_key
from training.expert.examples import Example, Turn, closed_book, turns

TUNED, BASE, ALONE = "tuned", "base", "no retrieval"
HEADLINE = ("key_fact", "citation_precision", "abstain_accuracy")
LONGEST = 160
"""Tokens of an answer; the experts' own have at most some sixty words."""
BATCH = 8


@dataclass(frozen=True, slots=True)
class Texts:
    """A model's answers: to the questions as they are served, with the right passages withheld, and, if asked, without any passage."""

    own: list[str]
    withheld: list[str]
    alone: list[str]


@dataclass(frozen=True, slots=True)
class Held:
    """The held-out questions: as they are served, and with the right passages withheld, in the same order."""

    own: list[Example]
    withheld: list[Example]


def answers(model: Any, tokenizer: Any, held: Held, what: str, progress: Progress) -> Texts:
    """What a local model says to all three."""
    prompts = [
        [e.prompt for e in held.own],
        [e.prompt for e in held.withheld],
        [turns(closed_book(e.item)) for e in held.own],
    ]
    advance = progress(what, sum(map(len, prompts)))
    own, withheld, alone = (generate(model, tokenizer, each, advance) for each in prompts)
    return Texts(own, withheld, alone)


def generate(model: Any, tokenizer: Any, prompts: Sequence[Sequence[Turn]], advance: Callable[[int], None]) -> list[str]:
    """Greedy answers, one a prompt, in batches of like length."""
    import torch
    from transformers import GenerationConfig

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval()
    texts = [tokenizer.apply_chat_template(list(p), add_generation_prompt=True, tokenize=False) for p in prompts]
    order, found = sorted(range(len(texts)), key=lambda n: len(texts[n])), [""] * len(texts)
    settings = GenerationConfig(
        max_new_tokens=LONGEST, do_sample=False, eos_token_id=_ends(model, tokenizer), pad_token_id=tokenizer.pad_token_id
    )
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        # Padded on the left, so that every prompt ends where its answer begins.
        read = tokenizer([texts[n] for n in batch], return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(
                input_ids=read["input_ids"].to(device), attention_mask=read["attention_mask"].to(device), generation_config=settings
            )
        for n, tokens in zip(batch, out[:, read["input_ids"].shape[1] :], strict=True):
            found[n] = tokenizer.decode(tokens, skip_special_tokens=True).strip()
        advance(len(batch))
    return found


def compare(services: Services, name: str, held: Held, tuned: Texts, base: Texts, command: str) -> Report:
    """The report. Baselines: the first sentence of the top passage, and the local reader, which is no language model."""
    results = []
    for model, texts in ((TUNED, tuned), (BASE, base)):
        results += [_result(model, held, texts), _alone(f"{model}, {ALONE}", held, texts)]
    results += [_result(what, held, texts, baseline=True) for what, texts in _baselines(services, held).items()]
    wrong = [_wrong(e, said) for e, said in zip(held.own, tuned.own, strict=True) if not _knows(e, said)]
    notes = [
        f"{len(held.own):,} held-out questions: as they are served, and without the right passages, where only a refusal is right.",
        *differences(held, tuned, base),
    ]
    return Report(f"expert-{name}", len(held.own), command, list(HEADLINE), results, wrong, notes=notes)


def differences(held: Held, tuned: Texts, base: Texts) -> list[str]:
    """A line on whether tuning helped, and one for each headline metric: tuned minus base on the same rows, with its 95% interval."""
    lines, signs = [], []
    measured = {name: (_measures(held, tuned)[name], _measures(held, base)[name]) for name in HEADLINE}
    for name, (after, before) in measured.items():
        gain = _difference(after, before)
        whole, span = gain.of(np.arange(gain.n)), bootstrap(gain.of, gain.n)
        if whole is None or span is None:
            lines.append(f"{name}: not defined for both, since one of them cited nothing.")
            continue
        signs.append((span[0] > 0) - (span[1] < 0))
        word = {1: "better", 0: "no clear difference", -1: "worse"}[signs[-1]]
        lines.append(f"{name}: {whole:+.3f} [{span[0]:+.3f}, {span[1]:+.3f}], {word}.")
    verdict = "Tuning made no clear difference."
    if any(signs):
        verdict = "Tuning helped." if min(signs) >= 0 else "Tuning did harm." if max(signs) <= 0 else "Tuning helped and did harm."
    return [f"{verdict} Tuned minus base, with passages:", *lines]


def _difference(after: Measure, before: Measure) -> Measure:
    def of(rows: Rows) -> float | None:
        a, b = after.of(rows), before.of(rows)
        return None if a is None or b is None else a - b

    return Measure(after.n, of)


def _result(name: str, held: Held, texts: Texts, *, baseline: bool = False) -> Result:
    return result(name, _measures(held, texts), baseline=baseline)


def _alone(name: str, held: Held, texts: Texts) -> Result:
    knows = average([contains_key(said, e.item.key) for e, said in zip(held.own, texts.alone, strict=True)])
    return result(name, {"key_fact": knows})


def _measures(held: Held, texts: Texts) -> Mapping[str, Measure]:
    """key_fact, citation_precision and answered over the questions as served; abstain_accuracy over these and the withheld ones.

    abstain_accuracy: share of the prompts where the model refuses just when none of the passages holds the answer. citation_precision:
    share of the cited numbers that are passages of the right document.
    """
    own = list(zip(held.own, texts.own, strict=True))
    cited = np.array([_citations(e, said) for e, said in own])
    both = [*own, *zip(held.withheld, texts.withheld, strict=True)]

    def precision(rows: Rows) -> float | None:
        right, total = cited[rows].sum(axis=0)
        return float(right / total) if total else None

    return {
        "key_fact": average([_knows(e, said) for e, said in own]),
        "citation_precision": Measure(len(own), precision),
        "abstain_accuracy": average([says_nothing(said) == (not e.right) for e, said in both]),
        "answered": average([not says_nothing(said) for _, said in own]),
    }


def _knows(example: Example, said: str) -> bool:
    return not says_nothing(said) and contains_key(said, example.item.key)


def _citations(example: Example, said: str) -> tuple[int, int]:
    """(how many cited numbers are of the right document, how many there are); a number that no passage has is wrong."""
    numbers = [n for _, cited in claims(said) for n in cited]
    documents = {n: hit.passage.document for n, hit in enumerate(example.hits, 1)}
    return sum(documents.get(n) == example.item.document for n in numbers), len(numbers)


def _baselines(services: Services, held: Held) -> dict[str, Texts]:
    reader = services.model(READER)

    def first(hits: Sequence[Hit]) -> str:
        return f"{first_sentence(hits)} [1]" if hits else NO_ANSWER

    def reads(example: Example) -> str:
        return str(reader.invoke(example.messages).text) if example.hits else NO_ANSWER

    return {
        BASELINE: Texts([first(e.hits) for e in held.own], [first(e.hits) for e in held.withheld], []),
        READER: Texts([reads(e) for e in held.own], [reads(e) for e in held.withheld], []),
    }


def _wrong(example: Example, said: str) -> dict[str, object]:
    item = example.item
    return {"question": item.question, "expected": item.key, "document": item.document, "found": bool(example.right), "answer": said}


def _ends(model: Any, tokenizer: Any) -> list[int]:
    ends = model.generation_config.eos_token_id
    return sorted({*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None})
