"""C++ identifiers for the reference's tensor names."""

from __future__ import annotations

from collections.abc import Sequence

_KEYWORDS = """
alignas alignof and asm auto bool break case catch char class const constexpr continue default delete do double else
enum explicit export extern false float for friend goto if inline int long mutable namespace new not nullptr operator or
private protected public register return short signed sizeof static struct switch template this throw true try typedef
typename union unsigned using virtual void volatile while xor
"""
_OURS = """
backward batch batches buffer column columns first fetch forward grid guard inner item j k lane left live maximum
minimum parts place product right row rows slot start stream stride sums torch wanted most
"""
_RESERVED = frozenset((_KEYWORDS + _OURS).split())
_OUR_PREFIXES = ("out", "between_", "extent_", "scalar_", "column_", "row_", "batch_", "K", "_")


def identifiers(names: Sequence[str]) -> dict[str, str]:
    """Return a C++ identifier for each name, all distinct and apart from what the templates declare."""
    taken: dict[str, str] = {}
    for name in names:
        text = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
        if not text or text[0].isdigit() or text.startswith(_OUR_PREFIXES) or text[1:].isdigit():
            text = f"in_{text}"
        while text in _RESERVED or text in taken.values():
            text += "_"
        taken[name] = text
    return taken
