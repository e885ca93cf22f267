-- POSTs are numbered, so that what was seen before a POST is known without comparing clocks: of a message in doubt the
-- number of its first POST, of one that was held as perhaps posted the number of the last POST before that.
ALTER TABLE messages ADD COLUMN first_post_number INTEGER;
ALTER TABLE messages ADD COLUMN held_at_post_number INTEGER;
ALTER TABLE messages DROP COLUMN held_as_posted_at;
