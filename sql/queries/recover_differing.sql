-- What stands against re-applying and isn't an account's: decisions and refusals on file that were told otherwise, and decisions that
-- a conflict refers to and that are nowhere.
SELECT 'decision_differs', e.log_generation::text || '-' || e.src_partition::text || '-' || e.src_offset::text,
    'order ' || e.order_id || '#' || e.attempt::text || ': the row on file isn''t the decision that was told'
FROM pg_temp.recover_event e WHERE e.differs
UNION ALL
SELECT 'refusal_differs', r.log_generation::text || '-' || r.src_partition::text || '-' || r.src_offset::text, 'the row on file isn''t the refusal that was told'
FROM pg_temp.recover_refused r JOIN paybuf.refusal x USING (log_generation, src_partition, src_offset)
WHERE (x.code, x.field, x.decided_at) IS DISTINCT FROM (r.code, r.field, r.decided_at)
UNION ALL
SELECT 'cited_decision_lost', c.cited_by, 'a conflict was told with order ' || c.order_id || ', and that decision is neither in the database nor in the reply log'
FROM pg_temp.recover_cited c
WHERE NOT EXISTS (SELECT FROM pg_temp.recover_event e WHERE e.tenant = c.tenant AND e.order_id = c.order_id
        AND e.log_generation = c.log_generation AND e.src_partition = c.src_partition AND e.src_offset = c.src_offset)
    AND NOT EXISTS (SELECT FROM paybuf.payment p WHERE p.tenant = c.tenant AND p.order_id = c.order_id
        AND p.log_generation = c.log_generation AND p.src_partition = c.src_partition AND p.src_offset = c.src_offset);
