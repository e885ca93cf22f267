-- What a running worker is asked for by a command, such as to send again although the API asked for a pause.
CREATE TABLE controls (
    name TEXT PRIMARY KEY,
    asked_by TEXT NOT NULL,
    asked_at DOUBLE PRECISION NOT NULL
);

-- By which file and by how many POSTs a restored or copied database is told from the one that worked last, and a row
-- that is written to learn whether the database can be written.
CREATE TABLE upkeep (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- What is left of a message whose facts were pruned: enough to know the same delivery again, and nothing of a person.
CREATE TABLE pruned (
    dedupe_key TEXT PRIMARY KEY,
    queue_id TEXT NOT NULL,
    source TEXT NOT NULL,
    position TEXT,
    is_whole INTEGER NOT NULL
);
CREATE INDEX pruned_by_position ON pruned (source, position) WHERE position IS NOT NULL;

INSERT INTO counters (name, value) VALUES ('posts', 0), ('pruned', 0);
