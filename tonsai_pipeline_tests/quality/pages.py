"""Pages for quality tests: prose of small seeded grammars, and the junk that must be told from it."""

from __future__ import annotations

import numpy as np

_SUBJECTS = [
    "the farmer",
    "a teacher",
    "my sister",
    "the council",
    "an old monk",
    "this river",
    "each of them",
    "some traders",
    "our neighbour",
    "the youngest boy",
]
_VERBS = [
    "said that",
    "has found",
    "will bring",
    "was with",
    "could see",
    "did not know",
    "would sell",
    "has built",
    "asked for",
]
_OBJECTS = [
    "the rice fields",
    "a new school",
    "the people of the town",
    "his own boat",
    "it all",
    "her letter",
    "that wooden house",
    "two bridges",
    "every market",
]
_TAILS = [
    "in the morning",
    "for the first time",
    "after the long rain",
    "because of that",
    "and then left",
    "when it was dark",
    "as they do",
    "with great care",
    "before we had come",
]

_KHMER_SUBJECTS = ["កសិករ", "គ្រូបង្រៀន", "ប្អូនស្រីរបស់ខ្ញុំ", "លោកតា", "ក្រុមប្រឹក្សា", "សិស្សទាំងអស់", "ពាណិជ្ជករ"]
_KHMER_VERBS = ["បានទៅ", "មាន", "ត្រូវបានឃើញ", "ដែលនៅក្នុង", "បាននិយាយថា", "ចង់សាងសង់", "នឹងលក់"]
_KHMER_OBJECTS = ["ស្រែចម្ការ", "សាលារៀនថ្មី", "ផ្សារនៃទីក្រុង", "ទូកចាស់", "សំបុត្រនេះ", "ផ្ទះឈើ", "ស្ពានធំ"]
_KHMER_TAILS = [
    "ជាមួយនឹងមនុស្សជាច្រើន",
    "នៅពេលព្រឹក",
    "ហើយបានត្រឡប់មកវិញ",
    "ដោយសារភ្លៀង",
    "កាលពីម្សិលមិញ",
    "ទៀតផង",
    "ក៏មិនឈប់ដែរ",
    "ដើម្បីគ្រួសារ",
]

_COMMANDS = ["Open", "Save As", "Close Window", "Page Layout", "Zoom In", "Insert Row", "Colours"]


def english_prose(num_sentences: int, seed: int) -> str:
    """Write sentences, four to a line."""
    dice = np.random.default_rng(seed)
    pick = [_SUBJECTS, _VERBS, _OBJECTS, _TAILS]
    names = [f"Name{dice.integers(10**6)}x".lower() for _ in range(num_sentences)]
    said = [
        " ".join(str(dice.choice(words)) for words in pick).capitalize() + f" near {name}."
        for name in names
    ]
    return "\n".join(" ".join(said[i : i + 4]) for i in range(0, num_sentences, 4))


def khmer_prose(num_sentences: int, seed: int) -> str:
    """Write Khmer sentences, four to a line."""
    dice = np.random.default_rng(seed)
    pick = [_KHMER_SUBJECTS, _KHMER_VERBS, _KHMER_OBJECTS, _KHMER_TAILS]
    said = [
        "".join(str(dice.choice(words)) for words in pick) + _khmer_name(dice) + "។"
        for _ in range(num_sentences)
    ]
    return "\n".join(" ".join(said[i : i + 4]) for i in range(0, num_sentences, 4))


def menu(seed: int, num_lines: int = 12) -> str:
    """Write a page of user-interface strings."""
    dice = np.random.default_rng(seed)
    return "\n".join(f"{dice.choice(_COMMANDS)} {dice.integers(100)}" for _ in range(num_lines))


def tagged_titles(seed: int, num_lines: int = 12) -> str:
    """Write titles with part-of-speech tags."""
    dice = np.random.default_rng(seed)
    words = ["crash/NN", "window/NN", "does/VBZ", "not/RB", "open/VB", "the/DT", "file/NN"]
    return "\n".join(" ".join(dice.choice(words, size=9)) for _ in range(num_lines))


def _khmer_name(dice: np.random.Generator) -> str:
    clusters = [
        dice.choice(list("កខគងចជញដតថនបផពមយរលសហ")) + dice.choice(list("ាិីុូេែំ")) for _ in range(6)
    ]
    return " " + "".join(clusters) + " "
