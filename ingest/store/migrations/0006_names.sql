-- Columns and one index get the names that the code uses. No value changes.

ALTER TABLE messages RENAME COLUMN behind TO blocked_by;
ALTER TABLE messages RENAME COLUMN patient_since TO retry_window_start;
ALTER TABLE messages RENAME COLUMN lacking_since TO optional_failing_since;
ALTER TABLE messages RENAME COLUMN imprints TO post_fingerprints;
ALTER TABLE messages RENAME COLUMN whole TO is_whole;
ALTER TABLE contents RENAME COLUMN octets TO content;
ALTER TABLE uploads RENAME COLUMN part TO part_number;
ALTER TABLE imap_folders RENAME COLUMN met_at TO first_read_at;
ALTER TABLE imap_folders RENAME COLUMN since TO ignored_before;

DROP INDEX messages_behind;
CREATE INDEX messages_blocked ON messages (blocked_by) WHERE blocked_by IS NOT NULL;
