"""The markup by which mail programs mark quotes, attributions and signatures in HTML: one table for each attribute, and
functions for the few that need a closer look. To add a mail program, add a line to one of the tables.

Markup does not depend on the language and is surer than any words, so it is used first.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lxml import etree

from ingest.model.reasons import CutReason, Recognised
from ingest.reply.html.tree import Element, text_of
from ingest.reply.lines import LineMark, MarkKind

_MAX_HEADER_LABELS = 10
"""This many bold texts are looked at for header labels; Outlook writes five."""

_MAX_ANCESTORS = 20
"""Gmail's container is looked for in this many elements around a quote; it is the next one or the one after it."""


def _always(_element: Element) -> bool:
    return True


def _holds_no_blockquote(element: Element) -> bool:
    """Return whether Gmail's container is the quote itself. If it holds a blockquote, text beside that is an answer."""
    return next(element.iter("blockquote"), None) is None and not _announces_forward(element)


def _is_attribution(element: Element) -> bool:
    """Return whether this is no forward's header, to which Gmail gives the class of an attribution, with dashes in
    front."""
    return not _announces_forward(element)


def _announces_forward(element: Element) -> bool:
    return text_of(element, 80).startswith("-----")


def _is_quote(element: Element) -> bool:
    """Return whether a blockquote has a line beside it. Gmail's "indent more" has the same class and no line."""
    style = _style(element)
    return "border:none" not in style and "border:0" not in style


def _is_no_header(element: Element) -> bool:
    """Return whether this is Zoho's signature: the header of the quote can have the same id, with dashes in front."""
    return not text_of(element, 40).startswith("----")


def _is_header(element: Element) -> bool:
    """Return whether this is the ruled header block of Outlook: it has some ``<b>Label:</b>``, in any language."""
    labels = itertools.islice(element.iter("b", "strong"), _MAX_HEADER_LABELS)
    return sum(text_of(label, 40).endswith((":", "：")) for label in labels) >= 2


@dataclass(frozen=True, slots=True)
class MarkupRule:
    """One kind of markup of one mail program. ``applies`` may look at the element more closely."""

    kind: MarkKind
    client: str
    applies: Callable[[Element], bool] = _always


_MAX_LEAD_CHARACTERS = 400
"""A longer text above the quote is no attribution."""
AttributeMatcher = Callable[[Element, str], MarkupRule | None]
_CITE = MarkupRule(MarkKind.QUOTE, "blockquote type=cite")
_GMAIL_QUOTE = MarkupRule(MarkKind.QUOTE, "gmail_quote", applies=_holds_no_blockquote)
SPLIT_BY_ANSWERS = frozenset({Recognised(CutReason.CLIENT_MARKUP, _GMAIL_QUOTE.client)})
"""The quotes that the mail program splits where somebody types into them: no answer stands inside one."""
_YAHOO_QUOTE = MarkupRule(MarkKind.QUOTE, "yahoo_quoted")
_OUTLOOK_REPLY = MarkupRule(MarkKind.REST, "divRplyFwdMsg")
_OUTLOOK_MOBILE = MarkupRule(MarkKind.REST, "ms-outlook-mobile-reference-message")
_OUTLOOK_APP = MarkupRule(MarkKind.DEVICE, "ms-outlook-mobile-signature")
_APPLE_SIGNATURE = MarkupRule(MarkKind.SIGNATURE, "AppleMailSignature")
_ZOHO_QUOTE = MarkupRule(MarkKind.QUOTE, "zmail_extra")

