"""Numbers as people write them: which texts are numbers, and how large or small the numbers of a config may be.

Python's own int and float take more: 1_0, spaces around, digits of any script. Those are mistakes, and refused.
"""

import re

WHOLE = r"[-+]?(?:0|[1-9][0-9]*)"
REAL = r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
"""With a point or an exponent, as in YAML 1.2; a whole number is no such text."""
LEAST, MOST = 1e-30, 1e15
"""What numbers of a config lie between, apart from 0: products of a few of them still are numbers in float32."""


def whole(text: str) -> int:
    """The whole number that a text is. Raises ValueError for any other text."""
    if not re.fullmatch(WHOLE, text):
        raise ValueError("a whole number is needed, written as 1000")
    return int(text)


def real(text: str) -> float:
    """The finite number that a text is, 0 for -0. Raises ValueError for any other text."""
    if not re.fullmatch(f"{WHOLE}|{REAL}", text) or abs(value := float(text)) == float("inf"):
        raise ValueError("a finite number is needed, written as 0.5 or 1e-3")
    return value + 0.0


def is_cell(text: str) -> bool:
    """Whether a cell of a CSV holds a number as Python writes them, NaN and infinities among them."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text and text == text.strip()


def why_not(value: float) -> str | None:
    """Why a config cannot have a number; None where it can."""
    if value == 0 or LEAST <= abs(value) <= MOST:
        return None
    return f"a number is 0 here, or between {LEAST:g} and {MOST:g} in size".replace("e+", "e")
