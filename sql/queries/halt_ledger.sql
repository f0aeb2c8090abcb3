-- $1 reason. The first one stays.
UPDATE paybuf.ledger SET halted = true, halted_reason = $1::text WHERE NOT halted;
