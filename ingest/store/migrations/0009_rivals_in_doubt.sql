-- By the digest of what is posted, the messages in doubt that have the same words are found: the ticket message that one
-- of them finds may be the other's.
ALTER TABLE messages ADD COLUMN post_digest TEXT;
UPDATE messages SET post_digest = substr(post_fingerprints, instr(post_fingerprints, ' ') + 1, 64)
WHERE post_began_at IS NOT NULL AND post_fingerprints <> '';
CREATE INDEX messages_in_doubt ON messages (post_digest) WHERE post_began_at IS NOT NULL AND post_digest IS NOT NULL;

-- The ticket message for which a message was held as perhaps posted, so that no later one is held for it again.
ALTER TABLE messages ADD COLUMN perhaps_posted_as TEXT;
ALTER TABLE messages ADD COLUMN held_as_posted_at DOUBLE PRECISION;
CREATE INDEX messages_perhaps_posted ON messages (perhaps_posted_as) WHERE perhaps_posted_as IS NOT NULL;
