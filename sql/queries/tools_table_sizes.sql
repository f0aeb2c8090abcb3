-- The tables that grow with payments: about how many rows, and bytes on disk with indexes. Estimates of the statistics, nothing is scanned.
SELECT c.relname, greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0), pg_total_relation_size(c.oid)
FROM pg_class c
WHERE c.oid IN ('paybuf.payment'::regclass, 'paybuf.refusal'::regclass, 'paybuf.adjustment'::regclass)
ORDER BY c.relname;
