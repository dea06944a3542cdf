-- SPDX-License-Identifier: Apache-2.0
-- Whose content library it is: nothing is removed from one that another database filled.

ALTER TABLE nodes
    ADD COLUMN library_id            uuid,
    ADD COLUMN library_foreign_since timestamptz;
COMMENT ON COLUMN nodes.library_id IS 'Identity of the node''s content library, which the library has too (file identity); NULL: it has none yet.';
COMMENT ON COLUMN nodes.library_foreign_since IS 'Since when the library that the node finds is not the one this database knows; NULL: it is.';
