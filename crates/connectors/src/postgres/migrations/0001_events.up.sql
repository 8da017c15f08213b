-- Events as Change66's clients know them. `line` is the event as it was sent, so that nothing about it is lost; the
-- columns beside it are what is filtered, sorted and counted by, and what people ask for in SQL of their own.
CREATE TABLE analytics_logs (
    tenant text COLLATE "C" NOT NULL DEFAULT 'default',
    -- Microseconds since 1970 of when the event was taken, made unique and increasing by the server that took it.
    id bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    -- To the microsecond; `timestamp_ns` is exact, in nanoseconds since 1970.
    timestamp timestamptz NOT NULL,
    timestamp_ns bigint NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    event_name text COLLATE "C" NOT NULL,
    properties jsonb NOT NULL DEFAULT '{}',
    user_id text COLLATE "C",
    session_id text COLLATE "C",
    app_version text COLLATE "C",
    device_info jsonb NOT NULL DEFAULT '{}',
    sequence_number bigint,
    priority text COLLATE "C" NOT NULL DEFAULT 'normal',
    detected_level text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz NOT NULL DEFAULT now(),
    -- The stream of the row: `event_streams.stream`.
    stream bigint NOT NULL,
    -- The line, where it is text that PostgreSQL can hold; else it is in `line_bytes`.
    line text COLLATE "C",
    line_bytes bytea,
    -- Structured metadata, where the columns do not say all of it.
    metadata bytea,
    -- What counts need, so that no line is read for them.
    line_length integer NOT NULL,
    metadata_length integer NOT NULL
) PARTITION BY RANGE (timestamp_ns);

CREATE INDEX analytics_logs_time ON analytics_logs (tenant, timestamp_ns, id);
CREATE INDEX analytics_logs_stream ON analytics_logs (tenant, stream, timestamp_ns);
CREATE INDEX analytics_logs_id ON analytics_logs (tenant, id, timestamp_ns);
CREATE INDEX analytics_logs_event_type ON analytics_logs (tenant, event_type, id);
-- Texts of any length are asked for by how they begin, since an index takes 2700 bytes at most.
CREATE INDEX analytics_logs_event_name ON analytics_logs (tenant, left(event_name, 128), id);
CREATE INDEX analytics_logs_user_id ON analytics_logs (tenant, left(user_id, 128), id);
CREATE INDEX analytics_logs_session_id ON analytics_logs (tenant, left(session_id, 128), id);
CREATE INDEX analytics_logs_timestamp ON analytics_logs USING brin (timestamp);
CREATE INDEX analytics_logs_created_at ON analytics_logs USING brin (created_at);
CREATE INDEX analytics_logs_properties ON analytics_logs USING gin (properties jsonb_path_ops);

-- No event has an id of another one of its tenant, whatever their times: a table that has partitions by time cannot say
-- so itself.
CREATE TABLE event_ids (
    tenant text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    id bigint NOT NULL,
    timestamp_ns bigint NOT NULL,
    PRIMARY KEY (tenant, event_id)
);
CREATE INDEX event_ids_timestamp ON event_ids USING brin (timestamp_ns);

-- The label sets of the rows, by their hash.
CREATE TABLE event_streams (
    tenant text COLLATE "C" NOT NULL,
    stream bigint NOT NULL,
    labels jsonb NOT NULL,
    PRIMARY KEY (tenant, stream)
);

CREATE TABLE api_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_hash text COLLATE "C" NOT NULL UNIQUE,
    name text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at timestamptz,
    usage_count bigint NOT NULL DEFAULT 0
);
CREATE INDEX api_keys_active ON api_keys (is_active);

CREATE TABLE server_metrics (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    metric_name text NOT NULL,
    metric_value double precision NOT NULL,
    labels jsonb,
    timestamp timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX server_metrics_name_timestamp ON server_metrics (metric_name, timestamp);
CREATE INDEX server_metrics_timestamp ON server_metrics (timestamp);
