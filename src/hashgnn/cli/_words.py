"""Sentences of the library in the words of the command line, and help that fits any width."""

from __future__ import annotations

import inspect
import re

# How the library's remedies are written as options.
_REMEDIES = (
    (re.compile(r'\bon_unknown="(\w+)"'), r"--on-unknown \1"),
    (re.compile(r"\banother on_unknown\b"), "another --on-unknown"),
    (re.compile(r"\buse recommend_for_history\b"), "use --history"),
    (re.compile(r"\boverwrite=True\b"), "--overwrite"),
    (re.compile(r"\bwith format=(?=$| )"), "with --format"),
)


def as_options(sentence: str) -> str:
    """Return an error's sentence with its remedy as options.

    Examples
    --------
    >>> as_options('1 of 1 user ids are not in the training data: 9; pass on_unknown="skip" or use recommend_for_history')
    '1 of 1 user ids are not in the training data: 9; pass --on-unknown skip or use --history'
    """
    for written, option in _REMEDIES:
        sentence = written.sub(option, sentence)
    return sentence


def reflow(text: str) -> str:
    r"""Return help text with one line a paragraph and one a command; commands are the lines that are indented.

    Examples
    --------
    >>> reflow("One.\n\nTwo lines\nof text.\n\nExamples:\n  hashgnn demo\n\n  hashgnn data list")
    'One.\n\nTwo lines of text.\n\nExamples:\n$ hashgnn demo\n$ hashgnn data list'
    """
    joined = re.sub(r"(?<!\n)\n(?![\n ])", " ", inspect.cleandoc(text))
    return re.sub(r"\n+ +", "\n$ ", joined)
