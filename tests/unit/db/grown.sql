-- SPDX-License-Identifier: Apache-2.0
-- Fills the tables that grow, for test_db_plans.c: psql -v packages=NUMBER -v receivers=NUMBER. To be
-- run by a superuser on an empty, migrated database with one node; without triggers and foreign keys.
SET session_replication_role = replica;
SET maintenance_work_mem = '512MB';
SET synchronous_commit = off;
SELECT id AS node FROM nodes LIMIT 1 \gset
SELECT greatest(:receivers / 100, :packages) AS sessions \gset
-- An id, a digest, a time from the last 90 days, each found again by its number.
CREATE FUNCTION pg_temp.u(kind text, i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN md5(kind || i)::uuid;
CREATE FUNCTION pg_temp.h(kind text, i bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN md5(kind || i) || md5(i || kind);
CREATE FUNCTION pg_temp.t(i bigint, n bigint) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN now() - interval '90 days' * (1 - i::float8 / n);

-- Filled without indexes, which are built afterwards: many times as fast.
UPDATE pg_index SET indisready = false FROM pg_class c
    WHERE c.oid = indrelid AND relkind = 'r' AND relnamespace = current_schema()::regnamespace
    AND relname NOT IN ('nodes', 'settings', 'schema_migrations');

INSERT INTO accounts (id, name, role, principal, created_at)
    SELECT pg_temp.u('account', i), 'account' || i,
        CASE WHEN i % 1000 = 0 THEN 'admin' ELSE 'content' END, 'p' || i || '@EXAMPLE.ORG', pg_temp.t(i, :packages)
    FROM generate_series(1, :packages) i;
INSERT INTO tokens (account_id, hash, name, scope, expires_at, warned_at, prefix)
    SELECT pg_temp.u('account', i), sha256(i::text::bytea), 'token' || i, 'content',
        now() + interval '1 day' * (i % 1000), CASE WHEN i % 1000 < 14 THEN now() END, left(md5(i::text), 8)
    FROM generate_series(1, :packages) i;
INSERT INTO certificates (account_id, sha256)
    SELECT pg_temp.u('account', i), pg_temp.h('certificate', i) FROM generate_series(1, :packages) i;
INSERT INTO certificates (account_id, subject, issuer)
    SELECT pg_temp.u('account', i), 'CN=' || i, 'CN=CA' FROM generate_series(1, :packages) i;
INSERT INTO login_failures (name_hash, failures, since)
    SELECT sha256(i::text::bytea), i % 9 + 1, now() - interval '1 second' * i FROM generate_series(1, :packages) i;
INSERT INTO idempotency (account_id, key, status, answer_sealed, created_at)
    SELECT pg_temp.u('account', i % 100 + 1), 'key' || i, 201, '\x00', now() - interval '86400 s' * i / (3 * :packages)
    FROM generate_series(1, 3 * :packages) i;

INSERT INTO packages (id, name, labels, last_number, current_number, created_at, updated_at)
    SELECT pg_temp.u('package', i), 'package' || i,
        jsonb_build_object('site', 's' || i % 100, 'ring', (ARRAY['test', 'pilot', 'broad'])[i % 3 + 1]),
        3, CASE WHEN i % 2 = 0 THEN 1 END, pg_temp.t(i, :packages), pg_temp.t(i * 7919 % :packages, :packages)
    FROM generate_series(1, :packages) i;
-- The third of each is a draft.
INSERT INTO versions (id, package_id, number, state, file_count, file_bytes, manifest, manifest_sha256,
        manifest_signature, manifest_key, stream_size, content_size, sealed_at, retired_at)
    SELECT pg_temp.u('version', i), pg_temp.u('package', (i + 2) / 3), (i + 2) % 3 + 1,
        CASE i % 3 WHEN 0 THEN 'draft' WHEN 1 THEN 'sealed' ELSE 'retired' END, 2, 2000,
        CASE WHEN i % 3 > 0 THEN '{"format": 1}'::bytea END, CASE WHEN i % 3 > 0 THEN pg_temp.h('manifest', i) END,
        CASE WHEN i % 3 > 0 THEN 'header..signature' END, CASE WHEN i % 3 > 0 THEN pg_temp.h('key', i % 4) END,
        CASE WHEN i % 3 > 0 THEN 4000 END, CASE WHEN i % 3 > 0 THEN 3000 END,
        CASE WHEN i % 3 > 0 THEN now() END, CASE WHEN i % 3 = 2 THEN now() END
    FROM generate_series(1, 3 * :packages) i;
INSERT INTO blobs (sha256, size, reference_count, unused_since, state, checked_at, created_at)
    SELECT pg_temp.h('blob', i), i, CASE WHEN i % 1000 = 0 THEN 0 ELSE 2 END,
        CASE WHEN i % 1000 = 0 THEN now() - interval '1 day' END,
        CASE WHEN i % 5000 = 1 THEN 'damaged' ELSE 'good' END, pg_temp.t(i, 3 * :packages), pg_temp.t(1, :packages)
    FROM generate_series(1, 3 * :packages) i;
INSERT INTO files (version_id, path, sha256, size)
    SELECT pg_temp.u('version', (i + 1) / 2), 'sources/' || CASE i % 2 WHEN 0 THEN 'install.wim' ELSE 'boot.wim' END,
        pg_temp.h('blob', i % (3 * :packages) + 1), 1000
    FROM generate_series(1, 6 * :packages) i;
INSERT INTO keys (node_id, kind, state, fingerprint, public_key, private_sealed, retired_at)
    SELECT :'node', 'multicast', CASE i WHEN 0 THEN 'active' ELSE 'retired' END, pg_temp.h('key', i), '', '',
        CASE WHEN i > 0 THEN now() END
    FROM generate_series(0, 3) i;
INSERT INTO promotions (package_id, kind, number, previous, open)
    SELECT pg_temp.u('package', i), 'promote', 1, 1, i % 2 = 0 FROM generate_series(1, :packages) i;
INSERT INTO uploads (node_id, version_id, path, mode, size, received, digest, expires_at, finished_at, created_at)
    SELECT :'node', pg_temp.u('version', i * 3), 'f', 420, 1000, CASE WHEN i % 100 = 0 THEN 0 ELSE 1000 END,
        CASE WHEN i % 100 > 0 THEN pg_temp.h('blob', i) END,
        now() + interval '1 day' * i / :packages, CASE WHEN i % 100 > 0 THEN now() END, now() - interval '1 day'
    FROM generate_series(1, :packages) i;

INSERT INTO tasks (id, node_id, kind, subject, params, state, code, created_at, started_at, ended_at)
    SELECT pg_temp.u('task', i), :'node', (ARRAY['seal', 'export', 'import', 'library-validate'])[i % 4 + 1],
        'package' || i % :packages, jsonb_build_object('number', i),
        CASE WHEN i % 1000 = 0 THEN 'waiting' WHEN i % 10 = 1 THEN 'failed' ELSE 'done' END,
        CASE WHEN i % 10 = 1 THEN 'internal' ELSE '' END, pg_temp.t(i, 2 * :packages), pg_temp.t(i, 2 * :packages),
        CASE WHEN i % 1000 > 0 THEN pg_temp.t(i, 2 * :packages) END
    FROM generate_series(1, 2 * :packages) i;
INSERT INTO task_log (task_id, level, text)
    SELECT pg_temp.u('task', i / 4), 'info', 'step ' || i FROM generate_series(4, 4 * :packages) i;
INSERT INTO events (id, time, node_id, kind, subject)
    SELECT i, pg_temp.t(i, 3 * :packages), :'node', 'kind-' || (ARRAY[0, 0, 0, 1, 1, 2, 3, 4, 5, 6])[i % 10 + 1],
        'package' || i % :packages
    FROM generate_series(1, 3 * :packages) i;
SELECT setval('events_number', 3 * :packages) \g /dev/null
INSERT INTO audit (time, node_id, account, authentication, address, operation, method, path, request_id,
        outcome, subject, code)
    SELECT pg_temp.t(i, 3 * :packages), :'node', 'account' || i % 50, 'token', '10.0.0.' || i % 250, 'op' || i % 40,
        'PUT', '/api/v1/packages/package' || i % :packages, md5(i::text),
        CASE WHEN i % 2000 = 0 THEN 'refused' ELSE 'done' END, 'package' || i % :packages,
        CASE WHEN i % 2000 = 0 THEN 'access-denied' ELSE '' END
    FROM generate_series(1, 3 * :packages) i;
INSERT INTO webhooks (id, node_id, name, url, secret_sealed)
    SELECT pg_temp.u('webhook', i), :'node', 'webhook' || i, 'https://example.org/', '\x00'
    FROM generate_series(1, 20) i;
INSERT INTO webhook_deliveries (webhook_id, event_id, kind, attempt, taken, status)
    SELECT pg_temp.u('webhook', i % 20 + 1), i, 'kind-1', 1, true, 200 FROM generate_series(1, :packages) i;

INSERT INTO sessions (id, node_id, version_id, state, group_address, port, starts_at, started_at, ended_at,
        secret_sealed, instance_id, object_id, fec_id, segment_size, max_block_len, num_parity, content_size,
        object_size, encrypt, created_at)
    SELECT pg_temp.u('session', i), :'node', pg_temp.u('version', (i % :packages) * 3 + 1),
        CASE WHEN i % 1000 = 0 THEN 'running' ELSE 'finished' END, '239.255.0.0'::inet + i % 60000, 7001 + i / 60000,
        pg_temp.t(i, :sessions), pg_temp.t(i, :sessions), CASE WHEN i % 1000 > 0 THEN pg_temp.t(i, :sessions) END,
        '\x00', 1, 1, 2, 1400, 64, 8, 1000, 1000, true, pg_temp.t(i, :sessions)
    FROM generate_series(1, :sessions) i;
INSERT INTO session_decisions
    SELECT pg_temp.u('session', i / 4), i % 4, i, now(), 'rate', '', 1, 1, 1, 0, 1
    FROM generate_series(4, 4 * :sessions) i;
-- One in twenty came by HTTPS alone, one in a thousand is at work.
INSERT INTO receivers (id, node_id, session_id, version_id, account_id, account_name, client_id, norm_node_id,
        state, token_hash, expires_at, joined_at, updated_at)
    SELECT pg_temp.u('receiver', i), :'node', CASE WHEN i % 20 > 0 THEN pg_temp.u('session', i % :sessions + 1) END,
        pg_temp.u('version', (i % :packages) * 3 + 1),
        CASE WHEN i % 2 = 0 THEN pg_temp.u('account', i % :packages + 1) END,
        CASE WHEN i % 2 = 0 THEN 'account' || (i % :packages + 1) ELSE '' END, 'pc' || i,
        CASE WHEN i % 20 > 0 THEN i + 1 END,
        CASE WHEN i % 1000 = 0 THEN 'receiving' ELSE 'done' END, sha256(('r' || i)::bytea),
        pg_temp.t(i, :receivers), pg_temp.t(i, :receivers), pg_temp.t(i, :receivers)
    FROM generate_series(1, :receivers) i;

SELECT format('REINDEX TABLE %I', relname) FROM pg_class WHERE relkind = 'r'
    AND relnamespace = current_schema()::regnamespace ORDER BY relname \gexec
VACUUM (ANALYZE);
