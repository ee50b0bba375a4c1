"""The pieces that synthetic problems are composed of: what each says, does, and looks like in code.

A piece has two implementations: ``run``, which gives the expected results, and the text of a
solution. A solution is kept only if the confined child finds that they agree.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise, zip_longest
from typing import Any

INTS, INT, TEXT, WORDS = "list of integers", "integer", "text", "list of words"


@dataclass(frozen=True)
class Piece:
    """A function of one value, and of a small number ``k`` where it has one.

    Attributes:
        name: part of the function's name.
        takes: type of its argument.
        gives: type of its result.
        says: the task in words; ``{k}`` is the number.
        run: the result, from value and k.
        code: the same as an expression; ``{a}`` is the argument.
        loop: the same as statements that set ``{out}``; empty where there are none.
        numbers: values of k; empty without one.
        imports: a line that the solution begins with.
    """

    name: str
    takes: str
    gives: str
    says: str
    run: Callable[[Any, int], Any]
    code: str
    loop: str = ""
    numbers: tuple[int, ...] = ()
    imports: str = ""


def _each(body: str, start: str = "[]") -> str:
    """A loop over the argument that sets ``{out}``."""
    return (
        "{out} = "
        + start
        + "\nfor item in {a}:\n"
        + "\n".join(f"    {line}" for line in body.split("\n"))
    )


_SMALL, _TWO_ON = (1, 2, 3, 4, 5), (2, 3, 4, 5)

PIECES: tuple[Piece, ...] = (
    # Lists of integers.
    Piece("above", INTS, INTS, "keep the numbers greater than {k}",
          lambda v, k: list(filter(lambda x: x > k, v)), "[x for x in {a} if x > {k}]",
          _each("if item > {k}:\n    {out}.append(item)"), (0, 1, 2, 3, 5, 8)),
    Piece("below", INTS, INTS, "keep the numbers less than {k}",
          lambda v, k: list(filter(lambda x: x < k, v)), "[x for x in {a} if x < {k}]",
          _each("if item < {k}:\n    {out}.append(item)"), (3, 5, 8, 12)),
    Piece("multiples", INTS, INTS, "keep the multiples of {k}",
          lambda v, k: [x for x in v if x // k * k == x], "[x for x in {a} if x % {k} == 0]",
          _each("if item % {k} == 0:\n    {out}.append(item)"), _TWO_ON),
    Piece("odd", INTS, INTS, "keep the odd numbers", lambda v, k: [x for x in v if x & 1],
          "[x for x in {a} if x % 2 == 1]", _each("if item % 2:\n    {out}.append(item)")),
    Piece("times", INTS, INTS, "multiply every number by {k}",
          lambda v, k: [sum([x] * k) for x in v], "[{k} * x for x in {a}]",
          _each("{out}.append(item * {k})"), _TWO_ON),
    Piece("plus", INTS, INTS, "add {k} to every number", lambda v, k: [k + x for x in v],
          "[x + {k} for x in {a}]", _each("{out}.append(item + {k})"), _SMALL),
    Piece("squares", INTS, INTS, "square every number", lambda v, k: [pow(x, 2) for x in v],
          "[x * x for x in {a}]", _each("{out}.append(item ** 2)")),
    Piece("sizes", INTS, INTS, "take the absolute value of every number",
          lambda v, k: [max(x, -x) for x in v], "[abs(x) for x in {a}]",
          _each("{out}.append(item if item >= 0 else -item)")),
    Piece("backwards", INTS, INTS, "reverse the order", lambda v, k: list(reversed(v)),
          "{a}[::-1]", _each("{out}.insert(0, item)")),
    Piece("rising", INTS, INTS, "sort the numbers from small to large",
          lambda v, k: sorted(v), "sorted({a})"),
    Piece("falling", INTS, INTS, "sort the numbers from large to small",
          lambda v, k: sorted(v)[::-1], "sorted({a}, reverse=True)"),
    Piece("distinct", INTS, INTS, "drop every number that was there before",
          lambda v, k: [x for i, x in enumerate(v) if x not in v[:i]],
          "list(dict.fromkeys({a}))", _each("if item not in {out}:\n    {out}.append(item)")),
    Piece("totals", INTS, INTS, "replace every number by the running total",
          lambda v, k: list(accumulate(v)), "[sum({a}[:i + 1]) for i in range(len({a}))]",
          "{out} = []\ntotal = 0\nfor item in {a}:\n    total += item\n    {out}.append(total)"),
    Piece("steps", INTS, INTS, "take the differences of neighbors, later minus earlier",
          lambda v, k: [b - a for a, b in pairwise(v)],
          "[b - a for a, b in zip({a}, {a}[1:])]",
          "{out} = []\nfor i in range(1, len({a})):\n    {out}.append({a}[i] - {a}[i - 1])"),
    Piece("rotated", INTS, INTS, "move the first {k} numbers to the end",
          lambda v, k: v[k:] + v[:k], "{a}[{k}:] + {a}[:{k}]", "", (1, 2, 3)),
    Piece("every", INTS, INTS, "keep every number at a position that {k} divides, from 0",
          lambda v, k: [x for i, x in enumerate(v) if not i % k], "{a}[::{k}]",
          "{out} = []\nfor i, item in enumerate({a}):\n    if i % {k} == 0:\n"
          "        {out}.append(item)", (2, 3)),
    Piece("first", INTS, INTS, "keep the first {k} numbers", lambda v, k: v[:k], "{a}[:{k}]", "",
          (2, 3, 4)),
    Piece("largest", INTS, INTS, "keep the {k} largest numbers, largest first",
          lambda v, k: sorted(v, key=lambda x: -x)[:k], "sorted({a}, reverse=True)[:{k}]", "",
          (2, 3)),
    Piece("remainders", INTS, INTS, "replace every number by its remainder after division by {k}",
          lambda v, k: [x - x // k * k for x in v], "[x % {k} for x in {a}]",
          _each("{out}.append(item % {k})"), (2, 3, 5, 7)),
    Piece("capped", INTS, INTS, "replace every number above {k} by {k}",
          lambda v, k: [k if x > k else x for x in v], "[min(x, {k}) for x in {a}]",
          _each("{out}.append(min(item, {k}))"), (3, 5, 9)),
    Piece("pair_sums", INTS, INTS, "add the first and second number, the third and fourth, and so"
          " on; a last one alone stays",
          lambda v, k: [a + b for a, b in zip_longest(v[::2], v[1::2], fillvalue=0)],
          "[sum({a}[i:i + 2]) for i in range(0, len({a}), 2)]"),
    # To one integer.
    Piece("sum", INTS, INT, "add all numbers", lambda v, k: math.fsum(v).__int__(), "sum({a})",
          "{out} = 0\nfor item in {a}:\n    {out} += item"),
    Piece("product", INTS, INT, "multiply all numbers", lambda v, k: math.prod(v),
          "math.prod({a})", "{out} = 1\nfor item in {a}:\n    {out} *= item",
          imports="import math"),
    Piece("count", INTS, INT, "count the numbers", lambda v, k: len(v), "len({a})",
          "{out} = 0\nfor item in {a}:\n    {out} += 1"),
    Piece("maximum", INTS, INT, "take the largest number", lambda v, k: sorted(v)[-1], "max({a})",
          "{out} = {a}[0]\nfor item in {a}:\n    if item > {out}:\n        {out} = item"),
    Piece("minimum", INTS, INT, "take the smallest number", lambda v, k: sorted(v)[0], "min({a})",
          "{out} = {a}[0]\nfor item in {a}:\n    if item < {out}:\n        {out} = item"),
    Piece("spread", INTS, INT, "subtract the smallest number from the largest",
          lambda v, k: sorted(v)[-1] - sorted(v)[0], "max({a}) - min({a})"),
    Piece("alternating", INTS, INT, "add and subtract the numbers in turn, the first added",
          lambda v, k: sum(v[::2]) - sum(v[1::2]),
          "sum(x if i % 2 == 0 else -x for i, x in enumerate({a}))",
          "{out} = 0\nsign = 1\nfor item in {a}:\n    {out} += sign * item\n    sign = -sign"),
    Piece("divisor", INTS, INT, "take the greatest common divisor of all numbers",
          lambda v, k: math.gcd(*v), "functools.reduce(math.gcd, {a}, 0)",
          "{out} = 0\nfor item in {a}:\n    {out} = math.gcd({out}, item)",
          imports="import functools\nimport math"),
    Piece("place", INTS, INT, "find the position, from 0, of the first largest number",
          lambda v, k: min(i for i, x in enumerate(v) if x == max(v)), "{a}.index(max({a}))",
          "{out} = 0\nfor i, item in enumerate({a}):\n    if item > {a}[{out}]:\n"
          "        {out} = i"),
    Piece("longest_run", INTS, INT, "find the length of the longest run of equal neighbors",
          lambda v, k: max((len(list(g)) for _, g in groupby(v)), default=0),
          "max((len(list(group)) for _, group in itertools.groupby({a})), default=0)",
          "{out} = 0\nlength = 0\nbefore = None\nfor item in {a}:\n"
          "    length = length + 1 if item == before else 1\n    before = item\n"
          "    {out} = max({out}, length)", imports="import itertools"),
    # Integers.
    Piece("digits", INT, INTS, "take its decimal digits, without the sign",
          lambda v, k: [ord(c) - 48 for c in str(abs(v))],
          "[int(digit) for digit in str(abs({a}))]"),
    Piece("divisors", INT, INTS, "list its positive divisors in rising order; of 0 none",
          lambda v, k: [d for d in range(1, abs(v) + 1) if math.gcd(d, v) == d],
          "[d for d in range(1, abs({a}) + 1) if {a} % d == 0]",
          "{out} = []\nfor part in range(1, abs({a}) + 1):\n    if {a} % part == 0:\n"
          "        {out}.append(part)"),
    Piece("up_to", INT, INTS, "list the numbers from 0 up to it, without it",
          lambda v, k: list(range(v)), "list(range({a}))",
          "{out} = []\nnext_one = 0\nwhile next_one < {a}:\n    {out}.append(next_one)\n"
          "    next_one += 1"),
    Piece("scaled", INT, INT, "multiply it by {k}", lambda v, k: v * k, "{a} * {k}", "",
          (2, 3, 5, 7)),
    Piece("modulo", INT, INT, "take its remainder after division by {k}",
          lambda v, k: v - v // k * k, "{a} % {k}", "", (3, 5, 7, 11)),
    Piece("collatz", INT, INT, "count the steps to 1 when even numbers are halved and odd ones"
          " tripled plus 1; numbers below 2 need none", lambda v, k: _collatz(v), "",
          "{out} = 0\nleft = {a}\nwhile left > 1:\n"
          "    left = left // 2 if left % 2 == 0 else 3 * left + 1\n    {out} += 1"),
    Piece("binary", INT, TEXT, "write its absolute value in binary, without a prefix",
          lambda v, k: f"{abs(v):b}", "bin(abs({a}))[2:]",
          "{out} = ''\nleft = abs({a})\nwhile left > 1:\n"
          "    {out} = str(left % 2) + {out}\n    left //= 2\n{out} = str(left) + {out}"),
    Piece("decimal", INT, TEXT, "write it in decimal", lambda v, k: repr(v), "str({a})"),
    # Texts.
    Piece("mirrored", TEXT, TEXT, "reverse the characters", lambda v, k: "".join(reversed(v)),
          "{a}[::-1]", _each("{out} = item + {out}", "''")),
    Piece("upper", TEXT, TEXT, "write it in upper case", lambda v, k: v.swapcase().swapcase()
          and "".join(c.upper() for c in v), "{a}.upper()"),
    Piece("swapped", TEXT, TEXT, "swap upper and lower case", lambda v, k: "".join(
          c.lower() if c.isupper() else c.upper() for c in v), "{a}.swapcase()"),
    Piece("without_vowels", TEXT, TEXT, "remove the vowels a, e, i, o and u in either case",
          lambda v, k: v.translate(dict.fromkeys(map(ord, "aeiouAEIOU"))),
          "''.join(c for c in {a} if c.lower() not in 'aeiou')",
          _each("if item.lower() not in 'aeiou':\n    {out} += item", "''")),
    Piece("letters", TEXT, TEXT, "keep the letters only", lambda v, k: "".join(
          filter(str.isalpha, v)), "''.join(c for c in {a} if c.isalpha())",
          _each("if item.isalpha():\n    {out} += item", "''")),
    Piece("doubled", TEXT, TEXT, "repeat every character {k} times",
          lambda v, k: "".join(c * k for c in v), "''.join({k} * c for c in {a})",
          _each("{out} += item * {k}", "''"), (2, 3)),
    Piece("shifted", TEXT, TEXT, "move every lower-case letter from a to z on by {k} places, from z"
          " to a again", lambda v, k: "".join(
              chr((ord(c) - 97 + k) % 26 + 97) if "a" <= c <= "z" else c for c in v), "",
          _each("if 'a' <= item <= 'z':\n    place = (ord(item) - ord('a') + {k}) % 26\n"
                "    item = chr(ord('a') + place)\n{out} += item", "''"), (1, 3, 13)),
    Piece("squeezed", TEXT, TEXT, "write equal neighbors once",
          lambda v, k: "".join(key for key, _ in groupby(v)),
          "''.join(c for i, c in enumerate({a}) if i == 0 or c != {a}[i - 1])",
          _each("if {out}[-1:] != item:\n    {out} += item", "''")),
    Piece("words", TEXT, WORDS, "split it into words at white space", lambda v, k: v.split(),
          "{a}.split()"),
    Piece("chunks", TEXT, WORDS, "cut it into pieces of {k} characters; the last may be shorter",
          lambda v, k: ["".join(c for c in p if c) for p in
                        zip_longest(*[iter(v)] * k, fillvalue="")],
          "[{a}[i:i + {k}] for i in range(0, len({a}), {k})]", "", (2, 3, 4)),
    Piece("length", TEXT, INT, "count its characters", lambda v, k: sum(1 for _ in v), "len({a})"),
    Piece("vowels", TEXT, INT, "count the vowels a, e, i, o and u in either case",
          lambda v, k: sum(map(v.lower().count, "aeiou")),
          "sum(c in 'aeiou' for c in {a}.lower())",
          _each("if item.lower() in 'aeiou':\n    {out} += 1", "0")),
    Piece("kinds", TEXT, INT, "count its different characters", lambda v, k: len(Counter(v)),
          "len(set({a}))"),
    # Lists of words.
    Piece("by_length", WORDS, WORDS, "sort the words by length, equal lengths stay in order",
          lambda v, k: [w for n in sorted({len(w) for w in v}) for w in v if len(w) == n],
          "sorted({a}, key=len)"),
    Piece("alphabetic", WORDS, WORDS, "sort the words", lambda v, k: sorted(v), "sorted({a})"),
    Piece("longer", WORDS, WORDS, "keep the words of more than {k} characters",
          lambda v, k: [w for w in v if w[k:]], "[word for word in {a} if len(word) > {k}]",
          _each("if len(item) > {k}:\n    {out}.append(item)"), (1, 2, 3)),
    Piece("flipped", WORDS, WORDS, "reverse every word", lambda v, k: [w[::-1] for w in v],
          "[''.join(reversed(word)) for word in {a}]", _each("{out}.append(item[::-1])")),
    Piece("capitalized", WORDS, WORDS, "write the first letter of every word in upper case",
          lambda v, k: [w[:1].upper() + w[1:] for w in v],
          "[word[:1].upper() + word[1:] for word in {a}]"),
    Piece("once", WORDS, WORDS, "drop every word that was there before",
          lambda v, k: list(Counter(v)), "list(dict.fromkeys({a}))",
          _each("if item not in {out}:\n    {out}.append(item)")),
    Piece("lengths", WORDS, INTS, "take the length of every word",
          lambda v, k: list(map(len, v)), "[len(word) for word in {a}]",
          _each("{out}.append(len(item))")),
    Piece("joined", WORDS, TEXT, "join the words with hyphens", lambda v, k: "-".join(v),
          "'-'.join({a})"),
    Piece("initials", WORDS, TEXT, "join the first letters of the words",
          lambda v, k: "".join(w[0] for w in v), "''.join(word[:1] for word in {a})",
          _each("{out} += item[:1]", "''")),
    Piece("longest", WORDS, TEXT, "take the longest word, the first of equals",
          lambda v, k: max(v, key=len), "max({a}, key=len)",
          "{out} = {a}[0]\nfor item in {a}:\n    if len(item) > len({out}):\n"
          "        {out} = item"),
    Piece("number", WORDS, INT, "count the words", lambda v, k: len(v), "len({a})"),
)  # fmt: skip


def _collatz(number: int) -> int:
    return 0 if number < 2 else 1 + _collatz(number // 2 if number % 2 == 0 else 3 * number + 1)
