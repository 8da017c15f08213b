-- Keys that several servers share. `record` is all that is known of a key but the key itself; the columns beside it are for people.
-- A row without one was made by somebody else, and is no key of ours.
ALTER TABLE api_keys
    ADD COLUMN key_id text COLLATE "C" UNIQUE,
    ADD COLUMN record text;

-- One row: how often the keys were changed.
CREATE TABLE api_keys_version (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    version bigint NOT NULL
);
INSERT INTO api_keys_version (version) VALUES (0);
