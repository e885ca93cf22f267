-- What a message was to be posted as, a line for each different attempt: an author and a digest of the words. After a
-- crash it is looked for at the API by these, since a newer worker may read the same mail otherwise.

ALTER TABLE messages ADD COLUMN imprints TEXT NOT NULL DEFAULT '';
