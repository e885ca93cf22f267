"""How mail programs mark quotes, attributions and signatures in HTML: one table, and the few that need a closer look.

What stands here is language-free and surer than any words, so it is used first.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lxml import etree

from ingest.reply.html.tree import Element, text_of
from ingest.reply.lines import Kind, Mark

_HEADER_LABELS = 10


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


def _is_no_header(element: Element) -> bool:
    """Zoho numbers its generated elements: the signature and the quote's header can have the same id."""
    return not text_of(element, 40).startswith("----")


def _is_header(element: Element) -> bool:
    """The ruled header block of Outlook: some ``<b>Label:</b>`` in it, in whatever language."""
    labels = itertools.islice(element.iter("b", "strong"), _HEADER_LABELS)
    return sum(text_of(label, 40).endswith((":", "：")) for label in labels) >= 2


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of markup of one mail program."""

    kind: Kind
    client: str
    confidence: float = 0.98
    applies: Callable[[Element], bool] = _always


_LEAD = 400
Reader = Callable[[Element, str], Rule | None]
_CITE = Rule(Kind.QUOTE, "blockquote type=cite", 0.97)
_GMAIL_QUOTE = Rule(Kind.QUOTE, "gmail_quote", applies=_holds_no_blockquote)
_YAHOO_QUOTE = Rule(Kind.QUOTE, "yahoo_quoted")
_OUTLOOK_REPLY = Rule(Kind.REST, "divRplyFwdMsg")
_OUTLOOK_MOBILE = Rule(Kind.REST, "ms-outlook-mobile-reference-message")
_OUTLOOK_APP = Rule(Kind.DEVICE, "ms-outlook-mobile-signature", 0.95)
_APPLE_SIGNATURE = Rule(Kind.SIGNATURE, "AppleMailSignature", 0.9)
_ZOHO_QUOTE = Rule(Kind.QUOTE, "zmail_extra")

_BY_CLASS = {
    "gmail_attr": Rule(Kind.ATTRIBUTION, "gmail_attr", applies=_is_attribution),
    "gmail_quote": _GMAIL_QUOTE,
    "gmail_quote_container": _GMAIL_QUOTE,
    "gmail_signature": Rule(Kind.SIGNATURE, "gmail_signature", 0.9),
    "gmail_signature_prefix": Rule(Kind.SIGNATURE, "gmail_signature", 0.9),
    "moz-cite-prefix": Rule(Kind.ATTRIBUTION, "moz-cite-prefix"),
    "moz-forward-container": Rule(Kind.FORWARD, "moz-forward-container"),
    "moz-email-headers-table": Rule(Kind.FORWARD, "moz-email-headers-table"),
    "moz-signature": Rule(Kind.SIGNATURE, "moz-signature", 0.95),
    "ms-outlook-mobile-reference-message": _OUTLOOK_MOBILE,
    "ms-outlook-mobile-signature": _OUTLOOK_APP,
    "ms-outlook-ios-signature": _OUTLOOK_APP,
    "outlookmessageheader": Rule(Kind.REST, "OutlookMessageHeader", 0.97),
    "applemailsignature": _APPLE_SIGNATURE,
    "yahoo_quoted": _YAHOO_QUOTE,
    "yahoo-quoted-begin": Rule(Kind.REST, "yahoo-quoted-begin"),
    "iosymail": _YAHOO_QUOTE,
    "protonmail_quote": Rule(Kind.QUOTE, "protonmail_quote"),
    "protonmail_signature_block": Rule(Kind.SIGNATURE, "protonmail_signature_block", 0.95),
    "tutanota_quote": Rule(Kind.QUOTE, "tutanota_quote"),
    "skiff_quote": Rule(Kind.QUOTE, "skiff_quote"),
    "zmail_extra": _ZOHO_QUOTE,
    "front-blockquote": Rule(Kind.QUOTE, "front-blockquote"),
    "front-signature": Rule(Kind.SIGNATURE, "front-signature", 0.95),
    "sh-quoted-content": Rule(Kind.QUOTE, "sh-quoted-content"),
    "sh-signature": Rule(Kind.SIGNATURE, "sh-signature", 0.9),
    "nylas-quote": Rule(Kind.QUOTE, "nylas-quote"),
    "missive_quote": Rule(Kind.QUOTE, "missive_quote"),
    "notion-mail-quote": Rule(Kind.QUOTE, "notion-mail-quote"),
    "outreach-quote": Rule(Kind.QUOTE, "outreach-quote"),
    "hs_reply": Rule(Kind.QUOTE, "hs_reply"),
    "fernand_quote": Rule(Kind.QUOTE, "fernand_quote"),
    "freshdesk_quote": Rule(Kind.QUOTE, "freshdesk_quote"),
    "quotedreply": Rule(Kind.QUOTE, "quotedReply"),
    "ik_mail_quote": Rule(Kind.QUOTE, "ik_mail_quote"),
    "alimail-quote": Rule(Kind.QUOTE, "alimail-quote"),
    "spark_quote": Rule(Kind.QUOTE, "spark_quote"),
    "clean_bq": Rule(Kind.QUOTE, "airmail clean_bq"),
    "airmail_on": Rule(Kind.ATTRIBUTION, "airmail_on"),
    "airmail_ext_on": Rule(Kind.ATTRIBUTION, "airmail_on"),
    "gmail_quote_attribution": Rule(Kind.ATTRIBUTION, "mailspring attribution"),
    "history-quote-wrapper": Rule(Kind.QUOTE, "lark history-quote-wrapper"),
    "bloop_sign": Rule(Kind.SIGNATURE, "airmail bloop_sign", 0.9),
}
_BY_ID = {
    "divrplyfwdmsg": _OUTLOOK_REPLY,
    "x_divrplyfwdmsg": _OUTLOOK_REPLY,
    "mail-editor-reference-message-container": Rule(Kind.REST, "mail-editor-reference-message-container"),
    "olk_src_body_section": Rule(Kind.REST, "OLK_SRC_BODY_SECTION"),
    "stopspelling": Rule(Kind.REST, "hr stopSpelling", 0.95),
    "replysplit": Rule(Kind.REST, "hr replySplit", 0.95),
    "signature": Rule(Kind.SIGNATURE, "Signature", 0.9),
    "ms-outlook-mobile-signature": _OUTLOOK_APP,
    "applemailsignature": _APPLE_SIGNATURE,
    "zwchr": Rule(Kind.REST, "zimbra zwchr"),
    "reply-intro": Rule(Kind.ATTRIBUTION, "reply-intro"),
    "_rc_sig": Rule(Kind.SIGNATURE, "roundcube _rc_sig", 0.95),
    "forwardbody1": Rule(Kind.FORWARD, "forwardbody1"),
    "isreplycontent": Rule(Kind.QUOTE, "isReplyContent"),
    "isforwardcontent": Rule(Kind.FORWARD, "isForwardContent"),
    "ntes-pcmac-signature": Rule(Kind.SIGNATURE, "ntes-pcmac-signature", 0.95),
    "ntes-pcmail-signature": Rule(Kind.SIGNATURE, "ntes-pcmail-signature", 0.95),
    "origbody": Rule(Kind.REST, "sina origbody"),
    "reply139content": Rule(Kind.REST, "reply139content"),
    "orimsghtmlseperator": Rule(Kind.QUOTE, "oriMsgHtmlSeperator"),
    "sub-body-container": Rule(Kind.QUOTE, "gmx sub-body-container", 0.95),
    "composer_signature": Rule(Kind.DEVICE, "samsung composer_signature", 0.95),
    "ymail_android_signature": Rule(Kind.DEVICE, "ymail_android_signature", 0.95),
    "zm-_id_-sgn": Rule(Kind.SIGNATURE, "zoho signature", 0.9, _is_no_header),
    "canaryblockquote": Rule(Kind.QUOTE, "CanaryBlockquote"),
    "canarysig": Rule(Kind.SIGNATURE, "CanarySig", 0.9),
    "edo-original": Rule(Kind.QUOTE, "edo-original"),
    "signature_old": Rule(Kind.SIGNATURE, "em client signature_old", 0.9),
    "edo-signature": Rule(Kind.SIGNATURE, "edo-signature", 0.9),
    "qt": Rule(Kind.QUOTE, "fastmail qt", 0.97),
}
_BY_NAME = {
    "quote": Rule(Kind.QUOTE, "gmx quote"),
    "messagereplysection": Rule(Kind.QUOTE, "messageReplySection", applies=_holds_no_blockquote),
    "messagesignaturesection": Rule(Kind.SIGNATURE, "messageSignatureSection", 0.9),
    "_mailoriginal": Rule(Kind.REST, "_MailOriginal", 0.95),
}
_BY_DATA = {
    ("data-marker", "__divider__"): Rule(Kind.REST, "zimbra divider"),
    ("data-marker", "__headers__"): Rule(Kind.REST, "zimbra headers"),
    ("data-marker", "__quoted_text__"): Rule(Kind.QUOTE, "zimbra quote"),
    ("data-marker", "__sig_pre__"): Rule(Kind.SIGNATURE, "zimbra signature", 0.95),
    ("data-marker", "__sig_post__"): Rule(Kind.SIGNATURE, "zimbra signature", 0.95),
    ("data-signature-widget", "container"): Rule(Kind.SIGNATURE, "mail.ru signature", 0.95),
    ("data-signatureblock", "true"): Rule(Kind.SIGNATURE, "windows mail signature", 0.95),
    ("data-skiff-mail", ""): Rule(Kind.QUOTE, "skiff_quote"),
    ("data-skiff-mail", "true"): Rule(Kind.QUOTE, "skiff_quote"),
    ("data-type", "quote-separator"): Rule(Kind.REST, "quote-separator", 0.95),
    ("title", "beforequote:::"): Rule(Kind.REST, "zoho beforequote"),
}
_CONTAINERS = (_GMAIL_QUOTE, _BY_NAME["messagereplysection"])
_BY_PART = (
    ("yahoo_quoted", _YAHOO_QUOTE),
    ("yahoo_signature", Rule(Kind.SIGNATURE, "yahoo_signature", 0.95)),
    ("zmail_signature", Rule(Kind.SIGNATURE, "zoho signature", 0.9)),
)
_RULED_HEADER = re.compile(r"border:none;border-top:solid|border-style:solidnonenone|border-width:1ptmediummedium")
_OUTLOOK_EXPRESS = Rule(Kind.QUOTE, "outlook express quote", 0.93)
_OUTLOOK_HEADER = Rule(Kind.REST, "outlook header", 0.95, _is_header)


def marks(root: Element) -> Iterator[tuple[Element, Mark]]:
    """The outermost elements that a mail program marked, in document order; nothing after one that marks the rest."""
    stack = [root]
    while stack:
        element = stack.pop()
        rule = rule_for(element)
        if rule is None or not rule.applies(element):
            lead = _lead(element) if rule in _CONTAINERS else None
            if lead is not None:
                yield lead, Mark(Kind.ATTRIBUTION, f"{rule.client if rule else ''} lead", 0.95)
            if element.tag != "pre":  # a mark would tear code apart
                stack.extend(child for child in reversed(element) if child is not lead)
            continue
        yield element, Mark(rule.kind, rule.client, rule.confidence)
        if rule.kind in (Kind.REST, Kind.FORWARD):
            return


def _lead(container: Element) -> Element | None:
    """What stands between a quote's container and the quote itself is its attribution, in whatever language."""
    before = list(itertools.takewhile(lambda child: child.tag != "blockquote", container))
    if len(before) == len(container) or any(rule_for(child) for child in before):
        return None
    lead = etree.Element("div")
    lead.text = container.text
    lead.extend(before)
    if not 0 < len(text_of(lead)) < _LEAD or _announces_forward(lead):
        container.text = None
        container.insert(0, lead)
        lead.tag = "span"
        return None
    container.text = None
    container.insert(0, lead)
    return lead


