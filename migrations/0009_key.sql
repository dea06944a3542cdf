-- SPDX-License-Identifier: Apache-2.0
-- States of keys.

DO $$ BEGIN END $$;