_BY_CLASS = {
    "gmail_attr": MarkupRule(MarkKind.ATTRIBUTION, "gmail_attr", applies=_is_attribution),
    "gmail_quote": _GMAIL_QUOTE,
    "gmail_quote_container": _GMAIL_QUOTE,
    "gmail_signature": MarkupRule(MarkKind.SIGNATURE, "gmail_signature"),
    "gmail_signature_prefix": MarkupRule(MarkKind.SIGNATURE, "gmail_signature"),
    "moz-cite-prefix": MarkupRule(MarkKind.ATTRIBUTION, "moz-cite-prefix"),
    "moz-forward-container": MarkupRule(MarkKind.FORWARD, "moz-forward-container"),
    "moz-email-headers-table": MarkupRule(MarkKind.FORWARD, "moz-email-headers-table"),
    "moz-signature": MarkupRule(MarkKind.SIGNATURE, "moz-signature"),
    "ms-outlook-mobile-reference-message": _OUTLOOK_MOBILE,
    "ms-outlook-mobile-signature": _OUTLOOK_APP,
    "ms-outlook-ios-signature": _OUTLOOK_APP,
    "outlookmessageheader": MarkupRule(MarkKind.REST, "OutlookMessageHeader"),
    "applemailsignature": _APPLE_SIGNATURE,
    "yahoo_quoted": _YAHOO_QUOTE,
    "yahoo-quoted-begin": MarkupRule(MarkKind.REST, "yahoo-quoted-begin"),
    "iosymail": _YAHOO_QUOTE,
    "protonmail_quote": MarkupRule(MarkKind.QUOTE, "protonmail_quote"),
    "protonmail_signature_block": MarkupRule(MarkKind.SIGNATURE, "protonmail_signature_block"),
    "tutanota_quote": MarkupRule(MarkKind.QUOTE, "tutanota_quote"),
    "skiff_quote": MarkupRule(MarkKind.QUOTE, "skiff_quote"),
    "zmail_extra": _ZOHO_QUOTE,
    "front-blockquote": MarkupRule(MarkKind.QUOTE, "front-blockquote"),
    "front-signature": MarkupRule(MarkKind.SIGNATURE, "front-signature"),
    "sh-quoted-content": MarkupRule(MarkKind.QUOTE, "sh-quoted-content"),
    "sh-signature": MarkupRule(MarkKind.SIGNATURE, "sh-signature"),
    "nylas-quote": MarkupRule(MarkKind.QUOTE, "nylas-quote"),
    "missive_quote": MarkupRule(MarkKind.QUOTE, "missive_quote"),
    "notion-mail-quote": MarkupRule(MarkKind.QUOTE, "notion-mail-quote"),
    "outreach-quote": MarkupRule(MarkKind.QUOTE, "outreach-quote"),
    "hs_reply": MarkupRule(MarkKind.QUOTE, "hs_reply"),
    "fernand_quote": MarkupRule(MarkKind.QUOTE, "fernand_quote"),
    "freshdesk_quote": MarkupRule(MarkKind.QUOTE, "freshdesk_quote"),
    "quotedreply": MarkupRule(MarkKind.QUOTE, "quotedReply"),
    "ik_mail_quote": MarkupRule(MarkKind.QUOTE, "ik_mail_quote"),
    "alimail-quote": MarkupRule(MarkKind.QUOTE, "alimail-quote"),
    "spark_quote": MarkupRule(MarkKind.QUOTE, "spark_quote"),
    "clean_bq": MarkupRule(MarkKind.QUOTE, "airmail clean_bq"),
    "airmail_on": MarkupRule(MarkKind.ATTRIBUTION, "airmail_on"),
    "airmail_ext_on": MarkupRule(MarkKind.ATTRIBUTION, "airmail_on"),
    "gmail_quote_attribution": MarkupRule(MarkKind.ATTRIBUTION, "mailspring attribution"),
    "history-quote-wrapper": MarkupRule(MarkKind.QUOTE, "lark history-quote-wrapper"),
    "bloop_sign": MarkupRule(MarkKind.SIGNATURE, "airmail bloop_sign"),
}
_BY_ID = {
    "divrplyfwdmsg": _OUTLOOK_REPLY,
    "x_divrplyfwdmsg": _OUTLOOK_REPLY,
    "mail-editor-reference-message-container": MarkupRule(MarkKind.REST, "mail-editor-reference-message-container"),
    "olk_src_body_section": MarkupRule(MarkKind.REST, "OLK_SRC_BODY_SECTION"),
    "stopspelling": MarkupRule(MarkKind.REST, "hr stopSpelling"),
    "replysplit": MarkupRule(MarkKind.REST, "hr replySplit"),
    "signature": MarkupRule(MarkKind.SIGNATURE, "Signature"),
    "ms-outlook-mobile-signature": _OUTLOOK_APP,
    "applemailsignature": _APPLE_SIGNATURE,
    "zwchr": MarkupRule(MarkKind.REST, "zimbra zwchr"),
    "reply-intro": MarkupRule(MarkKind.ATTRIBUTION, "reply-intro"),
    "_rc_sig": MarkupRule(MarkKind.SIGNATURE, "roundcube _rc_sig"),
    "forwardbody1": MarkupRule(MarkKind.FORWARD, "forwardbody1"),
    "isreplycontent": MarkupRule(MarkKind.QUOTE, "isReplyContent"),
    "isforwardcontent": MarkupRule(MarkKind.FORWARD, "isForwardContent"),
    "ntes-pcmac-signature": MarkupRule(MarkKind.SIGNATURE, "ntes-pcmac-signature"),
    "ntes-pcmail-signature": MarkupRule(MarkKind.SIGNATURE, "ntes-pcmail-signature"),
    "origbody": MarkupRule(MarkKind.REST, "sina origbody"),
    "reply139content": MarkupRule(MarkKind.REST, "reply139content"),
    "orimsghtmlseperator": MarkupRule(MarkKind.QUOTE, "oriMsgHtmlSeperator"),
    "sub-body-container": MarkupRule(MarkKind.QUOTE, "gmx sub-body-container"),
    "composer_signature": MarkupRule(MarkKind.DEVICE, "samsung composer_signature"),
    "ymail_android_signature": MarkupRule(MarkKind.DEVICE, "ymail_android_signature"),
    "zm-_id_-sgn": MarkupRule(MarkKind.SIGNATURE, "zoho signature", _is_no_header),
    "canaryblockquote": MarkupRule(MarkKind.QUOTE, "CanaryBlockquote"),
    "canarysig": MarkupRule(MarkKind.SIGNATURE, "CanarySig"),
    "edo-original": MarkupRule(MarkKind.QUOTE, "edo-original"),
    "signature_old": MarkupRule(MarkKind.SIGNATURE, "em client signature_old"),
    "edo-signature": MarkupRule(MarkKind.SIGNATURE, "edo-signature"),
    "qt": MarkupRule(MarkKind.QUOTE, "fastmail qt"),
}
_BY_NAME = {
    "quote": MarkupRule(MarkKind.QUOTE, "gmx quote"),
    "messagereplysection": MarkupRule(MarkKind.QUOTE, "messageReplySection", applies=_holds_no_blockquote),
    "messagesignaturesection": MarkupRule(MarkKind.SIGNATURE, "messageSignatureSection"),
    "_mailoriginal": MarkupRule(MarkKind.REST, "_MailOriginal"),
}
_BY_DATA = {
    ("data-marker", "__divider__"): MarkupRule(MarkKind.REST, "zimbra divider"),
    ("data-marker", "__headers__"): MarkupRule(MarkKind.REST, "zimbra headers"),
    ("data-marker", "__quoted_text__"): MarkupRule(MarkKind.QUOTE, "zimbra quote"),
    ("data-marker", "__sig_pre__"): MarkupRule(MarkKind.SIGNATURE, "zimbra signature"),
    ("data-marker", "__sig_post__"): MarkupRule(MarkKind.SIGNATURE, "zimbra signature"),
    ("data-signature-widget", "container"): MarkupRule(MarkKind.SIGNATURE, "mail.ru signature"),
    ("data-signatureblock", "true"): MarkupRule(MarkKind.SIGNATURE, "windows mail signature"),
    ("data-skiff-mail", ""): MarkupRule(MarkKind.QUOTE, "skiff_quote"),
    ("data-skiff-mail", "true"): MarkupRule(MarkKind.QUOTE, "skiff_quote"),
    ("data-type", "quote-separator"): MarkupRule(MarkKind.REST, "quote-separator"),
    ("title", "beforequote:::"): MarkupRule(MarkKind.REST, "zoho beforequote"),
}
_CONTAINERS = (_GMAIL_QUOTE, _BY_NAME["messagereplysection"])
_BY_SUBSTRING = (
    ("yahoo_quoted", _YAHOO_QUOTE),
    ("yahoo_signature", MarkupRule(MarkKind.SIGNATURE, "yahoo_signature")),
    ("zmail_signature", MarkupRule(MarkKind.SIGNATURE, "zoho signature")),
)
_RULED_HEADER = re.compile(r"border:none;border-top:solid|border-style:solidnonenone|border-width:1ptmediummedium")
_OUTLOOK_EXPRESS = MarkupRule(MarkKind.QUOTE, "outlook express quote")
_OUTLOOK_HEADER = MarkupRule(MarkKind.REST, "outlook header", _is_header)