def rule_for(element: Element) -> Rule | None:
    """The rule for one element: the first of its attributes that a mail program is known by."""
    for name, value in element.items():
        read = _READERS.get(str(name))
        rule = read(element, str(value).lower()) if read is not None else None
        if rule is not None:
            return rule
    return None


def _by_class(element: Element, listed: str) -> Rule | None:
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


def _by_id(_element: Element, value: str) -> Rule | None:
    return _BY_ID.get(value) or _by_part(value)


def _by_name(_element: Element, value: str) -> Rule | None:
    return _BY_NAME.get(value)


def _by_cite(element: Element, value: str) -> Rule | None:
    return _CITE if element.tag == "blockquote" and value not in ("", "disc", "circle", "square") else None


def _by_style(element: Element, _value: str) -> Rule | None:
    if element.tag == "div" and "border" in element.get("style", ""):
        return _OUTLOOK_HEADER if _RULED_HEADER.search(_style(element)) else None
    if element.tag == "blockquote":
        style = _style(element)
        return _OUTLOOK_EXPRESS if "border-left:#0000" in style and "2pxsolid" in style else None
    return None


def _by_data(name: str) -> Reader:
    rules = {value: rule for (attribute, value), rule in _BY_DATA.items() if attribute == name}
    return lambda _element, value: rules.get(value)


def _style(element: Element) -> str:
    return "".join(element.get("style", "")[:2_000].lower().split())


_READERS: dict[str, Reader] = {
    **{name: _by_data(name) for name, _ in _BY_DATA},
    "class": _by_class,
    "id": _by_id,
    "name": _by_name,
    "type": _by_cite,
    "cite": _by_cite,
    "style": _by_style,
}
