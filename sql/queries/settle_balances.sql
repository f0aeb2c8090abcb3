-- Second half: one write per account, however many orders moved it.
--
-- By the ctid that the lock returned: a Tid Scan whatever the statistics say, 4 ms instead of 6.5-8 ms for 2,000 rows. The row is
-- locked by this transaction, so nothing can move or remove it; still a count that differs raises here, in SQL, because the COMMIT
-- behind it is already on its way. `version <` makes a wrong row number fail instead of overwriting.
--
-- $1 ctid  $2 balance  $3 version
WITH moved AS (
    UPDATE paybuf.account a
    SET balance_minor = u.balance, version = u.version
    FROM unnest($1::tid[], $2::int8[], $3::int8[]) AS u (row_id, balance, version)
    WHERE a.ctid = u.row_id AND a.version < u.version
    RETURNING 1
)
SELECT paybuf.require((SELECT count(*) FROM moved) = cardinality($1::tid[]), 'a locked account row is gone or newer: nothing was committed');
