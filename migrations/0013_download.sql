-- SPDX-License-Identifier: Apache-2.0
-- Content over HTTPS: its rate.

ALTER TABLE settings
    ADD COLUMN https_rate_ceiling_bps bigint
        CONSTRAINT settings_https_rate_check CHECK (https_rate_ceiling_bps >= 64000);
COMMENT ON COLUMN settings.https_rate_ceiling_bps IS 'Highest rate of all content over HTTPS together, in bits per second; NULL: none.';
