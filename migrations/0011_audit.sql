-- SPDX-License-Identifier: Apache-2.0
-- Audit log, webhooks.

DO $$ BEGIN END $$;
