-- The cell of the decision table that applied to a message at the latest attempt: who, authentication, evidence level and
-- treatment as words with a space between; empty for reports, for mail that a rule stopped before, and for mail from
-- before this migration. Beside it how the authentication came about.
ALTER TABLE messages ADD COLUMN cell TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN authentication_domain TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN authentication_reason TEXT NOT NULL DEFAULT '';

-- Why a person may want to look at a message although it is posted.
ALTER TABLE messages ADD COLUMN flag TEXT NOT NULL DEFAULT '';

-- Whom an operator who released a message named as its author: the id or address of an API user. NULL: the fallback
-- author.
ALTER TABLE messages ADD COLUMN released_author TEXT;
