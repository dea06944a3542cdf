-- SPDX-License-Identifier: Apache-2.0
-- Certificates, principals and locks of accounts.

DO $$ BEGIN END $$;
