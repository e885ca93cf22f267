"""The wire format of RFC 5322 and MIME: header fields, parameters, transfer encodings, one part."""
