"""Our replies, and the enhanced status codes that complete those of aiosmtpd (RFC 2034, RFC 3463)."""

import re

_ENHANCED = re.compile(r"[245]\d\d [245]\.\d{1,3}\.\d{1,3} ")
_CODES = {
    "250": "2.0.0",
    "500": "5.5.2",
    "501": "5.5.4",
    "502": "5.5.1",
    "503": "5.5.1",
    "552": "5.3.4",
    "555": "5.5.4",
}

UNAVAILABLE = "452 4.3.1 Insufficient system storage, try again later"
UNEXPECTED = "451 4.3.0 Internal error, try again later"
TOO_LARGE = "552 5.3.4 Message exceeds the size limit"
SHUTTING_DOWN = "421 4.3.2 Service shutting down, try again later"
TOO_MANY_CONNECTIONS = "421 4.7.0 Too many connections, try again later"
TOO_CROWDED = "421 4.7.0 Others need this connection, try again later"
NO_HTTP = "500 5.5.2 This is not an HTTP server"
TOO_MANY_ERRORS = "421 4.7.0 Too many errors or idle commands"
TOO_MANY_RECIPIENTS = "452 4.5.3 Too many recipients, send the others in another transaction"
TOO_FAST = "450 4.7.1 Too many messages, try again later"
TOO_SLOW = "421 4.4.2 Timeout exceeded"
NEEDS_SMTPUTF8 = "553 5.6.7 An address beyond ASCII needs SMTPUTF8"
NOT_A_RELAY = "554 5.7.1 Your address may not send mail here"


def enhanced(reply: str) -> str:
    """Return ``reply`` with an enhanced status code, if it has none and its basic code has one in our table."""
    code = _CODES.get(reply[:3])
    return reply if code is None or _ENHANCED.match(reply) else f"{reply[:3]} {code} {reply[4:]}"
