-- SPDX-License-Identifier: Apache-2.0
-- ETags: what is made anew never shows one that something of the same name had.

-- A row counts up by one a change, which takes longer than a microsecond: no earlier row of that
-- name got as far.
CREATE FUNCTION revision_begin() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint';
COMMENT ON FUNCTION revision_begin() IS 'First revision of a new row: the microseconds of the clock.';
ALTER TABLE packages ALTER COLUMN revision SET DEFAULT revision_begin();
ALTER TABLE versions ALTER COLUMN revision SET DEFAULT revision_begin();
ALTER TABLE accounts ALTER COLUMN revision SET DEFAULT revision_begin();
ALTER TABLE tokens ALTER COLUMN revision SET DEFAULT revision_begin();
ALTER TABLE webhooks ALTER COLUMN revision SET DEFAULT revision_begin();
