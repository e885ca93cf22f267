"""How much of one message is read. What is beyond a limit stays in the stored octets, and a defect says so.

The figures are far above what people send, and low enough that the costliest message of the largest size that we
take is read in a few seconds.
"""

MAX_HEADER_OCTETS = 256 * 1024
"""Of one header block, all fields together."""
MAX_FIELD_OCTETS = 16 * 1024
"""Of one field, unfolded."""
MAX_FIELDS = 1000
MAX_PARTS = 1000
MAX_DEPTH = 50
"""Of multiparts in multiparts."""
MAX_SCANS = 20
"""How many times the octets of a message may be looked through for boundaries, all levels together."""
MIN_SCANNED_OCTETS = 1024 * 1024
"""What a smaller message counts as, when its scans are counted."""
MAX_BODY_OCTETS = 4 * 1024 * 1024
"""Of one text part after its transfer encoding is undone, and of the body as text and as HTML."""
MAX_DETECT_OCTETS = 64 * 1024
"""What the charset detector gets to see."""
MAX_EXPANDED_OCTETS = 64 * 1024 * 1024
"""Of what is unwrapped from containers (TNEF, S/MIME), all together."""
MAX_FILENAME_CHARACTERS = 200
MAX_DEFECTS = 100
MAX_BASE64_BLOCKS = 10_000
"""Each with a padding of its own, in one part."""
MAX_UUENCODED = 500
"""Files taken out of one text; the rest of it stays text."""
MAX_ATTRIBUTES = 3_000
"""Read from one TNEF; one of more stays as a file, too."""
MAX_PROPERTIES = 10_000
"""Read from one attribute of TNEF."""
MAX_RECIPIENTS = 1000
"""Reported in one delivery report."""
MAX_EVENTS = 20
"""Read from one calendar part."""
