DROP TABLE server_metrics;
DROP TABLE api_keys;
DROP TABLE event_streams;
DROP TABLE event_ids;
DROP TABLE analytics_logs;
