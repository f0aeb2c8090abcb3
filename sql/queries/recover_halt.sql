-- The first thing that recover does: from its commit on no settle passes the fence.
UPDATE paybuf.ledger SET halted = true, halted_reason = coalesce(halted_reason, 'database_rolled_back') RETURNING halted_reason;
