"""Characters of our own that stand in the HTML tree, and in the Markdown made of it, until the Markdown is done.

The conversion to Markdown has rules of its own about backslashes, brackets and blanks, and keeps no note of elements.
So what must come through it unchanged is written as a code point that Unicode reserves for internal use (U+FDD0 to
U+FDEF), which no mail has: ``CONTROL`` removes them from the mail before anything is written.

=================  ==========  =========================================  =========================================
name               code point  written by                                 read by
=================  ==========  =========================================  =========================================
MARK_BEGIN         U+FDD0      ``page``: before an element of a quote,    ``page``: the lines from here on have the
                               signature or the like, with its number     mark of this number
MARK_END           U+FDD1      ``page``: behind such an element           ``page``: the mark of this number ends
NUMBER_END         U+FDD2      ``page``: behind the number of the two     ``page``; ``blocks`` spares such a paragraph
                               above
ESCAPE             U+FDD3      ``escape``: before a character that        ``escape.with_backslashes``: a backslash
                               Markdown would take for markup
BACKSLASH          U+FDD4      ``escape``: in place of a backslash that   ``escape.with_backslashes``: two backslashes
                               would escape something
OPENING_BRACKET    U+FDD5      ``escape``: in place of ``[`` in the       ``escape.with_backslashes``: an escaped
                               words of a link                            bracket
CLOSING_BRACKET    U+FDD6      ``escape``: the same for ``]``             ``escape.with_backslashes``
BLANK              U+FDD7      ``sanitize``: in place of each blank of    ``escape.with_backslashes``: a no-break space
                               an indentation that is shown
=================  ==========  =========================================  =========================================
"""

import re

MARK_BEGIN = "\ufdd0"
MARK_END = "\ufdd1"
NUMBER_END = "\ufdd2"
ESCAPE = "\ufdd3"
BACKSLASH = "\ufdd4"
OPENING_BRACKET = "\ufdd5"
CLOSING_BRACKET = "\ufdd6"
BLANK = "\ufdd7"

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufdd0-\ufdef\ufffe\uffff]")
"""Control and non-character code points. Mail never needs them; U+FDD0 to U+FDD7 are our own sentinels while Markdown
is built."""
