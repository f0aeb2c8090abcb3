-- Second half: one row per record answered `invalid`, in primary key order.
--
-- $1 generation  $2 partition  $3 offset  $4 code  $5 field (null)
INSERT INTO paybuf.refusal (log_generation, src_partition, src_offset, code, field, decided_at)
SELECT r.generation, r.partition, r.source_offset, r.code, r.field, now()
FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::text[], $5::text[]) AS r (generation, partition, source_offset, code, field);
