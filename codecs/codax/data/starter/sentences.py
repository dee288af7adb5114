"""English template sentences for the synthetic voice; the list is deterministic."""

from __future__ import annotations

import random

# fmt: off
_PEOPLE = """the teacher|my neighbour|a young doctor|the old captain|our cousin|the journalist|her brother|
a quiet stranger|the baker|an engineer|the violinist|their grandmother|the farmer|a tired nurse|the judge|
his daughter|the gardener|a chess player|the photographer|the librarian|two children|several students|
the mechanic|a famous painter"""
_VERBS = """bought|found|repaired|described|noticed|carried|borrowed|painted|remembered|sold|hid|examined|
lost|photographed|measured|wrapped|polished|dropped|returned|admired|recognised|chose|delivered|collected"""
_ADJECTIVES = """small|broken|yellow|heavy|curious|expensive|wooden|ancient|bright|narrow|useful|dusty|purple|
fragile|enormous|rough|shiny|unusual|cheap|square|frozen|gentle|thick|strange"""
_THINGS = """bicycle|umbrella|clock|letter|guitar|ladder|telescope|carpet|basket|teapot|map|lantern|jacket|
mirror|suitcase|violin|notebook|kettle|whistle|hammer|statue|window|necklace|sandwich|pumpkin|feather|zip|
shovel|cushion|vase"""
_PLACES = """near the harbour|behind the school|on the bridge|in a crowded market|at the railway station|
beside the river|under the staircase|outside the theatre|in the northern valley|on the top floor|
at the edge of the forest|in front of the museum|along the beach|inside the workshop|across the street|
by the fireplace"""
_TIMES = """yesterday morning|last Thursday|before breakfast|in the early spring|shortly after midnight|
every other weekend|on the second of July|during the storm|a few years ago|at half past seven|this afternoon|
on a cold evening in November"""
_REASONS = """because nobody else would|although it was raining|while the others were asleep|
without asking anyone|and then walked home|but never talked about it|so that everyone could see it|
before the shop closed|which surprised the whole family|as if nothing had happened|and paid far too much|
just in time for the journey"""
_TEMPLATES = (
    "{Person} {verb} the {adjective} {thing} {place}.",
    "{Time}, {person} {verb} a very {adjective} {thing} {reason}.",
    "Why do you think {person} {verb} that {adjective} {thing} {place}?",
    "{Person} {verb} {number} {adjective} boxes and one {thing} {time}.",
    "I heard that {person} {verb} the {thing} {place} {reason}.",
    "It was {person} who {verb} it {time}, {reason}.",
    "Please put the {adjective} {thing} {place}, and leave the {thing2} where it is.",
    "There were {number} people {place}, and {person} {verb} the only {thing}.",
    "The {adjective} {thing} costs {number} dollars, but the {adjective2} one is cheaper.",
    "{Person} {verb} the {thing} {time}.",
)
_NUMBERS = """two|three|seven|eleven|twelve|fifteen|nineteen|twenty four|thirty six|forty|fifty one|
ninety nine|one hundred and eight|six hundred"""
# fmt: on


def _words(text: str) -> list[str]:
    return text.replace("\n", "").split("|")


def generate(count: int) -> list[str]:
    """`count` different sentences; a shorter list is a prefix of a longer one."""
    rng = random.Random(20260101)
    seen: dict[str, None] = {}
    while len(seen) < count:
        words = {
            "person": rng.choice(_words(_PEOPLE)),
            "verb": rng.choice(_words(_VERBS)),
            "adjective": rng.choice(_words(_ADJECTIVES)),
            "adjective2": rng.choice(_words(_ADJECTIVES)),
            "thing": rng.choice(_words(_THINGS)),
            "thing2": rng.choice(_words(_THINGS)),
            "place": rng.choice(_words(_PLACES)),
            "time": rng.choice(_words(_TIMES)),
            "reason": rng.choice(_words(_REASONS)),
            "number": rng.choice(_words(_NUMBERS)),
        }
        words["Person"] = words["person"][0].upper() + words["person"][1:]
        words["Time"] = words["time"][0].upper() + words["time"][1:]
        seen[rng.choice(_TEMPLATES).format(**words)] = None
    return list(seen)