def marks(root: Element) -> Iterator[tuple[Element, LineMark]]:
    """Yield the outermost elements that a mail program marked, in document order; none after one that marks the
    rest."""
    stack = [root]
    while stack:
        element = stack.pop()
        rule = rule_for(element)
        if rule is None or not rule.applies(element):
            lead = _lead(element) if rule in _CONTAINERS else None
            if lead is not None and rule is not None:
                yield lead, LineMark(MarkKind.ATTRIBUTION, Recognised(CutReason.CLIENT_MARKUP_LEAD, rule.client))
            if element.tag != "pre":  # a mark would tear code apart
                stack.extend(child for child in reversed(element) if child is not lead)
            continue
        typed = rule.client == _GMAIL_QUOTE.client and _is_typed(element)
        yield element, LineMark(rule.kind, Recognised(CutReason.CLIENT_MARKUP, rule.client), typed)
        if rule.kind in (MarkKind.REST, MarkKind.FORWARD):
            return


def _is_typed(element: Element) -> bool:
    """Return whether Gmail's quote button made a blockquote: no container of a reply is around it."""
    above = itertools.islice(element.iterancestors(), _MAX_ANCESTORS)
    return element.tag == "blockquote" and not any("gmail_quote" in parent.get("class", "") for parent in above)


