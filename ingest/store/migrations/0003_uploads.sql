-- What became of each attachment: uploaded (attachment_id), or not and why (reason). A row is written after the octets
-- have arrived, so what is not here has to be sent, and what a crash left at the API without a row here is archived.

CREATE TABLE uploads (
    seq BIGINT NOT NULL REFERENCES messages (seq),
    part INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    ticket_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    attachment_id TEXT,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (seq, part)
);

CREATE INDEX uploads_by_picture ON uploads (ticket_id, sender, sha256) WHERE attachment_id IS NOT NULL;
