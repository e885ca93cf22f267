-- What reading IMAP mailboxes needs to remember beside the mails themselves.

-- 0: the source could not read all of it; the mail is quarantined with what is known, and stays where it was.
ALTER TABLE messages ADD COLUMN whole INTEGER NOT NULL DEFAULT 1;

-- Which messages of a folder were taken in: position is `<UIDVALIDITY>/<UID>`.
CREATE INDEX messages_by_position ON messages (source, position, whole) WHERE position IS NOT NULL;

CREATE TABLE imap_folders (
    source TEXT PRIMARY KEY,                -- imap:<account>/<folder>
    uid_validity BIGINT NOT NULL,
    start_uid BIGINT NOT NULL,              -- up to here the mail is older than we are
    met_at DOUBLE PRECISION NOT NULL,
    since DOUBLE PRECISION,                 -- what the server dates before this is older than we are, too
    marked_uid BIGINT NOT NULL DEFAULT 0,   -- up to here \Seen is set on what was taken in
    on_server BIGINT NOT NULL DEFAULT 0,    -- the last count: messages past start_uid
    taken_in BIGINT NOT NULL DEFAULT 0,     -- how many of them we have
    gap_since DOUBLE PRECISION,             -- since when the two differ
    counted_at DOUBLE PRECISION
);

-- One worker reads a folder at a time.
CREATE TABLE imap_leases (
    source TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    held_until DOUBLE PRECISION NOT NULL
);

-- The latest refresh token of each account; providers rotate them.
CREATE TABLE imap_tokens (
    account TEXT PRIMARY KEY,
    refresh_token TEXT NOT NULL,
    saved_at DOUBLE PRECISION NOT NULL,
    ends_at DOUBLE PRECISION,
    origin TEXT NOT NULL
);
