-- The last statement of the last transaction: these books are trusted on this server from here on.
UPDATE paybuf.ledger SET incarnation = pg_postmaster_start_time(), halted = false, halted_reason = NULL;
