"""More training lines from a small grammar: deterministic, so they are made at training time and not kept.

A pattern is a mood and a sentence with slots; a slot takes one of its fillers. Some lines get a plain sentence before
them, because a caller's turn is often that and then the one with the mood in it. Only training uses these: the held-out
scenarios are written by hand.
"""

import random
import re


def _fillers(text: str) -> tuple[str, ...]:
    return tuple(text.split("; "))


SLOTS: dict[str, tuple[str, ...]] = {
    "thing": _fillers(
        "bill; order; internet; phone line; card; account; refund; parcel; app; router; washing machine; "
        "subscription; laptop; delivery; statement; password; mattress; boiler; contract; invoice; payment; "
        "software; licence; tablet; heating; printer; headset; loan; gym membership; sofa"
    ),
    "person": _fillers(
        "the technician; your colleague; the driver; somebody; the supervisor; your manager; the engineer; the "
        "sales rep; the guy in the store; your chat agent"
    ),
    "times": _fillers(
        "twice; three times; four times; five times; a dozen times; over and over; every single week; again and again"
    ),
    "ordinal": _fillers("second; third; fourth; fifth; sixth; tenth; hundredth"),
    "long": _fillers(
        "two hours; three days; a week; ten days; two weeks; a month; six weeks; three months; forty minutes; "
        "half a year"
    ),
    "money": _fillers(
        "twenty dollars; fifty pounds; ninety nine dollars; a hundred and forty euros; three hundred dollars; "
        "twelve hundred; two grand; forty five a month; fifteen thousand a year; six fifty"
    ),
    "day": _fillers(
        "Monday; Tuesday; Wednesday; Thursday; Friday; Saturday; tomorrow; next week; the fifteenth; the end of "
        "the month; this afternoon"
    ),
    "name": _fillers("Maria; Kevin; Aisha; Tom; Mr Lopez; Chloe; Ravi; Hannah; Omar; Mei; Grace"),
    "company": _fillers("Brightline; Vodex; Acme; Nordia; Clearpath; your company; Halden; Zenbank"),
    "angry": _fillers(
        "ridiculous; unacceptable; outrageous; absurd; a joke; not on; appalling; insulting; infuriating; "
        "terrible; unbelievable; a disgrace; pathetic"
    ),
    "good": _fillers(
        "great; wonderful; fantastic; perfect; brilliant; lovely; amazing; awesome; excellent; superb; really good"
    ),
    "nice": _fillers("helpful; kind; patient; friendly; professional; quick; polite; thorough; understanding; sweet"),
    "icky": _fillers("disgusting; revolting; gross; filthy; vile; sickening; foul; nauseating; repulsive"),
    "dirt": _fillers(
        "the food; the room; the bathroom; the waiting room; the packaging; the water; the seat; the milk; the "
        "smell; the carpet"
    ),
    "afraid": _fillers("worried; scared; afraid; nervous; anxious; terrified; frightened; panicking"),
    "risk": _fillers(
        "I'll lose my house; somebody has my details; it'll catch fire; I won't get the money in time; they'll "
        "come to my door; you'll cut off the power; I'll lose all my files; it happens again; my job's on the "
        "line; the kids get hurt; they've stolen my identity; I did something wrong"
    ),
    "loss": _fillers(
        "the photos are gone for good; I can't afford it anymore; we had to give up the shop; my dad didn't live "
        "to see it; the dog didn't make it; I missed my daughter's birthday; it was the last thing she gave me; "
        "we won't be together this Christmas; I let everybody down; it's really over"
    ),
    "need": _fillers(
        "pay my {thing}; change my address; check on my {thing}; update my email; ask about my {thing}; order a "
        "new {thing}; set up my {thing}; move the date to {day}; speak to {name}; confirm my {thing}; activate my "
        "{thing}"
    ),
    "hedge": _fillers("honestly; to be honest; I mean; look; well; I'm sorry but; you know what; frankly; listen"),
    "plan": _fillers(
        "the pro plan; the annual plan; the premium package; the family bundle; the enterprise tier; the starter "
        "kit; the extended support"
    ),
}

