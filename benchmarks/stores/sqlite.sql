-- A session as a row, with an index for each query.
CREATE TABLE sessions (
    session_id BLOB PRIMARY KEY NOT NULL,
    tenant_id BLOB NOT NULL,
    agent_id BLOB NOT NULL,
    channel TEXT NOT NULL,
    user_channel_id TEXT NOT NULL,
    customer_profile_id BLOB,
    status TEXT NOT NULL,
    scenario_id BLOB,
    scenario_version INTEGER,
    step_content_hash TEXT,
    last_activity INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX by_channel ON sessions (tenant_id, channel, user_channel_id, last_activity);
CREATE INDEX by_agent ON sessions (tenant_id, agent_id, last_activity);
CREATE INDEX by_agent_status ON sessions (tenant_id, agent_id, status, last_activity);
CREATE INDEX by_customer ON sessions (tenant_id, customer_profile_id, last_activity)
    WHERE customer_profile_id IS NOT NULL;
CREATE INDEX by_step ON sessions (tenant_id, scenario_id, scenario_version, step_content_hash, last_activity)
    WHERE status = 'active';
