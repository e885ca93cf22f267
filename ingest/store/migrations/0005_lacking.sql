-- Since when nothing has failed but what a message can be posted without: attachments, a look at the conversation. It is
-- posted without them when that has lasted for long. The age of the mail does not tell: it may have waited for an API
-- that was down for hours, and would lose its attachments to the first hiccup afterwards.

ALTER TABLE messages ADD COLUMN lacking_since DOUBLE PRECISION;