# role, polarity, emotion, sentence
PATTERNS: tuple[tuple[str, str, str, str], ...] = tuple(
    tuple(line.split("|", 3))  # type: ignore[misc]
    for line in """
customer|negative|anger|I've called {times} about my {thing} and nothing has changed.
customer|negative|anger|This is the {ordinal} time I've had to call about the {thing}.
customer|negative|anger|{hedge}, it's {angry} that my {thing} still isn't sorted after {long}.
customer|negative|anger|I have been on hold for {long}, that's {angry}.
customer|negative|anger|{person} promised to call me back by {day} and never did.
customer|negative|anger|Why does it take {long} to fix a {thing}?
customer|negative|anger|You charged me {money} for a {thing} I never asked for.
customer|negative|anger|So I'm supposed to wait another {long}? That's {angry}.
customer|negative|anger|I appreciate that you're trying, but I've waited {long} and I still don't have my {thing}.
customer|negative|anger|I don't mean to be rude but {long} for a {thing} is {angry}.
customer|negative|anger|{person} was rude to me and hung up.
customer|negative|anger|Oh great, so it's another {long}, how wonderful.
customer|negative|anger|Thanks for nothing, the {thing} is still broken.
customer|negative|anger|If my {thing} isn't here by {day} I'm leaving for {company}.
customer|negative|anger|I'm fed up with this {thing}.
customer|negative|anger|every time I ask about the {thing} I get a different answer
customer|negative|anger|{person} lied to me about the {thing}.
customer|negative|anger|You keep saying {day}, and it's never {day}.
customer|negative|anger|Why am I paying {money} for something that doesn't work?
customer|negative|anger|Not one of you has been able to tell me where my {thing} is.
customer|negative|neutral|{money} is more than we can spend on {plan}.
customer|negative|neutral|I don't think {plan} is worth {money}.
customer|negative|neutral|{company} offered us the same thing for less.
customer|negative|neutral|The {thing} isn't as good as I expected.
customer|negative|neutral|I'm not really happy with the {thing}.
customer|negative|neutral|{money} is a bit much for us.
customer|negative|neutral|we're not ready to commit to {plan}
customer|negative|neutral|It's not a good time for us, we're not interested in {plan}.
customer|negative|sadness|I'm just so disappointed with the {thing}.
customer|negative|sadness|{hedge}, it makes me sad because {loss}.
customer|negative|sadness|I'm heartbroken, {loss}.
customer|negative|sadness|I guess {loss}.
customer|negative|sadness|I was really looking forward to the {thing} and now it's not coming.
customer|negative|sadness|I feel terrible, {loss}.
customer|negative|sadness|I'd hoped for more after {long}, I'm disappointed.
customer|negative|fear|I'm {afraid} that {risk}.
customer|negative|fear|I'm really {afraid} about the {thing}.
customer|negative|fear|What if {risk}?
customer|negative|fear|{hedge}, I'm so {afraid} right now.
customer|negative|fear|Please help me, I'm {afraid} {risk}.
customer|negative|fear|my biggest worry is that {risk}
customer|negative|disgust|{dirt} was {icky}.
customer|negative|disgust|{hedge}, {dirt} was absolutely {icky}.
customer|negative|disgust|I couldn't even look at {dirt}, it was {icky}.
customer|negative|disgust|it was {icky} I felt sick
customer|negative|disgust|There was a dead mouse in the {thing} box, it's {icky}.
customer|negative|disgust|It's {icky} how you make money off sick people.
customer|negative|surprise|What? {money}? I had no idea!
customer|negative|surprise|Wait, my {thing} was cancelled?
customer|neutral|surprise|Oh, the {thing} already came? I didn't expect that.
customer|neutral|surprise|Really? I didn't know {person} could do that.
customer|neutral|surprise|Hang on, {day}? I thought it was today!
customer|neutral|surprise|Huh, I never knew {company} did that.
customer|positive|surprise|Wow, only {money}? I didn't expect that!
customer|positive|surprise|Oh my gosh, you already fixed the {thing}?
customer|neutral|neutral|Hi, I'd like to {need}.
customer|neutral|neutral|I'm calling to {need}.
customer|neutral|neutral|Can you help me {need}?
customer|neutral|neutral|How do I {need}?
customer|neutral|neutral|Could you tell me when my {thing} will be ready?
customer|neutral|neutral|Is it possible to {need} by {day}?
customer|neutral|neutral|What does {plan} include?
customer|neutral|neutral|How much is {plan}?
customer|neutral|neutral|It's about my {thing}.
customer|neutral|neutral|{day} would be best, between two and four.
customer|neutral|neutral|{person} told me to call on {day}.
customer|neutral|neutral|My name is {name} and I have a question about my {thing}.
customer|neutral|neutral|My {thing} hasn't arrived yet, could you check?
customer|neutral|neutral|The {thing} stopped working on {day}.
customer|neutral|neutral|I'm not in a hurry, I only want to {need}.
customer|neutral|neutral|no it's not urgent I just need to {need}
customer|neutral|neutral|I pay {money} at the moment.
customer|neutral|neutral|We use {company} now.
customer|neutral|neutral|Can you tell me your opening hours for {day}?
customer|neutral|neutral|Does it come with a {thing}?
customer|neutral|neutral|Send it to {name}, please, at the same address.
customer|positive|joy|Thank you so much for sorting out my {thing}.
customer|positive|joy|That's {good}, thank you.
customer|positive|joy|{name} was so {nice}, I really appreciate it.
customer|positive|joy|You've been very {nice}, thank you.
customer|positive|joy|Oh {good}, the {thing} works now.
customer|positive|joy|I'm really happy with the {thing}.
customer|positive|joy|What a relief, I thought I'd lost the {thing}.
customer|positive|joy|I love the new {thing}.
customer|positive|joy|{plan} sounds {good}, let's go for it.
customer|positive|joy|{good}, {day} is perfect for us.
customer|positive|joy|We're excited to get started with {plan}.
customer|positive|joy|{money} is a {good} price.
customer|positive|joy|I was worried about the {thing} but it turned out {good}.
customer|positive|joy|No more problems with the {thing}, it's been {good} since {day}.
customer|positive|joy|I have to say the {thing} is {good}.
customer|positive|joy|okay {good} thanks {name} bye
customer|positive|neutral|{money} sounds fair.
customer|positive|neutral|I'd be interested in {plan}.
customer|positive|neutral|yeah {day} works for us
agent|neutral|neutral|Thank you for calling {company}, this is {name}, how can I help you today?
agent|neutral|neutral|I'm so sorry about your {thing}.
agent|neutral|neutral|I'm really sorry to hear that, {name}.
agent|neutral|neutral|I understand how frustrating it is to wait {long} for a {thing}.
agent|neutral|neutral|I apologize for the trouble with your {thing}.
agent|neutral|neutral|I can imagine how worrying that must be for you.
agent|neutral|neutral|That sounds really stressful, I'm sorry you've had to deal with that.
agent|neutral|neutral|I'm sorry you've had to call {times}.
agent|neutral|neutral|I know waiting {long} isn't what you wanted to hear.
agent|neutral|neutral|Let me look into the {thing} for you.
agent|neutral|neutral|Can I have the number of the {thing}, please?
agent|neutral|neutral|The {thing} will be with you on {day}.
agent|neutral|neutral|{plan} is {money}.
agent|neutral|neutral|I'll ask {person} to call you on {day}.
agent|neutral|neutral|May I put you on hold while I check the {thing}?
agent|neutral|neutral|Unfortunately, the {thing} won't be ready until {day}.
agent|neutral|neutral|Just to confirm, that's {money} on {day}.
agent|neutral|neutral|Do you have the {thing} in front of you?
agent|positive|joy|I'm so glad the {thing} is working.
agent|positive|joy|Good news, your {thing} will arrive on {day}!
agent|positive|joy|You're welcome, {name}, have a {good} day.
agent|positive|joy|That's {good}, I'm happy to hear it.
agent|positive|joy|I'm excited to show you {plan}.
agent|positive|neutral|I'd be happy to help you with your {thing}.
agent|positive|neutral|Don't worry, we'll get your {thing} sorted by {day}.
agent|positive|neutral|No problem at all, I can {need} for you.
""".strip().splitlines()
)

_LEADS = _fillers(
    "Hi.; Okay.; Yeah.; Right, so.; Hello, yes.; Um, okay.; My name is {name}.; It's {name} again.; "
    "I'm calling about my {thing}.; So I got the {thing} on {day}.; I'm with {company}.; No, hold on."
)
_SLOT = re.compile(r"\{(\w+)\}")


def _fill(sentence: str, chance: random.Random) -> str:
    while _SLOT.search(sentence):
        sentence = _SLOT.sub(lambda match: chance.choice(SLOTS[match[1]]), sentence, count=1)
    return sentence[0].upper() + sentence[1:]


def generated_lines(count: int, seed: int) -> list[tuple[str, str, str]]:
    """That many different lines as (polarity, emotion, text), the patterns in turn."""
    chance = random.Random(seed)
    lines: dict[str, tuple[str, str, str]] = {}
    for attempt in range(count * 3):
        if len(lines) == count:
            break
        role, polarity, emotion, sentence = PATTERNS[attempt % len(PATTERNS)]
        text = _fill(sentence, chance)
        if role == "customer" and chance.random() < 0.2:
            text = f"{_fill(chance.choice(_LEADS), chance)} {text}"
        lines.setdefault(text, (polarity, emotion, text))
    return list(lines.values())
