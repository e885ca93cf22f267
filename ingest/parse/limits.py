"""Limits on how much of one message is parsed. What is beyond a limit stays in the stored mail, and a defect says so.

The figures are far above what people send, and low enough that the costliest message of the largest size that the
worker accepts is parsed in a few seconds.
"""

MAX_HEADER_BYTES = 256 * 1024
"""Size of one header block, all fields together."""
MAX_FIELD_BYTES = 16 * 1024
"""Size of one header field, its folded lines together. A References field of 200 identifiers fits."""
MAX_FIELDS = 1000
"""Fields in one header block; far above what mail programs, servers and filters add together."""
MAX_PARTS = 1000
"""MIME parts in one message, those inside containers included."""
MAX_MULTIPART_DEPTH = 50
"""Levels of multiparts inside multiparts. The walk is recursive, so its depth must be bounded."""
MAX_BOUNDARY_SCANS = 20
"""How many times the bytes of a message may be searched for boundaries, all levels together. It bounds the time for
multiparts inside multiparts, each of which is searched again."""
MIN_SCANNED_BYTES = 1024 * 1024
"""Size that a smaller message counts as when ``MAX_BOUNDARY_SCANS`` is applied, so that small deep mail is not cut."""
MAX_BODY_BYTES = 4 * 1024 * 1024
"""Size of one text part after its transfer encoding is undone. All text parts of a message together may have twice as
much, since a body comes as text and as HTML."""
MAX_DETECTED_BYTES = 64 * 1024
"""How much of a text the charset detector sees: its time grows with the text, and a sample is enough for it."""
MAX_EXPANDED_BYTES = 64 * 1024 * 1024
"""Size of what is unwrapped from containers (TNEF, S/MIME), all together: a small container can expand to gigabytes."""
MAX_FILENAME_CHARACTERS = 200
"""Length of an attachment's name; file systems take 255 bytes, and names in UTF-8 need more than one per character."""
MAX_DEFECTS = 100
"""Defects recorded for one message: enough for people to read."""
MAX_BASE64_BLOCKS = 10_000
"""Blocks of base64, each with its own padding, in one part."""
MAX_UUENCODED_FILES = 500
"""Uuencoded files taken out of one text; the rest of it stays text."""
MAX_TNEF_ATTRIBUTES = 3_000
"""Attributes read from one TNEF container. A container with more stays an attachment beside what was read from it."""
MAX_TNEF_PROPERTIES = 10_000
"""MAPI properties read from one TNEF attribute."""
MAX_REPORTED_RECIPIENTS = 1000
"""Recipients read from one delivery report."""
MAX_CALENDAR_EVENTS = 20
"""Events read from one calendar part: more than an invitation has, fewer than a whole calendar that was attached."""
