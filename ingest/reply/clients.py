"""How mail programs mark quotes, attributions and signatures in HTML: one table, and the few that need a closer look.

What stands here is language-free and surer than any words, so it is used first.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ingest.reply.lines import Kind, Mark
from ingest.reply.tree import Element, text_of


def _always(_element: Element) -> bool:
    return True


def _holds_no_blockquote(element: Element) -> bool:
    """Gmail's container: where the quote inside has marks of its own, text beside it is an answer."""
    return next(element.iter("blockquote"), None) is None and not _announces_forward(element)


def _is_attribution(element: Element) -> bool:
    """Gmail gives a forward's header the class of an attribution; dashes tell them apart in every language."""
    return not _announces_forward(element)


def _announces_forward(element: Element) -> bool:
    return text_of(element, 80).startswith("-----")


def _is_quote(element: Element) -> bool:
    """Gmail's "indent more" is a blockquote with the same class and no line."""
    style = _style(element)
    return "border:none" not in style and "border:0" not in style


def _is_header(element: Element) -> bool:
    """The ruled header block of Outlook for Windows and Mac: some ``<b>Label:</b>`` in it, in whatever language."""
    return text_of(element).count(":") + text_of(element).count("：") >= 2


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of markup of one mail program."""

    kind: Kind
    client: str
    confidence: float = 0.98
    applies: Callable[[Element], bool] = _always


_CITE = Rule(Kind.QUOTE, "blockquote type=cite", 0.97)

_BY_CLASS = {
    "gmail_attr": Rule(Kind.ATTRIBUTION, "gmail_attr", applies=_is_attribution),
    "gmail_quote": Rule(Kind.QUOTE, "gmail_quote", applies=_holds_no_blockquote),
    "gmail_quote_container": Rule(Kind.QUOTE, "gmail_quote", applies=_holds_no_blockquote),
    "gmail_signature": Rule(Kind.SIGNATURE, "gmail_signature", 0.9),
    "gmail_signature_prefix": Rule(Kind.SIGNATURE, "gmail_signature", 0.9),
    "moz-cite-prefix": Rule(Kind.ATTRIBUTION, "moz-cite-prefix"),
    "moz-email-headers-table": Rule(Kind.FORWARD, "moz-email-headers-table"),
    "moz-forward-container": Rule(Kind.FORWARD, "moz-forward-container"),
    "moz-signature": Rule(Kind.SIGNATURE, "moz-signature", 0.95),
    "protonmail_quote": Rule(Kind.QUOTE, "protonmail_quote"),
    "protonmail_signature_block": Rule(Kind.SIGNATURE, "protonmail_signature_block", 0.95),
    "tutanota_quote": Rule(Kind.QUOTE, "tutanota_quote"),
    "tutanota_indented": Rule(Kind.QUOTE, "tutanota_quote"),
    "front-blockquote": Rule(Kind.QUOTE, "front-blockquote"),
    "front-signature": Rule(Kind.SIGNATURE, "front-signature", 0.95),
    "sh-quoted-content": Rule(Kind.QUOTE, "sh-quoted-content"),
    "sh-signature": Rule(Kind.SIGNATURE, "sh-signature", 0.9),
    "nylas-quote": Rule(Kind.QUOTE, "nylas-quote"),
    "nylas-quote-attribution": Rule(Kind.ATTRIBUTION, "nylas-quote"),
    "missive_quote": Rule(Kind.QUOTE, "missive_quote"),
    "spark_quote": Rule(Kind.QUOTE, "spark_quote"),
    "clean_bq": Rule(Kind.QUOTE, "airmail quote"),
    "airmail_on": Rule(Kind.ATTRIBUTION, "airmail_on"),
    "airmail_ext_on": Rule(Kind.ATTRIBUTION, "airmail_on"),
    "bloop_sign": Rule(Kind.SIGNATURE, "airmail signature", 0.9),
    "history_container": Rule(Kind.QUOTE, "mailbird history_container"),
    "freshdesk_quote": Rule(Kind.QUOTE, "freshdesk_quote"),
    "zmail_extra": Rule(Kind.REST, "zmail_extra"),
    "yahoo_quoted": Rule(Kind.QUOTE, "yahoo_quoted"),
    "yahoo_signature": Rule(Kind.SIGNATURE, "yahoo_signature", 0.95),
    "ms-outlook-mobile-reference-message": Rule(Kind.REST, "ms-outlook-mobile-reference-message"),
    "ms-outlook-ios-reference-message": Rule(Kind.REST, "ms-outlook-mobile-reference-message"),
    "ms-outlook-mobile-signature": Rule(Kind.DEVICE, "ms-outlook-mobile-signature", 0.95),
    "ms-outlook-ios-signature": Rule(Kind.DEVICE, "ms-outlook-mobile-signature", 0.95),
    "outlookmessageheader": Rule(Kind.REST, "OutlookMessageHeader", 0.97),
    "applemailsignature": Rule(Kind.SIGNATURE, "AppleMailSignature", 0.9),
    "rcmsignature": Rule(Kind.SIGNATURE, "roundcube signature", 0.9),
    "zd-quote": Rule(Kind.QUOTE, "zendesk quote"),
    "hs_reply": Rule(Kind.QUOTE, "hubspot quote"),
    "edo-original": Rule(Kind.REST, "edison quote"),
    "xfm_quote": Rule(Kind.REST, "xfm quote"),
    "mail-quote-collapse": Rule(Kind.QUOTE, "yandex quote"),
    "mailmunge_quote": Rule(Kind.QUOTE, "mail.ru quote"),
    "seznam_quote": Rule(Kind.REST, "seznam quote"),
    "ntes-quote": Rule(Kind.REST, "netease quote"),
    "reply-quote": Rule(Kind.QUOTE, "reply-quote", 0.9),
    "quoted-text": Rule(Kind.QUOTE, "quoted-text", 0.9),
    "hey-quoted": Rule(Kind.QUOTE, "hey quote", 0.9),
}
_BY_ID = {
    "divrplyfwdmsg": Rule(Kind.REST, "divRplyFwdMsg"),
    "appendonsend": Rule(Kind.REST, "appendonsend", 0.95),
    "mail-editor-reference-message-container": Rule(Kind.REST, "mail-editor-reference-message-container"),
    "olk_src_body_section": Rule(Kind.REST, "OLK_SRC_BODY_SECTION"),
    "stopspelling": Rule(Kind.REST, "outlook.com hr", 0.95),
    "signature": Rule(Kind.SIGNATURE, "Signature", 0.9),
    "ms-outlook-mobile-signature": Rule(Kind.DEVICE, "ms-outlook-mobile-signature", 0.95),
    "applemailsignature": Rule(Kind.SIGNATURE, "AppleMailSignature", 0.9),
    "zwchr": Rule(Kind.REST, "zwchr"),
    "reply-intro": Rule(Kind.ATTRIBUTION, "reply-intro"),
    "_rc_sig": Rule(Kind.SIGNATURE, "roundcube signature", 0.95),
    "forwardbody1": Rule(Kind.FORWARD, "forwardbody1"),
    "isreplycontent": Rule(Kind.REST, "isReplyContent"),
    "isforwardcontent": Rule(Kind.FORWARD, "isForwardContent"),
    "ntes-pcmac-quote": Rule(Kind.REST, "ntes-pcmac-quote"),
    "ntes-pcmail-quote": Rule(Kind.REST, "ntes-pcmail-quote"),
    "ntes-pcmac-signature": Rule(Kind.SIGNATURE, "ntes-pcmac-signature", 0.95),
    "ntes-pcmail-signature": Rule(Kind.SIGNATURE, "ntes-pcmail-signature", 0.95),
    "original-content": Rule(Kind.REST, "qq original-content"),
    "composer_signature": Rule(Kind.DEVICE, "composer_signature", 0.95),
    "ymail_android_signature": Rule(Kind.DEVICE, "ymail_android_signature", 0.95),
    "ymail_ctr_id_-0": Rule(Kind.SIGNATURE, "yahoo signature", 0.9),
    "edo-original": Rule(Kind.REST, "edison quote"),
    "edo-signature": Rule(Kind.SIGNATURE, "edison signature", 0.9),
    "qt": Rule(Kind.QUOTE, "fastmail quote", 0.97),
    "canarysig": Rule(Kind.SIGNATURE, "canary signature", 0.9),
    "canaryblockquote": Rule(Kind.QUOTE, "canary quote"),
    "gmail-quote": Rule(Kind.QUOTE, "gmail_quote"),
    "inner-reply": Rule(Kind.REST, "inner-reply", 0.9),
    "message-reply-quote": Rule(Kind.REST, "reply quote", 0.9),
    "replysplit": Rule(Kind.REST, "replySplit", 0.95),
    "localsignature": Rule(Kind.SIGNATURE, "signature", 0.9),
}
_BY_NAME = {
    "quote": Rule(Kind.QUOTE, "gmx quote"),
    "quoted-content": Rule(Kind.QUOTE, "gmx quote"),
    "messagereplysection": Rule(Kind.REST, "messageReplySection"),
    "messagesignaturesection": Rule(Kind.SIGNATURE, "messageSignatureSection", 0.9),
}
_BY_MARKER = {
    "__divider__": Rule(Kind.REST, "zimbra divider"),
    "__quoted_text__": Rule(Kind.QUOTE, "zimbra quote"),
    "__headers__": Rule(Kind.REST, "zimbra headers"),
    "__sig_pre__": Rule(Kind.SIGNATURE, "zimbra signature", 0.95),
    "__sig_post__": Rule(Kind.SIGNATURE, "zimbra signature", 0.95),
}
_BY_PART = (
    ("yahoo_quoted", Rule(Kind.QUOTE, "yahoo_quoted")),
    ("yahoo_signature", Rule(Kind.SIGNATURE, "yahoo_signature", 0.95)),
    ("zmail_signature", Rule(Kind.SIGNATURE, "zoho signature", 0.9)),
    ("zmail_extra", Rule(Kind.REST, "zmail_extra")),
    ("outlookmessageheader", Rule(Kind.REST, "OutlookMessageHeader", 0.97)),
)
_RULED_HEADER = re.compile(r"border:none;border-top:(?:solid|1\.0ptsolid|solid#)[^;]*.*padding:3\.0pt")
_OUTLOOK_EXPRESS = Rule(Kind.QUOTE, "outlook express quote", 0.93)
_OUTLOOK_HEADER = Rule(Kind.REST, "outlook header", 0.95, _is_header)


def marks(root: Element) -> Iterator[tuple[Element, Mark]]:
    """The outermost elements that a mail program marked, in document order; nothing after one that marks the rest."""
    stack = [root]
    while stack:
        element = stack.pop()
        rule = rule_for(element)
        if rule is None or not rule.applies(element):
            stack.extend(reversed(element))
            continue
        yield element, Mark(rule.kind, rule.client, rule.confidence)
        if rule.kind in (Kind.REST, Kind.FORWARD):
            return


def rule_for(element: Element) -> Rule | None:
    """The rule for one element, by what costs least to look at first."""
    attributes = element.attrib
    if not attributes:
        return None
    rule = _by_class(element) if "class" in attributes else None
    return rule or _by_other(element)


def _by_class(element: Element) -> Rule | None:
    listed = element.get("class", "").lower()
    for name in listed.split()[:20]:
        rule = _BY_CLASS.get(name)
        if rule is not None:
            return _cited(element, rule)
    return _by_part(listed)


def _cited(element: Element, rule: Rule) -> Rule | None:
    """A blockquote of a class is the quote itself; an element around it is its container."""
    if element.tag != "blockquote":
        return rule
    return Rule(rule.kind, rule.client, rule.confidence) if _is_quote(element) else None


def _by_part(listed: str) -> Rule | None:
    return next((rule for part, rule in _BY_PART if part in listed), None)


def _by_other(element: Element) -> Rule | None:
    identifier = element.get("id", "").lower()
    rule = (
        _BY_ID.get(identifier)
        or _by_part(identifier)
        or _BY_NAME.get(element.get("name", "").lower())
        or _BY_MARKER.get(element.get("data-marker", "").lower())
    )
    return rule or _by_shape(element)


def _by_shape(element: Element) -> Rule | None:
    if element.tag == "blockquote":
        if element.get("type", "").lower() == "cite" or "cite" in element.attrib:
            return _CITE
        style = _style(element)
        return _OUTLOOK_EXPRESS if "border-left:#0000" in style and "2pxsolid" in style else None
    if element.tag == "div" and "border-top" in element.get("style", "") and _RULED_HEADER.search(_style(element)):
        return _OUTLOOK_HEADER
    return None


def _style(element: Element) -> str:
    return "".join(element.get("style", "")[:2_000].lower().split())
