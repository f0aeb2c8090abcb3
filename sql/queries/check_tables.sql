-- Tables that aren't ordinary, logged heap tables of this server: a fence on another node than the money tears, an unlogged table is
-- empty after a crash, and ctids mean something in the heap only. No row: all is well.
SELECT t.name, CASE
    WHEN c.oid IS NULL THEN 'is missing'
    WHEN c.relkind = 'v' THEN 'is a view'
    WHEN c.relkind = 'f' THEN 'is a foreign table'
    WHEN c.relkind = 'p' THEN 'is partitioned'
    WHEN c.relkind <> 'r' THEN 'is no table'
    WHEN c.relpersistence <> 'p' THEN 'is not logged'
    WHEN am.amname <> 'heap' THEN 'is stored by ' || am.amname
    WHEN c.relhasrules THEN 'has rules'
    WHEN c.relrowsecurity THEN 'has row security'
    WHEN c.relhassubclass THEN 'has child tables'
    END AS problem
FROM unnest(ARRAY['ledger', 'processed_offset', 'account', 'payment', 'refusal', 'adjustment', 'schema_migration']) AS t (name)
LEFT JOIN pg_class c ON c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'paybuf') AND c.relname = t.name
LEFT JOIN pg_am am ON am.oid = c.relam
WHERE c.oid IS NULL OR c.relkind <> 'r' OR c.relpersistence <> 'p' OR am.amname <> 'heap' OR c.relhasrules OR c.relrowsecurity OR c.relhassubclass;
