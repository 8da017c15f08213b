DROP TABLE api_keys_version;
DELETE FROM api_keys WHERE key_id IS NOT NULL;
ALTER TABLE api_keys DROP COLUMN record, DROP COLUMN key_id;
