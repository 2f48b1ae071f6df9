"""Words of technical text: signs, decimals, powers and comparisons stay what they say.

SQuAD's normalisation deletes punctuation, and with it the difference of ``-90 dBm`` and ``90 dBm``, of ``3.14`` and
``314``, of ``>10 ms`` and ``<10 ms``, of ``10^-5`` and ``105``. Here a number is one token with its sign, its decimals
and its exponent, and a comparison is a token of its own.
"""

from __future__ import annotations

import re
import unicodedata

from .segmentation import apart

_ARTICLES = frozenset(("a", "an", "the"))
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_RAISED = re.compile("(?<=[0-9])[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_COMPARISONS = {"<=": "≤", "=<": "≤", ">=": "≥", "=>": "≥", "!=": "≠", "+/-": "±", "+-": "±"}
_MINUS = re.compile("[\u2010-\u2013\u2212\ufe63\uff0d](?=\\.?[0-9])")
# Units that stand close to their number as often as apart from it.
_UNITS = (
    r"(?:[kmgt]?(?:hz|bit/s|bps|b/s|bits?|bytes?|octets?|w|m)|[kmgt]i?b|[mnpμ]s|s|[nμ]m|cm|dbm?|dbw|dbi|dbc"
    r"|ppm|ppb|v|a)"
)
_ONE_TIMES = re.compile(r"\b1e\+?")
_TOKENS = re.compile(
    r"(?P<number>(?:(?<![\w.)\]])[+-])?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)*(?:\^[+-]?[0-9]+|e[+-]?[0-9]+)?)"
    rf"(?:(?={_UNITS}(?![\w]))|(?![^\W_]))"
    r"|(?P<word>\w+(?:['’](?!s\b)\w+)*(?:(?<=[0-9])(?:\.[0-9]+)+)?)(?:['’]s\b)?"
    r"|(?P<sign><=|=<|>=|=>|!=|\+/-|\+-|[<>≤≥≠±≈~%‰°$€£])"
)


def technical_words(text: str) -> list[str]:
    """Tokens in lower case: words, numbers, comparisons; characters where no spaces stand.

    Articles are left out where there is anything else: the reference ``A`` is a label. Hyphens and slashes part words.
    A minus belongs to a number where no word or number ends before it.

    >>> technical_words("The level is ≥ -90dBm, i.e. 10⁻⁵ of 1,000 mW")
    ['level', 'is', '≥', '-90', 'dbm', 'i', 'e', '10^-5', 'of', '1000', 'mw']
    >>> technical_words("3GPP TS 23.501: 5-10 ms, AMF's")
    ['3gpp', 'ts', '23.501', '5', '10', 'ms', 'amf']
    """
    if not text.isascii():
        text = _MINUS.sub("-", _RAISED.sub(lambda found: f"^{found[0].translate(_SUPERSCRIPTS)}", text))
        text = apart(unicodedata.normalize("NFKC", text))
    tokens = []
    for found in _TOKENS.finditer(text.lower()):
        token = found[found.lastgroup or 0]
        if found.lastgroup == "number":
            token = _ONE_TIMES.sub("10^", token.replace(",", "").removeprefix("+"))
        elif found.lastgroup == "sign":
            token = _COMPARISONS.get(token, token)
        tokens.append(token)
    return [token for token in tokens if token not in _ARTICLES] or tokens
