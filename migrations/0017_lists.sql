-- SPDX-License-Identifier: Apache-2.0
-- Lists: an index for each filter that leaves few of many rows.

CREATE INDEX tokens_expires_index ON tokens (expires_at);
CREATE INDEX tokens_disabled_index ON tokens (id) WHERE NOT enabled;
