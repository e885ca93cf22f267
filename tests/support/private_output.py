"""Finds what must not stand in logs and reasons: secrets of the tests, and full addresses of people."""

import json
import re

from ingest import signing
from ingest.config.settings import SANDBOX_TOKEN
from tests.support.fixture_mails import SANDBOX, SIGNING_KEY

PEOPLE = sorted({str(user["email"]) for user in json.loads(SANDBOX.read_text("utf-8"))["users"]})
"""The people of the start data, from whom nearly all mail of the tests comes."""
_ADDRESS_OF_SOMEBODY = re.compile(rf"(?<![\w.+-])(?:{'|'.join(map(re.escape, PEOPLE))})(?![\w-])", re.IGNORECASE)
_SIGNED_ADDRESS = re.compile(rf"(?<![\w.+-]){signing.ADDRESS.pattern}@")
"""Whoever reads such an address in a log can write to its ticket."""
_SECRET = re.compile("|".join(map(re.escape, (SIGNING_KEY, SANDBOX_TOKEN))))


def private_in(text: str) -> list[str]:
    """Return what is private in an output, each with a name for its kind."""
    patterns = {
        "an address": _ADDRESS_OF_SOMEBODY,
        "a signed address": _SIGNED_ADDRESS,
        "a secret": _SECRET,
    }
    return [f"{kind}: {found[0]}" for kind, pattern in patterns.items() for found in pattern.finditer(text)]
