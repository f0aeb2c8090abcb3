-- What --new-ledger is about to change, before it does; counts of the large tables are the planner's.
SELECT l.ledger_id::text,
    (SELECT count(*) FROM paybuf.processed_offset),
    (SELECT coalesce(max(log_generation), 0) FROM paybuf.processed_offset),
    (SELECT greatest(reltuples, 0)::int8 FROM pg_class WHERE oid = 'paybuf.account'::regclass),
    (SELECT greatest(reltuples, 0)::int8 FROM pg_class WHERE oid = 'paybuf.payment'::regclass)
FROM paybuf.ledger l;
