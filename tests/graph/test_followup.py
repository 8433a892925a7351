"""Which questions lean on the one before, and which change the topic."""

from __future__ import annotations

import time

import pytest

from graph.followup import is_followup, stand_alone, without_preamble

LEANING = """
and for teenagers?
What about newborns?
how about diesel?
Why?
why is that?
Why not?
Really?
How much?
Is it dangerous?
How does it work?
How long does it last?
Who invented it?
When was that?
Does this happen to everyone?
And in winter?
But is it safe?
What if I wake up?
Or at night?
What are its symptoms?
Are they expensive?
Can you explain that?
Tell me more
more details please
which one is better?
the first one?
for adults?
how so?
What causes it in children?
Then what should I do?
go on
give me an example
Did he win?
and the second stage
Is the other one cheaper?
What did they find?
so is it bad?
What does the latter do?
Why does it get worse when I lie down at night?
how many were built?
when were they introduced?
what are the symptoms?
who was the designer?
which was the first?
what happens if I don't?
How much did they cost?
does alcohol make it worse?
who drove that car?
which car failed?
How big was the engine?
how many naps?
from what age?
when was it compulsory in Britain?
which of the two lasts longer?
does the first kind suffer from lag?
how often should I check then?
is there a medicine instead?
is the theory settled?
Should I punish her?
why don't we?
""".strip().splitlines()

ALONE = """
How does a differential work?
So how does a differential work?
What is REM sleep?
Who invented the airbag?
What is ABS?
What is melatonin?
Why do cats sleep so much?
When was the Model T introduced?
Why do we dream?
why snore
Is it safe to drive after four hours of sleep?
Is it normal to wake up at 3 a.m.?
How long does it take to fall asleep?
How does it come that turbochargers lag when cold?
My car makes a grinding noise when it brakes at low speed
I keep waking at 3
What is that blue light on my dashboard in the morning?
Is there a cure for narcolepsy?
Are there electric cars with a manual gearbox?
There is a rattle under the bonnet, what could be loose?
And now something else: how do I change engine oil?
But how do airbags know when to inflate?
car won't start
melatonin dose
Do bees die when they sting?
Explain REM sleep
Thanks! What tyre pressure should I use in winter?
Is there a difference between summer and winter tyres?
how do hurricanes get their names?
Is 98 octane worth it in a car made for 95?
what is an EEG and who invented it
is it true young men are later types than young women
What happens in REM sleep?
""".strip().splitlines()


@pytest.mark.parametrize("question", LEANING)
def test_leans_on_the_question_before(question: str) -> None:
    assert is_followup(question)


@pytest.mark.parametrize("question", ALONE)
def test_stands_alone(question: str) -> None:
    assert not is_followup(question)


def test_a_followup_takes_the_topic_along() -> None:
    assert stand_alone("and for teenagers?", "How long is a sleep cycle?") == "How long is a sleep cycle? and for teenagers?"


def test_a_change_of_topic_leaves_the_old_one_behind() -> None:
    assert stand_alone("What is ABS?", "How long is a sleep cycle?") == "What is ABS?"


def test_the_first_question_has_nothing_to_lean_on() -> None:
    assert stand_alone("and for teenagers?", None) == "and for teenagers?"


def test_a_long_chain_keeps_the_topic_and_the_last_step() -> None:
    question = "How long is a sleep cycle?"
    for step in ("and for teenagers?", "and for babies?", "why is that?", "and in old age?"):
        question = stand_alone(step, question)
    assert question == "How long is a sleep cycle? why is that? and in old age?"


DIALOGUES = [
    ("When was the Beetle introduced?", "how many were built?", "Beetle: how many were built?"),
    ("When was the Model T introduced?", "why did it get cheaper?", "Model T: why did it get cheaper?"),
    ("When was the Mini introduced?", "Who was the designer?", "Mini: Who was the designer?"),
    ("Who founded Toyota?", "when?", "Who founded Toyota? when?"),
    ("What is a hybrid car?", "and which was the first?", "hybrid car: which was the first?"),
    ("How often should I change engine oil?", "what happens if I don't?", "engine oil: what happens if I don't?"),
    ("What is sleep apnoea?", "how is it treated?", "sleep apnoea: how is it treated?"),
    ("What is sleep apnoea?", "What are the symptoms?", "sleep apnoea: What are the symptoms?"),
    ("How much sleep do adults need?", "what about newborns?", "How much sleep do adults need? what about newborns?"),
    ("How long is a sleep cycle?", "and how many are there in a night?", "sleep cycle: how many are there in a night?"),
    ("Does caffeine keep you awake?", "How long does it last?", "caffeine keep awake: How long does it last?"),
    ("How does a mouth-guard help?", "does it work?", "mouth-guard: does it work?"),
    ("How long does it take?", "Is it dangerous?", "How long does it take? Is it dangerous?"),
    # What stands against something takes its place.
    ("When was the Model T introduced?", "and the Beetle?", "When was the Beetle introduced?"),
    ("How often should I change the engine oil?", "and the brake fluid?", "How often should I change the brake fluid?"),
    ("What share of the night is REM sleep?", "and N2?", "What share of the night is N2 sleep?"),
    ("How long does green tea steep?", "and black tea?", "How long does black tea steep?"),
    ("How long does a car battery last?", "and an electric car's?", "How long does a car battery last? and an electric car's?"),
    ("How long is a sleep cycle?", "and in old age?", "How long is a sleep cycle? and in old age?"),
    # What takes the question before back, and what only thanks or announces.
    ("Who founded Honda?", "no, Toyota, I mean", "Who founded Toyota?"),
    ("How does apnoea come about?", "No, I meant the central kind", "How does apnoea come about? the central kind"),
    ("When was the Fiat 500 launched?", "actually I wanted to know who designed it", "Fiat 500: who designed it"),
    ("How long should a nap be?", "thanks! and what is it called?", "nap: what is it called?"),
    ("How do I jump-start a car?", "Something else: how do I get over jet lag?", "how do I get over jet lag?"),
    ("What is hypnagogia?", "never mind. How long do microsleeps last?", "How long do microsleeps last?"),
    # Topic changes, to the other expert and within one: nothing goes along.
    ("How long is a sleep cycle?", "Who invented the diesel engine?", "Who invented the diesel engine?"),
    ("When was the Beetle introduced?", "How does jet lag work?", "How does jet lag work?"),
    ("What is a clutch?", "Why do we dream?", "Why do we dream?"),
    ("What is narcolepsy?", "how many people snore?", "how many people snore?"),
    ("When was the Beetle introduced?", "How many Minis were built?", "How many Minis were built?"),
    ("What is REM sleep?", "What are the symptoms of insomnia?", "What are the symptoms of insomnia?"),
]


@pytest.mark.parametrize(("first", "second", "expected"), DIALOGUES)
def test_two_turns(first: str, second: str, expected: str) -> None:
    assert stand_alone(second, first) == expected


def test_long_nonsense_takes_no_time() -> None:
    started = time.perf_counter()
    # Each step on white space from each of its places would be 5,000,000,000.
    assert stand_alone(f"tea{' ' * 100_000}and", None).startswith("tea ")
    assert without_preamble(f"the Mini{', ' * 50_000}really") == (f"the Mini{', ' * 50_000}really", False)
    assert without_preamble(f"Toyota{' ' * 100_000}I mean") == ("Toyota", True)
    assert time.perf_counter() - started < 2


def test_the_subject_stays_through_a_chain() -> None:
    question = "When was the Beetle introduced?"
    for step in ("how many were built?", "and where?", "who designed it?"):
        question = stand_alone(step, question)
    assert question == "Beetle: who designed it?"
