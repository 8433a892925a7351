"""The data set: every model answers every instruction, and each answer is judged. One batch is finished before the next begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import HumanMessage

from graph.prompts import grounded
from store.ledger import Entry
from training.building import judging
from training.building.asking import Asker
from training.building.calls import Call
from training.building.instructions import Instruction
from training.building.judging import Comparison
from training.building.scoring import Scores, measure

GROUNDED = "You answer questions from documents."
"""The first sentence for a model that is given passages; graph.prompts.RULES follow it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build. `judge`: a model, or None for none; `rubric`: one of judging.RUBRICS; `max_tokens`: the longest answer."""

    models: tuple[str, ...]
    judge: str | None = None
    rubric: str = judging.GRADED
    max_tokens: int = 2048
    batch_size: int = 64

    @property
    def asked(self) -> tuple[str, ...]:
        """The models that answer, and the judge."""
        return self.models if self.judge is None else (*self.models, self.judge)

    def batches(self, instructions: Sequence[Instruction]) -> Iterator[Sequence[Instruction]]:
        """The instructions, `batch_size` at a time."""
        return (instructions[at : at + self.batch_size] for at in range(0, len(instructions), self.batch_size))

    def answer_call(self, model: str, one: Instruction) -> Call:
        """The call that answers an instruction."""
        messages = grounded(GROUNDED, one.prompt, one.passages, []) if one.passages else [HumanMessage(one.prompt)]
        return Call(model, tuple(messages), self.max_tokens)

    def judge_calls(self, one: Instruction, answers: dict[str, str]) -> list[Call]:
        """The calls that judge the models' answers to one instruction."""
        if self.judge is None:
            return []
        if self.rubric == judging.GRADED:
            return [judging.grade_call(self.judge, one, text) for text in answers.values()]
        return [call for compared in judging.comparisons(self.judge, one, answers) for call in compared.calls]

    def most_judge_calls(self, answers: int) -> int:
        """Calls that judge so many answers to one instruction, if no two are the same."""
        return 0 if self.judge is None else answers if self.rubric == judging.GRADED else answers * (answers - 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer to one instruction. `reply`: None where there is none, and then `fault` says why."""

    instruction: Instruction
    call: Call
    reply: Entry | None
    fault: str | None
    scores: Scores

    @property
    def model(self) -> str:
        """Who was asked."""
        return self.call.model


@dataclass(slots=True)
class Dataset:
    """What was built. `verdicts`: comparisons of the pairwise rubric with their winner, None where the judge stated none."""

    answers: list[Answer] = field(default_factory=list)
    verdicts: list[tuple[Comparison, str | None]] = field(default_factory=list)
    unparsable: set[str] = field(default_factory=set)
    """Keys of the judge's calls whose replies stated no verdict."""
    unjudged: set[str] = field(default_factory=set)
    """Keys of the judge's calls that failed or were not made."""

    def count(self, calls: Iterable[Call], judged: Mapping[str, Entry], read: Callable[[str], object]) -> None:
        """Note the judge's calls whose replies are missing, and those in which `read` finds nothing."""
        for call in calls:
            reply = judged.get(call.key)
            if reply is None:
                self.unjudged.add(call.key)
            elif read(reply.text) is None:
                self.unparsable.add(call.key)

    @property
    def missing(self) -> int:
        """Calls without a reply; prompts that are alike share theirs."""
        return len(self.unjudged | {answer.call.key for answer in self.answers if not answer.reply})


async def build(asker: Asker, instructions: Sequence[Instruction], plan: Plan) -> Dataset:
    """Ask, judge and measure. Raises Interrupted, StoreError."""
    made = Dataset()
    for batch in plan.batches(instructions):
        calls = {(one.id, model): plan.answer_call(model, one) for one in batch for model in plan.models}
        replies = await asker.ask(list(calls.values()))
        answers = {one.id: {m: r.text for m in plan.models if (r := replies.get(calls[one.id, m].key))} for one in batch}
        judged = await asker.ask([call for one in batch for call in plan.judge_calls(one, answers[one.id])])
        for one in batch:
            grades = _grades(made, one, plan, answers[one.id], judged)
            for model in plan.models:
                call = calls[one.id, model]
                reply = replies.get(call.key)
                scores = measure(one, reply.text, grades.get(model)) if reply else Scores()
                made.answers.append(Answer(one, call, reply, None if reply else asker.why_not(call), scores))
    return made


def _grades(made: Dataset, one: Instruction, plan: Plan, answers: dict[str, str], judged: dict[str, Entry]) -> dict[str, float | None]:
    """What the judge says of each model's answer, in [0, 1]; counts in `made` what it did not say."""
    if plan.judge is None:
        return {}
    if plan.rubric == judging.GRADED:
        calls = {model: judging.grade_call(plan.judge, one, text) for model, text in answers.items()}
        made.count(calls.values(), judged, judging.grade)
        return {model: judging.grade(reply.text) if (reply := judged.get(call.key)) else None for model, call in calls.items()}
    said = []
    for compared in judging.comparisons(plan.judge, one, answers):
        both = [judged.get(call.key) for call in compared.calls]
        made.count(compared.calls, judged, judging.verdict)
        won = judging.winner(*(reply.text for reply in both if reply)) if all(both) else None
        made.verdicts.append((compared, won))
        if won:
            said.append((compared.models, won))
    return {model: judging.share_won(model, said) for model in answers}
