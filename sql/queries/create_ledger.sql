-- The books are opened once; the unique index on a constant keeps a second row out.
INSERT INTO paybuf.ledger (ledger_id, incarnation)
SELECT gen_random_uuid(), pg_postmaster_start_time()
WHERE NOT EXISTS (SELECT FROM paybuf.ledger);
