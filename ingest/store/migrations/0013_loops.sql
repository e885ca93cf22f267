-- What tells a loop: a digest of what a message says on its ticket, and when it was written. Posts are counted by these
-- columns of rows that have a ticket message, so that no counter can disagree with them after a crash.
ALTER TABLE messages ADD COLUMN words_key TEXT;
ALTER TABLE messages ADD COLUMN written_at DOUBLE PRECISION;
CREATE INDEX messages_with_words ON messages (words_key, written_at) WHERE words_key IS NOT NULL;
CREATE INDEX messages_of_thread ON messages (ticket_id, written_at) WHERE written_at IS NOT NULL;

-- Threads that take no mail until an operator resumes them. sender '': the whole ticket. Posts from before resumed_at
-- do not count any more.
CREATE TABLE paused_threads (
    ticket_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    cause TEXT NOT NULL,
    paused_at DOUBLE PRECISION NOT NULL,
    resumed_at DOUBLE PRECISION,
    resumed_by TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (ticket_id, sender)
);

-- Which recipients of which mail a report is about, so that a second report on the same makes no second note.
CREATE TABLE reported (
    key TEXT NOT NULL,
    seq BIGINT NOT NULL REFERENCES messages (seq),
    PRIMARY KEY (key, seq)
);
CREATE INDEX reported_by_message ON reported (seq);
