-- The order of posting is known from the message itself, before any request. Of the messages that share a key, the oldest
-- unfinished one goes first. Keys: `ticket:<id or code in small letters>`, `id:<Message-ID>`, `body:<digest>`.

CREATE TABLE order_keys (
    key TEXT NOT NULL,
    seq BIGINT NOT NULL REFERENCES messages (seq),
    PRIMARY KEY (key, seq)
);
CREATE INDEX order_keys_by_message ON order_keys (seq);

INSERT INTO order_keys (key, seq)
SELECT 'ticket:' || lower(ticket_id), seq FROM messages WHERE state IN ('queued', 'waiting') AND ticket_id IS NOT NULL;
INSERT INTO order_keys (key, seq)
SELECT 'id:' || message_id, seq FROM messages WHERE state IN ('queued', 'waiting') AND message_id IS NOT NULL;

-- Which ticket a code such as `ticket:tai-42`, or a merged ticket, means.
CREATE TABLE ticket_aliases (
    name TEXT PRIMARY KEY,
    ticket_id TEXT NOT NULL
);

-- Attempts that failed by what may be its own fault: the wait before the next one grows with them.
ALTER TABLE messages ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
UPDATE messages SET failures = max(0, attempts - 1) WHERE state = 'queued';
-- Since when it fails by its own fault, not for an outage or because it has to wait. After INGEST_ORDER_HOLD its
-- followers pass it.
ALTER TABLE messages ADD COLUMN failing_since DOUBLE PRECISION;
-- When the POST of the latest attempt began, written before it. NULL: no POST has begun, so none can be in doubt.
ALTER TABLE messages ADD COLUMN post_began_at DOUBLE PRECISION;
UPDATE messages SET post_began_at = coalesce(first_attempt_at, received_at)
WHERE state IN ('queued', 'quarantined', 'failed') AND (unconfirmed = 1 OR unfinished > 0);
ALTER TABLE messages DROP COLUMN unconfirmed;
-- Crashes of the worker while it held this message and no other: it may be to blame.
ALTER TABLE messages RENAME COLUMN unfinished TO lone_crashes;
UPDATE messages SET lone_crashes = 0;
-- 1: the API has answered that POST, so nothing of it is on its way any more.
ALTER TABLE messages ADD COLUMN post_was_answered INTEGER NOT NULL DEFAULT 0;
-- When a look for a POST in doubt found nothing for the first time. It is looked for once more before it is posted again.
ALTER TABLE messages ADD COLUMN absent_at DOUBLE PRECISION;
-- Crashes of the worker while it held this message and others: one of them may be to blame.
ALTER TABLE messages ADD COLUMN suspected INTEGER NOT NULL DEFAULT 0;

-- When to look whether a message that was posted after doubt is on its ticket twice.
ALTER TABLE messages ADD COLUMN pair_check_at DOUBLE PRECISION;
CREATE INDEX messages_to_check ON messages (pair_check_at) WHERE pair_check_at IS NOT NULL;
CREATE INDEX messages_failing ON messages (failing_since) WHERE failing_since IS NOT NULL;
CREATE INDEX messages_without_id ON messages (content_digest) WHERE message_id IS NULL AND content_digest IS NOT NULL;
DROP INDEX messages_queued_of_ticket;

-- What the API does with what it is sent (author, source, form, clock), learned from what it accepted.
CREATE TABLE api_profile (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    learned_at DOUBLE PRECISION NOT NULL
);
