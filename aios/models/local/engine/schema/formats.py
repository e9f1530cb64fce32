"""The formats of JSON Schema as regular expressions: of each, strings that every validator takes."""

from __future__ import annotations

_LEAP = "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
DATE = (
    "(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP}-02-29)"
)
TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"
_MINUTES = "[0-9]{1,2}M(?:[0-9]{1,2}S)?"
DURATION = (
    f"P(?:[1-9][0-9]{{0,3}}W|(?:[0-9]{{1,4}}Y)?(?:[0-9]{{1,2}}M)?[0-9]{{1,3}}D(?:T[0-9]{{1,3}}H(?:{_MINUTES})?)?"
    f"|T(?:[0-9]{{1,3}}H(?:{_MINUTES})?|{_MINUTES}|[0-9]{{1,3}}S))"
)
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9]|-[a-zA-Z0-9]){0,20}"
HOST = rf"(?:{_LABEL}\.){{0,3}}[a-zA-Z](?:[a-zA-Z0-9]{{0,20}})"
_DOMAIN = rf"(?:{_LABEL}\.){{1,3}}[a-zA-Z]{{2,10}}"
EMAIL = rf"[a-zA-Z0-9]+(?:[._%+-][a-zA-Z0-9]+){{0,4}}@{_DOMAIN}"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_SHORTENED = [
    (f"(?:G:){{0,{left - 1}}}G" if left else "") + "::" + (f"(?:G:){{0,{5 - left}}}G" if left < 6 else "")
    for left in range(7)
]
IPV6 = f"(?:{'|'.join(['(?:G:){7}G', *_SHORTENED])})".replace("G", "[0-9a-fA-F]{1,4}")
_PATH = r"(?:/(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})*)*"
_REST = r"(?:[a-zA-Z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*"
_QUERY = rf"(?:\?{_REST})?(?:#{_REST})?"
URI = rf"(?:https?|ftp)://{_DOMAIN}(?::[1-9][0-9]{{0,3}})?{_PATH}{_QUERY}"
_HEX = "[0-9a-fA-F]"
UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-V{_HEX}{{3}}-[89abAB]{_HEX}{{3}}-{_HEX}{{12}}"
_POINTER = "(?:/(?:[^/~]|~[01])*)*"

FORMATS: dict[str, str] = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "duration": DURATION,
    "email": EMAIL,
    "idn-email": EMAIL,
    "hostname": HOST,
    "idn-hostname": HOST,
    "ipv4": IPV4,
    "ipv6": IPV6,
    "uri": URI,
    "iri": URI,
    "url": URI,
    "uri-reference": rf"(?:{URI}|{_PATH}{_QUERY})",
    "iri-reference": rf"(?:{URI}|{_PATH}{_QUERY})",
    "uri-template": rf"{URI}(?:/\{{[a-z]{{1,20}}\}}){{0,3}}",
    "uuid": UUID.replace("V", "[1-5]"),
    **{f"uuid{version}": UUID.replace("V", str(version)) for version in range(1, 9)},
    "json-pointer": _POINTER,
    "relative-json-pointer": f"(?:0|[1-9][0-9]{{0,3}})(?:#|{_POINTER})",
    "regex": r"\^?[a-zA-Z0-9 _-]{0,60}\$?",
}
"""Formats that are not here say nothing that a validator checks."""
