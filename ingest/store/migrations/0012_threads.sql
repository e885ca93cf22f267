-- The latest teacher who named another ticket for a Message-ID and was not believed.
ALTER TABLE threads ADD COLUMN disputed_ticket_id TEXT;
ALTER TABLE threads ADD COLUMN disputed_from TEXT;
ALTER TABLE threads ADD COLUMN disputed_at DOUBLE PRECISION;
