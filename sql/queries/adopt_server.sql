-- After every partition was compared with the logs: one of several workers wins, the others read again.
--
-- $1 the incarnation that was read
UPDATE paybuf.ledger SET incarnation = pg_postmaster_start_time() WHERE incarnation = $1::timestamptz AND NOT halted;
