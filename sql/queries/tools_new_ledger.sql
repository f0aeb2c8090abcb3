-- A restored copy becomes books of its own: another id, trusted on this server, no lanes. Runs after the lanes were deleted.
UPDATE paybuf.ledger
SET ledger_id = gen_random_uuid(), incarnation = pg_postmaster_start_time(), halted = false, halted_reason = NULL
RETURNING ledger_id::text;
