-- The store of mail: one row in `messages` for each mail taken in, kept for ever; its octets in `contents`, kept for
-- the retention time; what was tried in `attempts`; what is known about Message-IDs in `threads`.
-- Times are Unix times in seconds.

CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,                -- order of arrival
    queue_id TEXT NOT NULL UNIQUE,
    dedupe_key TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    position TEXT,
    mail_from TEXT NOT NULL,
    rcpt_tos TEXT NOT NULL,                 -- JSON list
    helo TEXT NOT NULL,
    client TEXT NOT NULL,
    smtputf8 INTEGER NOT NULL,
    size BIGINT NOT NULL,                   -- octets of the content as received
    received_at DOUBLE PRECISION NOT NULL,
    patient_since DOUBLE PRECISION NOT NULL, -- its age counts from here: its receipt, or an operator's latest retry
    state TEXT NOT NULL DEFAULT 'queued',
    rule TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    due_at DOUBLE PRECISION,                -- queued: when a claim may take it; leased: the end of the lease
    waiting_since DOUBLE PRECISION,         -- waiting
    kept_since DOUBLE PRECISION,            -- delivered or discarded, and the octets are still there
    lease_token TEXT,                       -- queued: a worker has it until due_at
    behind TEXT,                            -- queued: queue_id of the older mail of its ticket that it waits for
    attempts INTEGER NOT NULL DEFAULT 0,    -- claims
    unfinished INTEGER NOT NULL DEFAULT 0,  -- claims that have not settled
    first_attempt_at DOUBLE PRECISION,
    unconfirmed INTEGER NOT NULL DEFAULT 0, -- an earlier claim ended in doubt about its POST
    released_by TEXT,
    released_ticket TEXT,
    message_id TEXT,
    content_digest TEXT,
    subject TEXT NOT NULL DEFAULT '',
    sender TEXT NOT NULL DEFAULT '',
    evidence TEXT NOT NULL DEFAULT '[]',    -- JSON list
    ticket_id TEXT,
    ticket_message_id TEXT,
    email_message_id TEXT,
    updated_at DOUBLE PRECISION NOT NULL,   -- last change of state
    CHECK ((state = 'queued') = (due_at IS NOT NULL)),
    CHECK ((state = 'waiting') = (waiting_since IS NOT NULL))
);

-- Conditions on nullable columns, not on `state`: no planner can take the index of a whole state for one of these.
CREATE INDEX messages_due ON messages (due_at, seq) WHERE due_at IS NOT NULL;
CREATE INDEX messages_queued_of_ticket ON messages (ticket_id, seq) WHERE due_at IS NOT NULL;
CREATE INDEX messages_behind ON messages (behind) WHERE behind IS NOT NULL;
CREATE INDEX messages_waiting ON messages (waiting_since) WHERE waiting_since IS NOT NULL;
CREATE INDEX messages_kept ON messages (kept_since) WHERE kept_since IS NOT NULL;
CREATE INDEX messages_by_state ON messages (state, seq);
CREATE INDEX messages_by_message_id ON messages (message_id, content_digest) WHERE message_id IS NOT NULL;
CREATE INDEX messages_by_ticket_message ON messages (ticket_message_id) WHERE ticket_message_id IS NOT NULL;

CREATE TABLE contents (
    seq INTEGER PRIMARY KEY REFERENCES messages (seq),
    encoding TEXT NOT NULL,                 -- '' or 'zlib'
    octets BLOB NOT NULL
);

-- The audit trail that a person reads: one line for each claim, and one for each act of an operator.
CREATE TABLE attempts (
    seq BIGINT NOT NULL REFERENCES messages (seq),
    number INTEGER NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    finished_at DOUBLE PRECISION,           -- NULL: running, or ended by a crash
    outcome TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (seq, number)
);

-- Message-ID -> ticket. Without a ticket it is a stub: mail refers to it, nobody has seen it.
CREATE TABLE threads (
    message_id TEXT PRIMARY KEY,
    ticket_id TEXT,
    learned_from TEXT NOT NULL,
    learned_at DOUBLE PRECISION NOT NULL,
    alias_of TEXT                           -- the same mail under the Message-ID that it was sent with
);

CREATE INDEX threads_by_ticket ON threads (ticket_id) WHERE ticket_id IS NOT NULL;
CREATE INDEX threads_by_alias ON threads (alias_of) WHERE alias_of IS NOT NULL;

-- Which waiting mail resumes when a Message-ID is learned.
CREATE TABLE waiting_for (
    message_id TEXT NOT NULL,
    seq BIGINT NOT NULL REFERENCES messages (seq),
    PRIMARY KEY (message_id, seq)
);

CREATE INDEX waiting_for_by_message ON waiting_for (seq);

CREATE TABLE source_positions (
    source TEXT PRIMARY KEY,
    position TEXT NOT NULL
);

-- Counted apart from the rows, so that a row that vanished shows.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

INSERT INTO counters (name, value) VALUES ('accepted', 0);