def _lead(container: Element) -> Element | None:
    """Return a new element with what stands between a quote's container and the quote: its attribution, in any
    language. Returns ``None`` if there is none, or if it is too long to be one."""
    before = list(itertools.takewhile(lambda child: child.tag != "blockquote", container))
    if len(before) == len(container) or any(rule_for(child) for child in before):
        return None
    lead = etree.Element("div")
    lead.text = container.text
    lead.extend(before)
    if not 0 < len(text_of(lead)) < _MAX_LEAD_CHARACTERS or _announces_forward(lead):
        container.text = None
        container.insert(0, lead)
        lead.tag = "span"
        return None
    container.text = None
    container.insert(0, lead)
    return lead


def rule_for(element: Element) -> MarkupRule | None:
    """Return the rule of the first attribute of an element that a mail program is known by."""
    for name, value in element.items():
        read = _MATCHERS.get(str(name))
        rule = read(element, str(value).lower()) if read is not None else None
        if rule is not None:
            return rule
    return None


def _by_class(element: Element, listed: str) -> MarkupRule | None:
    for name in listed.split()[:20]:
        rule = _BY_CLASS.get(name)
        if rule is not None:
            return _cited(element, rule)
    return _by_substring(listed)


def _cited(element: Element, rule: MarkupRule) -> MarkupRule | None:
    """Return the rule for an element of a known class: a blockquote is the quote itself, another element its
    container."""
    if element.tag != "blockquote":
        return rule
    return MarkupRule(rule.kind, rule.client) if _is_quote(element) else None


def _by_substring(listed: str) -> MarkupRule | None:
    return next((rule for part, rule in _BY_SUBSTRING if part in listed), None)


def _by_id(_element: Element, value: str) -> MarkupRule | None:
    return _BY_ID.get(value) or _by_substring(value)


def _by_name(_element: Element, value: str) -> MarkupRule | None:
    return _BY_NAME.get(value)


def _by_cite(element: Element, value: str) -> MarkupRule | None:
    return _CITE if element.tag == "blockquote" and value not in ("", "disc", "circle", "square") else None


def _by_style(element: Element, _value: str) -> MarkupRule | None:
    if element.tag == "div" and "border" in element.get("style", ""):
        return _OUTLOOK_HEADER if _RULED_HEADER.search(_style(element)) else None
    if element.tag == "blockquote":
        style = _style(element)
        return _OUTLOOK_EXPRESS if "border-left:#0000" in style and "2pxsolid" in style else None
    return None


def _by_data(name: str) -> AttributeMatcher:
    rules = {value: rule for (attribute, value), rule in _BY_DATA.items() if attribute == name}
    return lambda _element, value: rules.get(value)


def _style(element: Element) -> str:
    return "".join(element.get("style", "")[:2_000].lower().split())


_MATCHERS: dict[str, AttributeMatcher] = {
    **{name: _by_data(name) for name, _ in _BY_DATA},
    "class": _by_class,
    "id": _by_id,
    "name": _by_name,
    "type": _by_cite,
    "cite": _by_cite,
    "style": _by_style,
}
